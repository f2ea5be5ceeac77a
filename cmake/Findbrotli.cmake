# SPDX-License-Identifier: MIT
# Finds brotli, whose own package has no CMake configuration. Defines brotli::decoder and brotli::encoder.
# Installed beside heddleConfig.cmake, which needs it too.
find_path(brotli_INCLUDE_DIR brotli/decode.h)
find_library(brotli_DECODER brotlidec)
find_library(brotli_ENCODER brotlienc)
mark_as_advanced(brotli_INCLUDE_DIR brotli_DECODER brotli_ENCODER)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(brotli REQUIRED_VARS brotli_DECODER brotli_ENCODER brotli_INCLUDE_DIR)
if(brotli_FOUND AND NOT TARGET brotli::decoder)
  foreach(part IN ITEMS decoder encoder)
    string(TOUPPER "${part}" brotli_part)
    add_library(brotli::${part} UNKNOWN IMPORTED)
    set_target_properties(brotli::${part} PROPERTIES
      IMPORTED_LOCATION "${brotli_${brotli_part}}"
      INTERFACE_INCLUDE_DIRECTORIES "${brotli_INCLUDE_DIR}")
  endforeach()
endif()
