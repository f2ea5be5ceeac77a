// SPDX-License-Identifier: MIT
// How a child process is started, and where its standard streams lead.
//
//   h::process_options piped;
//   piped.stdout = h::stdio::pipe;
//   auto p = co_await h::create_subprocess_exec(piped, "echo", "-n", "a", "b");
#pragma once

#include <heddle/io/stream.h>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace heddle {

/// Where one of the standard streams of a child leads.
class stdio {
 public:
  enum kind {
    inherit,    // where ours leads
    pipe,       // to the process object
    null,       // to /dev/null
    to_stdout,  // where the child's stdout leads; for stderr only
  };

  constexpr stdio(kind k = inherit) noexcept : kind_(k) {}  // NOLINT: a word for what it is
  /// To a descriptor of ours, which stays open here.
  [[nodiscard]] static constexpr stdio fd(int descriptor) noexcept {
    stdio s;
    s.descriptor_ = descriptor;
    return s;
  }
  /// -1 unless made by fd().
  [[nodiscard]] constexpr int descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] constexpr kind what() const noexcept { return kind_; }

 private:
  kind kind_;
  int descriptor_ = -1;
};

/// How a child is started. The order of the fields is API: fields are appended, never reordered.
struct process_options {
  stdio stdin = stdio::inherit;
  stdio stdout = stdio::inherit;
  stdio stderr = stdio::inherit;
  /// The whole environment, names and values; std::nullopt: ours.
  std::optional<std::vector<std::pair<std::string, std::string>>> env = std::nullopt;
  /// The directory in which the child starts; empty: ours.
  std::string cwd = {};
  /// The child leads a session, and so a process group, of its own.
  bool new_session = false;
  /// The limit() of the readers of its output, in bytes; at least 1.
  std::size_t limit = default_stream_limit;
  /// The child inherits the three standard streams alone. False: also descriptors that are not
  /// closed on exec.
  bool close_descriptors = true;
};

}  // namespace heddle
