# SPDX-License-Identifier: MIT
include(CMakePackageConfigHelpers)

foreach(header IN LISTS HEDDLE_PUBLIC_HEADERS)
  get_filename_component(room "${header}" DIRECTORY)
  install(FILES "${PROJECT_SOURCE_DIR}/${header}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/heddle/${room}")
endforeach()
foreach(old IN LISTS HEDDLE_OLD_HEADERS)
  get_filename_component(room "${old}" DIRECTORY)
  install(FILES "${HEDDLE_PUBLIC_VIEW}/heddle/${old}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/heddle/${room}")
endforeach()
install(FILES "${HEDDLE_PUBLIC_VIEW}/heddle/heddle.h" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/heddle")

set(heddle_config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/heddle")
install(TARGETS heddle heddle_cluster EXPORT heddleTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT heddleTargets NAMESPACE heddle:: DESTINATION "${heddle_config_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/heddleConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/heddleConfig.cmake" INSTALL_DESTINATION "${heddle_config_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/heddleConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/heddleConfig.cmake" "${PROJECT_BINARY_DIR}/heddleConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/Findcares.cmake" "${PROJECT_SOURCE_DIR}/cmake/Findliburing.cmake" "${PROJECT_SOURCE_DIR}/cmake/Findbrotli.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/Findlibpsl.cmake" "${PROJECT_SOURCE_DIR}/cmake/Findzstd.cmake" DESTINATION "${heddle_config_dir}")

# Relative to the .pc file itself, so that an installed tree can be moved.
file(RELATIVE_PATH heddle_pc_prefix "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" heddle_pc_prefix "${heddle_pc_prefix}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/heddle.pc.in" "${PROJECT_BINARY_DIR}/heddle.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/heddle.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# What libheddle.a contains object code of.
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" "${PROJECT_SOURCE_DIR}/cmake/licences/concurrentqueue.txt"
  "${PROJECT_SOURCE_DIR}/cmake/licences/llhttp.txt" "${PROJECT_SOURCE_DIR}/cmake/licences/nlohmann_json.txt"
  DESTINATION "${CMAKE_INSTALL_DOCDIR}")
