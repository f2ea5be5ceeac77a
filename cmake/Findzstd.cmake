# SPDX-License-Identifier: MIT
# Finds zstd, whose package in Debian 12 has no CMake configuration. Defines zstd::library.
# Installed beside heddleConfig.cmake, which needs it too.
find_path(zstd_INCLUDE_DIR zstd.h)
find_library(zstd_LIBRARY zstd)
mark_as_advanced(zstd_INCLUDE_DIR zstd_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(zstd REQUIRED_VARS zstd_LIBRARY zstd_INCLUDE_DIR)
if(zstd_FOUND AND NOT TARGET zstd::library)
  add_library(zstd::library UNKNOWN IMPORTED)
  set_target_properties(zstd::library PROPERTIES
    IMPORTED_LOCATION "${zstd_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${zstd_INCLUDE_DIR}")
endif()
