// SPDX-License-Identifier: MIT
// A router that serves the files of a directory under /f/.
#pragma once

#include <heddle/io/http/files_options.h>
#include <heddle/io/http/router.h>

#include <string>
#include <utility>

namespace conformance {

inline heddle::http::router serving(const std::string& directory) {
  heddle::http::router r;
  r.files("/f/", directory);
  return r;
}
inline heddle::http::router serving(const std::string& directory, heddle::http::files_options how) {
  heddle::http::router r;
  r.files("/f/", directory, std::move(how));
  return r;
}

}  // namespace conformance
