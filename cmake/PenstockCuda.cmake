# Finds the CUDA compiler and sets PENSTOCK_HAS_CUDA. No GPU is needed to build.

set(PENSTOCK_HAS_CUDA OFF)
if(PENSTOCK_CUDA STREQUAL "OFF")
  return()
endif()

include(CheckLanguage)
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX} AND EXISTS /usr/local/cuda/bin/nvcc)
  set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)  # it is often not on PATH
endif()
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(PENSTOCK_CUDA STREQUAL "ON")
    message(FATAL_ERROR "PENSTOCK_CUDA=ON but no CUDA compiler was found. "
                        "Install the CUDA toolkit, set CUDACXX, or use PENSTOCK_CUDA=OFF.")
  endif()
  return()
endif()

# Both before enable_language, which would otherwise choose for us.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90-real 100)
endif()
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
enable_language(CUDA)
# CMake 3.25 does not know that nvcc speaks C++20.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
find_package(CUDAToolkit REQUIRED)
set(PENSTOCK_HAS_CUDA ON)
