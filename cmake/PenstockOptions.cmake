# Compile options of everything that is ours: penstock_options(TARGET). Sanitizers apply to all targets.

option(PENSTOCK_CCACHE "Compile through ccache when it is installed" OFF)
if(PENSTOCK_CCACHE)
  find_program(PENSTOCK_CCACHE_PROGRAM ccache)
  if(PENSTOCK_CCACHE_PROGRAM)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${PENSTOCK_CCACHE_PROGRAM}")
    set(CMAKE_CUDA_COMPILER_LAUNCHER "${PENSTOCK_CCACHE_PROGRAM}")
  endif()
endif()

if(PENSTOCK_SANITIZE)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${PENSTOCK_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>")
  add_link_options("-fsanitize=${PENSTOCK_SANITIZE}")
endif()
if(PENSTOCK_FUZZ)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>")
endif()

# Some installations of g++ can't link so.
set(PENSTOCK_HAS_LTO OFF)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release")
  include(CheckIPOSupported)
  check_ipo_supported(RESULT PENSTOCK_HAS_LTO LANGUAGES CXX)
endif()

function(penstock_options target)
  # No contraction: the CPU kernels promise the same bits on every machine.
  set(flags -Wall -Wextra -ffp-contract=off)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 takes a cast from base to derived for one from nullptr, and then warns of every store;
    # g++ 13 takes what fmt copies in its small buffers for overrun.
    list(APPEND flags -Wno-stringop-overflow -Wno-array-bounds)
  endif()
  if(PENSTOCK_WERROR)
    list(APPEND flags -Werror)
  endif()
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${flags}>")
  if(PENSTOCK_HAS_CUDA)
    set(cuda_flags -Xcompiler=-Wall,-Wextra)
    if(PENSTOCK_WERROR)
      list(APPEND cuda_flags --Werror=all-warnings)
    endif()
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_flags}>")
  endif()
  if(PENSTOCK_HAS_LTO)
    # A message passes through some thirty small functions in ten files. Fat: whoever links the
    # installed library needn't do the same.
    set(is_release "$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>")
    target_compile_options(${target} PRIVATE "$<${is_release}:-flto=auto;-ffat-lto-objects>")
    target_link_options(${target} PRIVATE "$<$<CONFIG:Release>:-flto=auto;-Wno-stringop-overflow;-Wno-array-bounds>")
  endif()
  set_target_properties(${target} PROPERTIES CXX_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden
                                             VISIBILITY_INLINES_HIDDEN ON)
endfunction()
