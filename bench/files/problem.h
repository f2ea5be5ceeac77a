// SPDX-License-Identifier: MIT
//
// Reads of 4 KiB at random places of a file of 64 MiB that the kernel has in its cache, 64 of them
// under way: what a library adds to a read that no disk delays.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "common/program.h"

namespace bench::files {

inline constexpr long default_size = 200'000;
inline constexpr std::string_view size_means = "reads; default: 200000";
inline constexpr int at_once = 64;
inline constexpr std::size_t piece = 4096;
inline constexpr std::size_t pieces = 16384;

inline long each_of(long size) { return (size + at_once - 1) / at_once; }

/// Places of one reader, at random but the same in each run.
class places {
 public:
  explicit places(int reader) : state_(static_cast<std::uint64_t>(reader) * 2 + 1) {}
  std::size_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>(state_ >> 33) % pieces * piece;
  }

 private:
  std::uint64_t state_;
};

/// The file. It is gone when the process ends.
class scratch_file {
 public:
  explicit scratch_file(const identity& who) {
    const char* folder = std::getenv("TMPDIR");
    path_ = std::string(folder ? folder : "/tmp") + "/heddle-bench-XXXXXX";
    const int file = mkstemp(path_.data());
    const std::vector<char> block(piece, 'x');
    for (std::size_t i = 0; file >= 0 && i < pieces; ++i)
      if (write(file, block.data(), piece) != static_cast<ssize_t>(piece))
        give_up(who, "cannot write " + path_);
    if (file < 0) give_up(who, "cannot make " + path_);
    close(file);
  }
  scratch_file(const scratch_file&) = delete;
  ~scratch_file() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bench::files
