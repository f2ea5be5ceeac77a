// SPDX-License-Identifier: MIT
// How a child process is started, and where its standard streams lead.
//
//   h::process_options piped;
//   piped.stdout = h::stdio::pipe;
//   auto p = co_await h::create_subprocess_exec(piped, "ls", "-l");
#pragma once

#include <heddle/io/stream.h>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace heddle {

/// Where one of a child's standard streams leads.
class stdio {
 public:
  enum kind {
    inherit,    // where ours leads
    pipe,       // to the process object
    null,       // /dev/null
    to_stdout,  // stderr only: where the child's stdout leads
  };

  constexpr stdio(kind k = inherit) noexcept : kind_(k) {}  // NOLINT: a word for what it is
  /// A descriptor of ours; it stays open here.
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
  /// The whole environment, names and values; none: ours.
  std::optional<std::vector<std::pair<std::string, std::string>>> env = std::nullopt;
  /// Where it starts; empty: here.
  std::string cwd = {};
  /// It leads a session, and so a process group, of its own.
  bool new_session = false;
  /// For read_until and read_line on its output, in bytes; at least 1.
  std::size_t limit = default_stream_limit;
  /// Nothing but the three standard streams is inherited. False: also what is not closed on exec.
  bool close_descriptors = true;
};

}  // namespace heddle
