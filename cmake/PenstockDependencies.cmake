# fmt and threads for the library; doctest for its tests. Each is taken from the system, else from
# the folder .deps, which `./run deps` fills for machines without a network.

set(PENSTOCK_DEPS_DIR "${PROJECT_SOURCE_DIR}/.deps" CACHE PATH "Headers for machines without a network")

# penstock_dependency(PACKAGE TARGET HEADER [DEFINITION...]) makes TARGET from the system or from .deps.
function(penstock_dependency package target header)
  find_package(${package} QUIET)
  if(TARGET ${target})
    return()
  endif()
  find_path(PENSTOCK_${package}_INCLUDE NAMES "${header}" HINTS "${PENSTOCK_DEPS_DIR}/include" NO_CACHE)
  if(NOT PENSTOCK_${package}_INCLUDE)
    message(FATAL_ERROR "${package} was not found: neither its CMake package nor ${header} in ${PENSTOCK_DEPS_DIR}/include. "
                        "Install it (Debian: apt-get install lib${package}-dev or ${package}-dev) or run ./run deps.")
  endif()
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE "${PENSTOCK_${package}_INCLUDE}")
  target_compile_definitions(${target} INTERFACE ${ARGN})
endfunction()

find_package(Threads REQUIRED)
# A wheel must run where no libfmt is installed; pyproject.toml sets this.
option(PENSTOCK_FMT_HEADER_ONLY "Compile fmt into the library instead of linking it" OFF)
if(PENSTOCK_FMT_HEADER_ONLY)
  set(PENSTOCK_FMT fmt::fmt-header-only)
else()
  set(PENSTOCK_FMT fmt::fmt)
endif()
penstock_dependency(fmt ${PENSTOCK_FMT} fmt/format.h FMT_HEADER_ONLY=1)
if(PENSTOCK_TESTS)
  penstock_dependency(doctest doctest::doctest doctest/doctest.h)
endif()
