# Finds the headers of NVTX 3 and sets PENSTOCK_NVTX_INCLUDE, empty without them: ranges for NVIDIA's tools are then
# left out. They come with the CUDA toolkit, and with the Python package nvidia-nvtx, which needs no toolkit.

set(nvtx_hints ${CUDAToolkit_INCLUDE_DIRS} "${PENSTOCK_DEPS_DIR}/include")
if(EXISTS "${PROJECT_SOURCE_DIR}/.venv/bin/python" AND NOT Python_EXECUTABLE AND NOT SKBUILD)
  set(Python_EXECUTABLE "${PROJECT_SOURCE_DIR}/.venv/bin/python")
endif()
if(Python_EXECUTABLE)
  execute_process(COMMAND "${Python_EXECUTABLE}" -c "import nvidia; print(';'.join(nvidia.__path__))"
                  RESULT_VARIABLE missing OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE nvidia_dirs ERROR_QUIET)
  if(NOT missing)
    foreach(dir IN LISTS nvidia_dirs)
      file(GLOB found "${dir}/*/include")
      list(APPEND nvtx_hints ${found})
    endforeach()
  endif()
endif()
find_path(PENSTOCK_NVTX_INCLUDE NAMES nvtx3/nvToolsExt.h HINTS ${nvtx_hints} PATHS /usr/local/cuda/include)
if(NOT PENSTOCK_NVTX_INCLUDE)
  message(STATUS "NVTX: not found, so no ranges for NVIDIA's tools; pip install nvidia-nvtx or the CUDA toolkit brings it")
  set(PENSTOCK_NVTX_INCLUDE "")
endif()
