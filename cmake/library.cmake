# SPDX-License-Identifier: MIT
# heddle::heddle: the rooms in one static library, and the public headers in one directory.

set(heddle_list "${PROJECT_SOURCE_DIR}/cmake/public_headers.txt")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${heddle_list}")
file(STRINGS "${heddle_list}" heddle_lines REGEX "^[^#]")
set(HEDDLE_PUBLIC_HEADERS "")
set(HEDDLE_OLD_HEADERS "")
set(heddle_umbrella "")
foreach(line IN LISTS heddle_lines)
  if(NOT line MATCHES "^([a-z_/]+/[a-z0-9_]+\\.h)( internal| apart| was ([a-z_/]+\\.h))?$")
    message(FATAL_ERROR "cmake/public_headers.txt: \"${line}\" is not `path.h`, `path.h internal`, `path.h apart` or `path.h was old_path.h`")
  endif()
  set(header "${CMAKE_MATCH_1}")
  set(how "${CMAKE_MATCH_2}")
  set(old "${CMAKE_MATCH_3}")
  if(NOT EXISTS "${PROJECT_SOURCE_DIR}/${header}")
    message(FATAL_ERROR "cmake/public_headers.txt lists ${header}, which does not exist")
  endif()
  list(APPEND HEDDLE_PUBLIC_HEADERS "${header}")
  if(old)
    list(APPEND HEDDLE_OLD_HEADERS "${old}")
    set(HEDDLE_NEW_PATH_OF_${old} "${header}")
  endif()
  if(NOT how MATCHES "^ (internal|apart)$")
    string(APPEND heddle_umbrella "#include <heddle/${header}>\n")
  endif()
endforeach()

# Programs see only what is listed, as they will once heddle is installed: a public header that includes an
# unlisted one fails here and not at a user's.
set(HEDDLE_PUBLIC_VIEW "${PROJECT_BINARY_DIR}/view/public")
file(GLOB_RECURSE heddle_stale "${HEDDLE_PUBLIC_VIEW}/heddle/*/*.h")
foreach(header IN LISTS HEDDLE_PUBLIC_HEADERS)
  get_filename_component(room "${header}" DIRECTORY)
  file(MAKE_DIRECTORY "${HEDDLE_PUBLIC_VIEW}/heddle/${room}")
  file(CREATE_LINK "${PROJECT_SOURCE_DIR}/${header}" "${HEDDLE_PUBLIC_VIEW}/heddle/${header}" SYMBOLIC)
  list(REMOVE_ITEM heddle_stale "${HEDDLE_PUBLIC_VIEW}/heddle/${header}")
endforeach()
foreach(old IN LISTS HEDDLE_OLD_HEADERS)
  set(header "${HEDDLE_NEW_PATH_OF_${old}}")
  file(CONFIGURE OUTPUT "${HEDDLE_PUBLIC_VIEW}/heddle/${old}" CONTENT
"// SPDX-License-Identifier: MIT
// This header has moved. Generated from cmake/public_headers.txt.
#pragma once
#include <heddle/@header@>
" @ONLY)
  list(REMOVE_ITEM heddle_stale "${HEDDLE_PUBLIC_VIEW}/heddle/${old}")
endforeach()
if(heddle_stale)
  file(REMOVE ${heddle_stale})
endif()
file(CONFIGURE OUTPUT "${HEDDLE_PUBLIC_VIEW}/heddle/heddle.h" CONTENT
"// SPDX-License-Identifier: MIT
// All of heddle's public headers. Generated from cmake/public_headers.txt.
#pragma once

@heddle_umbrella@" @ONLY)

add_library(heddle STATIC
  $<TARGET_OBJECTS:heddle_core> $<TARGET_OBJECTS:heddle_sched> $<TARGET_OBJECTS:heddle_sync>
  $<TARGET_OBJECTS:heddle_io> $<TARGET_OBJECTS:heddle_llhttp>)
add_library(heddle::heddle ALIAS heddle)
set_target_properties(heddle PROPERTIES LINKER_LANGUAGE CXX)
target_compile_features(heddle PUBLIC cxx_std_20)
# g++ transfers control between coroutines by a tail call only with this, and a loop of awaits that never
# suspends overflows the stack without it; at -O2 it is on anyway.
target_compile_options(heddle PUBLIC "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-foptimize-sibling-calls>")
if(NOT HEDDLE_SEEING)
  target_compile_definitions(heddle PUBLIC HEDDLE_SEEING=0)
endif()
target_include_directories(heddle PUBLIC
  "$<BUILD_INTERFACE:${HEDDLE_PUBLIC_VIEW}>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_link_libraries(heddle PRIVATE ${HEDDLE_LINKED_LIBRARIES})
