# SPDX-License-Identifier: Apache-2.0
# How every target of stillhouse is compiled.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_library(stillhouse_flags INTERFACE)
target_compile_features(stillhouse_flags INTERFACE cxx_std_20)
target_include_directories(stillhouse_flags INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>)
# -ffp-contract=off: a product and a sum are two roundings wherever the compiler puts them, so results do not
# depend on how a loop happened to be vectorised; kernels that want fused operations say so by intrinsics.
target_compile_options(stillhouse_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion -Wshadow -ffp-contract=off
    # g++ 12 sees overlaps and uninitialised frames in its own inlined strings and optionals
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-maybe-uninitialized>
    $<$<BOOL:${STILLHOUSE_WERROR}>:-Werror>
    $<$<BOOL:${STILLHOUSE_NATIVE}>:-march=native>)
if(STILLHOUSE_SANITIZE)
    target_compile_options(stillhouse_flags INTERFACE -fsanitize=${STILLHOUSE_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(stillhouse_flags INTERFACE -fsanitize=${STILLHOUSE_SANITIZE})
endif()

find_package(Git QUIET)
set(STILLHOUSE_BUILD_VERSION ${PROJECT_VERSION})
if(GIT_FOUND)
    execute_process(COMMAND ${GIT_EXECUTABLE} describe --always --dirty
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE _described RESULT_VARIABLE _failed
        OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(NOT _failed)
        set(STILLHOUSE_BUILD_VERSION "${PROJECT_VERSION} (git ${_described})")
    endif()
endif()
configure_file(${PROJECT_SOURCE_DIR}/libcore/base/version.hpp.in ${PROJECT_BINARY_DIR}/include/libcore/base/version.hpp @ONLY)

# add_stillhouse_library(name SOURCES a.cpp ... PUBLIC lib ... PRIVATE lib ...)
function(add_stillhouse_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(${name} PUBLIC ${ARG_PUBLIC} PRIVATE $<BUILD_INTERFACE:stillhouse_flags> ${ARG_PRIVATE})
    target_include_directories(${name} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>)
    target_compile_features(${name} PUBLIC cxx_std_20)
endfunction()

# add_stillhouse_tool(name libraries...): tools/name.cpp, installed.
function(add_stillhouse_tool name)
    add_executable(${name} ${name}.cpp)
    target_link_libraries(${name} PRIVATE stillhouse_flags stillhouse_cli ${ARGN})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    set_property(GLOBAL APPEND PROPERTY STILLHOUSE_TOOLS ${name})
endfunction()
