// SPDX-License-Identifier: MIT
// A core in a file that goes with this.
#pragma once

#include "core_writer.h"
#include "looking.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace conformance {

class core_of {
 public:
  /// Of a program of tests/inside/, which stands still from here on.
  explicit core_of(const watched& w) : core_of(std::string()) {
    w.stop();
    write_core(w.process(), path_);
  }
  /// With these bytes.
  explicit core_of(const std::string& bytes) {
    const int file = ::mkstemp(path_);
    if (file >= 0) ::close(file);
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  core_of(const core_of&) = delete;
  ~core_of() { ::unlink(path_); }

  [[nodiscard]] std::string path() const { return path_; }
  [[nodiscard]] std::string bytes() const {
    std::ifstream in(path_, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
  }

 private:
  char path_[32] = "/tmp/heddle-core-XXXXXX";
};

/// The core that gcore writes of the process, which goes on; its path is empty if there is none.
class core_by_gcore {
 public:
  explicit core_by_gcore(const watched& w) : place_("") {
    (void)run_program({"sh", "-c", "gcore -o " + place_.path() + " " + w.number()});
    path_ = place_.path() + "." + w.number();
    if (::access(path_.c_str(), R_OK) != 0) path_.clear();
  }
  core_by_gcore(const core_by_gcore&) = delete;
  ~core_by_gcore() { ::unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  core_of place_;
  std::string path_;
};

/// Waits until both rooms of the program "chat" wait for each other, and the third task for a line.
inline void wait_for_chat(const watched& w) {
  tool_until({"ps", w.number()}, [](const ran& r) {
    return lines_with(r.out, {">", " mutex"}).size() == 2 && has_line(r.out, {"deliver", "queue"});
  });
}

}  // namespace conformance
