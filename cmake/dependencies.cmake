# SPDX-License-Identifier: MIT
# What the library is built from. Each is a Debian package, listed in tools/packages.txt.

# A macro, because find_package's results must be seen by the caller.
macro(heddle_require found package)
  if(NOT ${found})
    message(FATAL_ERROR
      "heddle needs the Debian package ${package}, which is not installed. Run tools/setup, which installs "
      "all that is missing, or: apt-get install ${package}")
  endif()
endmacro()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

find_package(TBB CONFIG QUIET)
heddle_require(TBB_FOUND libtbb-dev)

find_package(fmt CONFIG QUIET)
heddle_require(fmt_FOUND libfmt-dev)

find_package(nlohmann_json CONFIG QUIET)
heddle_require(nlohmann_json_FOUND nlohmann-json3-dev)

find_package(liburing MODULE QUIET)
heddle_require(liburing_FOUND liburing-dev)

find_package(OpenSSL 3.0 QUIET COMPONENTS SSL Crypto)
heddle_require(OPENSSL_FOUND libssl-dev)

find_package(ZLIB QUIET)
heddle_require(ZLIB_FOUND zlib1g-dev)

# Optional: without brotli there is no coding br, without zstd no coding zstd; without libpsl a cookie
# jar knows no public suffixes but single labels.
option(HEDDLE_WITH_BROTLI "Use libbrotli-dev if it is installed" ON)
option(HEDDLE_WITH_ZSTD "Use libzstd-dev if it is installed" ON)
option(HEDDLE_WITH_PSL "Use libpsl-dev if it is installed" ON)
set(HEDDLE_OPTIONAL_LIBRARIES)
set(HEDDLE_OPTIONAL_PACKAGES)     # for heddle.pc
set(HEDDLE_OPTIONAL_DEPENDENCIES) # for heddleConfig.cmake
if(HEDDLE_WITH_BROTLI)
  find_package(brotli MODULE QUIET)
  if(brotli_FOUND)
    list(APPEND HEDDLE_OPTIONAL_LIBRARIES brotli::decoder brotli::encoder)
    string(APPEND HEDDLE_OPTIONAL_PACKAGES " libbrotlidec libbrotlienc")
    string(APPEND HEDDLE_OPTIONAL_DEPENDENCIES "find_dependency(brotli MODULE)\n")
  endif()
endif()
if(HEDDLE_WITH_ZSTD)
  find_package(zstd MODULE QUIET)
  if(zstd_FOUND)
    list(APPEND HEDDLE_OPTIONAL_LIBRARIES zstd::library)
    string(APPEND HEDDLE_OPTIONAL_PACKAGES " libzstd")
    string(APPEND HEDDLE_OPTIONAL_DEPENDENCIES "find_dependency(zstd MODULE)\n")
  endif()
endif()
if(HEDDLE_WITH_PSL)
  find_package(libpsl MODULE QUIET)
  if(libpsl_FOUND)
    list(APPEND HEDDLE_OPTIONAL_LIBRARIES libpsl::libpsl)
    string(APPEND HEDDLE_OPTIONAL_PACKAGES " libpsl")
    string(APPEND HEDDLE_OPTIONAL_DEPENDENCIES "find_dependency(libpsl MODULE)\n")
  endif()
endif()

# An option: without it heddle::ares_resolver cannot be made, and says so.
find_package(cares MODULE QUIET)
set(HEDDLE_HAVE_CARES ${cares_FOUND})
if(HEDDLE_HAVE_CARES)
  list(APPEND HEDDLE_OPTIONAL_LIBRARIES cares::cares)
  string(APPEND HEDDLE_OPTIONAL_PACKAGES " libcares")
  string(APPEND HEDDLE_OPTIONAL_DEPENDENCIES "find_dependency(cares MODULE)\n")
endif()

# Header only, included as <concurrentqueue/concurrentqueue.h>, and only by heddle's own sources.
find_path(HEDDLE_CONCURRENTQUEUE_INCLUDE concurrentqueue/concurrentqueue.h)
mark_as_advanced(HEDDLE_CONCURRENTQUEUE_INCLUDE)
heddle_require(HEDDLE_CONCURRENTQUEUE_INCLUDE libconcurrentqueue-dev)
add_library(heddle_concurrentqueue INTERFACE)
target_include_directories(heddle_concurrentqueue SYSTEM INTERFACE "${HEDDLE_CONCURRENTQUEUE_INCLUDE}")

# llhttp is packaged as C sources. Strict mode is not an option: without it the parser accepts the request
# smuggling of CVE-2023-30589.
find_path(HEDDLE_LLHTTP_SOURCES llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
find_path(HEDDLE_LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH)
mark_as_advanced(HEDDLE_LLHTTP_SOURCES HEDDLE_LLHTTP_INCLUDE)
heddle_require(HEDDLE_LLHTTP_SOURCES node-llhttp)
heddle_require(HEDDLE_LLHTTP_INCLUDE node-llhttp)
add_library(heddle_llhttp OBJECT
  "${HEDDLE_LLHTTP_SOURCES}/api.c" "${HEDDLE_LLHTTP_SOURCES}/http.c" "${HEDDLE_LLHTTP_SOURCES}/llhttp.c")
target_include_directories(heddle_llhttp SYSTEM PUBLIC "${HEDDLE_LLHTTP_INCLUDE}")
target_compile_definitions(heddle_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
target_compile_options(heddle_llhttp PRIVATE -w)

# What a program that links libheddle.a must link too; install.cmake and heddle.pc.in name the same ones.
set(HEDDLE_LINKED_LIBRARIES Threads::Threads TBB::tbb fmt::fmt liburing::liburing OpenSSL::SSL OpenSSL::Crypto
  ZLIB::ZLIB ${HEDDLE_OPTIONAL_LIBRARIES})
