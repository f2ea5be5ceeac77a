# SPDX-License-Identifier: MIT
# heddle_embed(<target> <file>): the target may include "<name>_<extension>.h", in which
# `embedded::<name>_<extension>` is a std::string_view of the file's bytes. Made again whenever the file changes.

set(HEDDLE_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  # A hexadecimal dump and not a string literal: whatever the file holds needs no escape, and has no length limit.
  file(READ "${INPUT}" bytes HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  file(WRITE "${OUTPUT}"
"// SPDX-License-Identifier: MIT
// Generated from ${INPUT_NAME}.
#pragma once

#include <string_view>

namespace embedded {

inline constexpr char ${SYMBOL}_bytes[] = {
${bytes}
};
inline constexpr std::string_view ${SYMBOL}{${SYMBOL}_bytes, sizeof(${SYMBOL}_bytes)};

}  // namespace embedded
")
  return()
endif()

function(heddle_embed target file)
  get_filename_component(name "${file}" NAME)
  string(MAKE_C_IDENTIFIER "${name}" symbol)
  set(directory "${CMAKE_CURRENT_BINARY_DIR}/embedded")
  file(MAKE_DIRECTORY "${directory}")
  add_custom_command(
    OUTPUT "${directory}/${symbol}.h"
    COMMAND "${CMAKE_COMMAND}" "-DINPUT=${CMAKE_CURRENT_SOURCE_DIR}/${file}" "-DINPUT_NAME=${name}"
      "-DOUTPUT=${directory}/${symbol}.h" "-DSYMBOL=${symbol}" -P "${HEDDLE_EMBED_SCRIPT}"
    DEPENDS "${file}" "${HEDDLE_EMBED_SCRIPT}"
    VERBATIM)
  target_sources(${target} PRIVATE "${directory}/${symbol}.h")
  target_include_directories(${target} PRIVATE "${directory}")
endfunction()
