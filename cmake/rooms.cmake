# SPDX-License-Identifier: MIT
# Rooms: core <- sched, core <- sync, io -> all three. Each compiles against a view of its own, a directory
# with one symbolic link for itself and one for each room below it, so that an include which goes the wrong way
# does not compile.

# heddle_view(<name> <rooms...>): the include directory from which just these rooms can be seen.
function(heddle_view name)
  set(view "${PROJECT_BINARY_DIR}/view/${name}")
  file(MAKE_DIRECTORY "${view}/heddle")
  foreach(room IN LISTS ARGN)
    file(CREATE_LINK "${PROJECT_SOURCE_DIR}/${room}" "${view}/heddle/${room}" SYMBOLIC)
  endforeach()
  set(HEDDLE_VIEW "${view}" PARENT_SCOPE)
endfunction()

# heddle_together(<target>): its sources are compiled in groups of eight. Headers are then read, and what is inline is compiled,
# once for a group: half the time and less, for what is built whole and not to be worked on (HEDDLE_TOGETHER, the benches).
# What a source forgets to include may go unseen by that: preset release compiles each for itself.
function(heddle_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE BATCH UNITY_BUILD_BATCH_SIZE 8)
  # <linux/fs.h>, which liburing.h includes, makes a macro of it; other headers have a member of that name.
  set_target_properties(${target} PROPERTIES UNITY_BUILD_CODE_BEFORE_INCLUDE "#undef BLOCK_SIZE")
endfunction()

# heddle_room(<room> SOURCES <files...> SEES <rooms...> LINKS <libraries...>)
# Defines heddle_<room>, an object library: linking it gives its objects and its view.
function(heddle_room room)
  cmake_parse_arguments(arg "" "" "SOURCES;SEES;LINKS" ${ARGN})
  heddle_view(${room} ${room} ${arg_SEES})
  if(NOT arg_SOURCES)
    # An object library must have an object; a room of nothing but headers is lent an empty one.
    set(arg_SOURCES "${CMAKE_CURRENT_BINARY_DIR}/empty.cpp")
    file(CONFIGURE OUTPUT "${arg_SOURCES}" CONTENT "// SPDX-License-Identifier: MIT\n")
  endif()
  add_library(heddle_${room} OBJECT ${arg_SOURCES})
  target_include_directories(heddle_${room} PUBLIC "${HEDDLE_VIEW}")
  target_link_libraries(heddle_${room} PUBLIC ${arg_LINKS} PRIVATE heddle_flags)
  if(HEDDLE_TOGETHER)
    heddle_together(heddle_${room})
  endif()
endfunction()
