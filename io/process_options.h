// SPDX-License-Identifier: MIT
// How a child process is started, and where its standard streams lead.
//
//   h::process_options piped;
//   piped.stdout = h::stdio::pipe;
//   auto p = co_await h::create_subprocess_exec(piped, "echo", "-n", "a", "b");
#pragma once

#include <heddle/io/stream.h>

#include <sys/resource.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
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

/// A descriptor of ours that the child has too. It stays open here. `as` is its number there.
struct inherited_descriptor {
  inherited_descriptor(int ours) : descriptor(ours), as(ours) {}  // NOLINT: keeps its number
  inherited_descriptor(int ours, int theirs) : descriptor(ours), as(theirs) {}
  int descriptor;
  int as;
};

/// A pipe to a child besides the three standard streams.
struct child_pipe {
  enum direction {
    to_child,    // we write: process::input(number)
    from_child,  // we read: process::output(number)
    both_ways,   // both: a pair of connected Unix sockets
  };
  /// The descriptor in the child, 3 or more.
  int number = 3;
  direction way = to_child;
};

/// A limit of setrlimit, such as RLIMIT_NOFILE. A child that runs as our user cannot raise `hard`.
struct resource_limit {
  int resource;
  rlim_t soft;
  rlim_t hard;
};

/// The size of a terminal, in characters.
struct terminal_size {
  std::uint16_t rows = 24;
  std::uint16_t columns = 80;
  friend bool operator==(const terminal_size&, const terminal_size&) = default;
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
  /// The child inherits the three standard streams, `inherit` and `pipes` alone. False: also
  /// descriptors that are not closed on exec.
  bool close_descriptors = true;
  /// The process group of the child. 0: one of its own, which it leads. Otherwise the number of a
  /// group of our session: usually the pid() of a child that leads one. See process::signal_group.
  std::optional<pid_t> process_group = std::nullopt;
  /// Further descriptors of ours that the child has, each under a number of 3 or more.
  std::vector<inherited_descriptor> inherit = {};
  /// Further pipes to the child.
  std::vector<child_pipe> pipes = {};
  /// The child leads a session on a pseudo-terminal of its own: process::terminal is our side. The
  /// standard streams that are `inherit` lead there.
  std::optional<terminal_size> terminal = std::nullopt;
  std::vector<resource_limit> limits = {};
  /// The nice value, from -20 (served first) to 19. Below ours only root may go.
  std::optional<int> nice = std::nullopt;
  /// A signal that the kernel sends to the child when the thread that started it ends: a loop of
  /// this runtime. So it comes when our process ends, in whatever way, and when the runtime ends.
  /// 0: none.
  int parent_death_signal = 0;
  /// The bits of the mode that files made by the child do not get.
  std::optional<mode_t> umask = std::nullopt;
  /// The child runs as this user and this group: only root may choose. The supplementary groups are
  /// `groups`; without `groups` there are none then. `cwd` is entered before.
  std::optional<uid_t> user = std::nullopt;
  std::optional<gid_t> group = std::nullopt;
  std::optional<std::vector<gid_t>> groups = std::nullopt;
};

}  // namespace heddle
