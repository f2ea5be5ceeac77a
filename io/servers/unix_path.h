// SPDX-License-Identifier: MIT
// Internal to io.
// The path of a Unix server's socket: how it is taken, and how it is removed.
//
// Problem   A server that was killed leaves its socket's file behind, and bind() refuses a path
//           where a file stands. So the next server removes it first. Two servers that start at one
//           time both find the old file. The slower one then removes the file of the faster one,
//           which listens on, and nobody can reach it.
// Rejected  Binding to another name and renaming that: the second rename takes the path away from a
//           server that is alive, and getsockname() tells the other name for ever. A lock file
//           beside the path: it stays behind, and whoever removes it breaks the lock. A connection
//           as the only probe: a server that is bound and does not listen yet looks dead.
// Chosen    bind() decides who has the path. Only a file that no process has bound is removed, and
//           only under a lock of the directory (flock). The probe connects a datagram socket: the
//           kernel refuses it with EPROTOTYPE while any process has the file bound, and with
//           ECONNREFUSED afterwards. The file of a living server is never removed, since the probe
//           and the removal are one step for all servers that take the lock. A socket that is
//           bound and refuses connections begins to listen soon, or is being closed. So it is
//           waited for.
// Costs     Nothing but bind(), as long as no file stands at the path.
// Remains   Programs that remove such files without the lock.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/server_options.h>

#include <sys/stat.h>

#include <chrono>
#include <string>
#include <utility>

namespace heddle::detail {

/// How long a server waits for the lock of a directory, if another one holds it; and for a socket
/// that is bound and does not listen.
inline constexpr std::chrono::seconds unix_path_limit{10};

/// A path that is removed at the end, unless another file stands there by then. It must end before
/// its socket is closed: the number of the file (inode) may be another file's afterwards.
class owned_path {
 public:
  owned_path() noexcept = default;
  owned_path(owned_path&& other) noexcept
      : path_(std::exchange(other.path_, std::string())), identity_(other.identity_) {}
  owned_path& operator=(owned_path&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(identity_, other.identity_);
    return *this;
  }
  ~owned_path() { remove(); }
  /// The path of `at`, and the file that stands there now. Empty for an abstract name, and if no
  /// file stands there. A relative path is made absolute: the program may change its directory.
  explicit owned_path(const address& at);
  void remove() noexcept;
  /// The file stays for good.
  void leave() noexcept { path_.clear(); }

 private:
  std::string path_;  // empty: nothing is removed
  struct stat identity_{};
};

/// Binds a socket to a path or an abstract name, and gives its file the mode and the group that
/// `options` ask for. Does not listen, so nobody can connect before. `options` must outlive the
/// task.
/// Throws    std::system_error that names the path, EADDRINUSE if a process has the path bound or
///           another file stands there; ETIMEDOUT for the lock, after unix_path_limit
[[nodiscard]] task<fd> bind_unix_path(address at, const server_options& options);

}  // namespace heddle::detail
