// SPDX-License-Identifier: MIT
// What the cases of files share.
#pragma once

#include "reactor_cases.h"

#include <heddle/io/directory.h>
#include <heddle/io/file.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

namespace conformance {

/// A directory of a test's own, removed at its end.
class fresh_directory {
 public:
  fresh_directory() {
    std::string path = (std::filesystem::temp_directory_path() / "heddle-case-XXXXXX").string();
    if (!::mkdtemp(path.data())) throw std::runtime_error("mkdtemp");
    path_ = path;
  }
  fresh_directory(const fresh_directory&) = delete;
  ~fresh_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}
inline std::string get(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

/// Text in which each place is different from its neighbours.
inline std::string pattern(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
  return s;
}

inline h::file_options read_and_write() {
  h::file_options o;
  o.write = true;
  o.create = true;
  return o;
}
inline h::file_options appending() {
  h::file_options o;
  o.read = false;
  o.append = true;
  o.create = true;
  return o;
}

/// What() of an error, or "".
inline std::string message_of(const std::exception_ptr& e) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const std::exception& x) { return x.what(); } catch (...) {
    return "no std::exception";
  }
  return "";
}
inline bool says(const std::exception_ptr& e, const std::string& word) {
  return message_of(e).find(word) != std::string::npos;
}

/// The descriptors that are open, once late closes have been made.
inline h::task<> until_open(std::size_t n) {
  const auto is = [n] { return open_descriptors() <= n; };
  auto wait = until(is);
  co_await wait;
}

}  // namespace conformance
