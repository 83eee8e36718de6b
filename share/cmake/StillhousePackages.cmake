# SPDX-License-Identifier: Apache-2.0
# Everything comes from the system; nothing is downloaded. What is missing is named with its Debian package.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
pkg_check_modules(FFTW3 REQUIRED IMPORTED_TARGET fftw3)      # Debian ships no CMake package for it
pkg_check_modules(FFTW3F REQUIRED IMPORTED_TARGET fftw3f)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)

# msgpack-c changed its package name twice; the header is all that is needed, without Boost.
find_path(MSGPACK_INCLUDE_DIR msgpack.hpp REQUIRED)
add_library(stillhouse_msgpack INTERFACE)
target_include_directories(stillhouse_msgpack SYSTEM INTERFACE $<BUILD_INTERFACE:${MSGPACK_INCLUDE_DIR}>)
target_compile_definitions(stillhouse_msgpack INTERFACE MSGPACK_NO_BOOST)

# The seat of a CUDA backend is libcore/compute/cuda; until it is taken, asking for it is an error and AUTO says why not.
if(STILLHOUSE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "STILLHOUSE_CUDA=ON: this version has no CUDA backend; configure with AUTO or OFF")
endif()

function(stillhouse_print_summary)
    message(STATUS "")
    message(STATUS "stillhouse ${STILLHOUSE_BUILD_VERSION}")
    message(STATUS "  build type   ${CMAKE_BUILD_TYPE}, ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
    message(STATUS "  Eigen        ${Eigen3_VERSION}")
    message(STATUS "  FFTW         ${FFTW3_VERSION} (double), ${FFTW3F_VERSION} (float)")
    message(STATUS "  GEMM         own kernels (AVX-512, AVX2, plain)")
    message(STATUS "  CLI11        ${CLI11_VERSION}")
    message(STATUS "  msgpack-c    ${MSGPACK_INCLUDE_DIR}")
    message(STATUS "  JSON         nlohmann-json ${nlohmann_json_VERSION}")
    message(STATUS "  hash         xxHash ${XXHASH_VERSION}")
    if(STILLHOUSE_CUDA STREQUAL "OFF")
        message(STATUS "  CUDA         off")
    else()
        message(STATUS "  CUDA         none: this version computes on the CPU alone")
    endif()
    message(STATUS "  tests        ${STILLHOUSE_TESTS}, benchmarks ${STILLHOUSE_BENCH}, sanitizers '${STILLHOUSE_SANITIZE}'")
    message(STATUS "")
endfunction()
