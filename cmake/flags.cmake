# SPDX-License-Identifier: MIT
# How heddle's own targets are compiled. What a user of the library must compile with is in library.cmake.

if(PROJECT_IS_TOP_LEVEL)
  get_property(heddle_multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  if(NOT heddle_multi_config AND NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
  endif()
  find_program(HEDDLE_CCACHE ccache)
  if(HEDDLE_CCACHE)
    foreach(language C CXX)
      if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
        # Paths relative to the sources, so that one checkout's objects serve the next.
        set(CMAKE_${language}_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
          "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=1
          CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime "${HEDDLE_CCACHE}")
      endif()
    endforeach()
  endif()
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
# clang would otherwise scan every source for modules, of which there are none.
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND PROJECT_IS_TOP_LEVEL)
  message(WARNING
    "g++ 12 miscompiles some shapes of co_await: a temporary with non-trivial captures, an aggregate "
    "temporary, co_await inside a conditional expression, an initializer list in the awaited expression. "
    "heddle itself avoids them; see README.md for what your own code should avoid. clang++-19 has none of "
    "these faults (-DCMAKE_CXX_COMPILER=clang++-19).")
endif()

# Linked privately by every target of this tree, and never exported.
add_library(heddle_flags INTERFACE)
set(heddle_gnu "$<COMPILE_LANG_AND_ID:CXX,GNU>")
set(heddle_clang "$<COMPILE_LANG_AND_ID:CXX,Clang>")
target_compile_options(heddle_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic>"
  "$<${heddle_clang}:-Wshadow;-Wimplicit-fallthrough;-Wextra-semi>"
  # The sources of a group (heddle_together) are neither in each other's scope nor one file.
  "$<$<BOOL:$<TARGET_PROPERTY:UNITY_BUILD>>:$<IF:${heddle_clang},-Wno-shadow,-Wno-subobject-linkage>>"
  # Enough for a stack trace with lines, at a fraction of the size of full debug information.
  "$<$<AND:${heddle_clang},$<CONFIG:Release>>:-gline-tables-only>"
  "$<$<AND:${heddle_gnu},$<CONFIG:Release>>:-g1>"
  # False alarms of g++ 12: -Wrestrict inside std::string's own operator+ (GCC bug 105651), -Wstringop-overflow where
  # std::to_chars has filled part of a buffer, -Wmaybe-uninitialized for arrays filled by a loop that runs at least once.
  "$<${heddle_gnu}:-foptimize-sibling-calls;-Wno-restrict;-Wno-stringop-overflow;-Wno-maybe-uninitialized>"
  "$<$<BOOL:${HEDDLE_WERROR}>:-Werror>"
  "$<$<BOOL:${HEDDLE_NATIVE}>:-march=native>")
target_compile_definitions(heddle_flags INTERFACE "$<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>")

if(HEDDLE_SANITIZE)
  if(NOT HEDDLE_SANITIZE MATCHES "^(address,undefined|address|undefined|thread)$")
    message(FATAL_ERROR
      "HEDDLE_SANITIZE is \"${HEDDLE_SANITIZE}\": use address,undefined or thread, or leave it empty")
  endif()
  # For the whole directory, third-party C included: half an instrumented program gives false reports.
  add_compile_options(-fsanitize=${HEDDLE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${HEDDLE_SANITIZE})
  if(HEDDLE_SANITIZE MATCHES "undefined")
    # It asks the kernel through a pipe whether memory can be read, and so raises a false alarm where a test has used up
    # all descriptors on purpose.
    add_compile_options(-fno-sanitize=vptr)
  endif()
endif()
