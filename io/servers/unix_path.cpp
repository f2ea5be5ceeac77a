// SPDX-License-Identifier: MIT
#include <heddle/io/servers/unix_path.h>

#include <heddle/core/clock.h>
#include <heddle/core/errors.h>
#include <heddle/io/descriptors/socket.h>
#include <heddle/sched/sleep.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <utility>

namespace heddle::detail {
namespace {

/// What stands at a path.
enum class standing {
  nothing,
  stale,  // a socket that no process has bound any more
  quiet,  // a socket that is bound, and does not listen
  other,  // a socket in use, or another file
};

/// The errno of a connection to the path; 0: it was made.
int probe(const address& at, int type) {
  const fd s(
      check(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket", at.to_string()));
  return ::connect(s.get(), at.data(), at.size()) == 0 ? 0 : errno;
}

standing look_at(const address& at) {
  struct stat s{};
  if (::lstat(at.host().c_str(), &s) != 0)
    return errno == ENOENT ? standing::nothing : standing::other;
  if (!S_ISSOCK(s.st_mode)) return standing::other;
  switch (probe(at, SOCK_DGRAM)) {
    case ENOENT: return standing::nothing;
    case ECONNREFUSED: return standing::stale;
    case EPROTOTYPE: break;
    default: return standing::other;
  }
  switch (probe(at, SOCK_STREAM)) {
    case ENOENT: return standing::nothing;
    case ECONNREFUSED: return standing::quiet;  // or it was closed in this moment
    default: return standing::other;
  }
}

[[noreturn]] void throw_in_use(const address& at) {
  throw_system_error(EADDRINUSE, "bind", at.to_string());
}

/// Pauses that grow, up to the limit of all together.
class pauses {
 public:
  /// False: the limit has passed.
  [[nodiscard]] bool any_left() const noexcept { return clock::now() < end_; }
  [[nodiscard]] std::chrono::milliseconds next() noexcept {
    return std::exchange(next_, std::min(2 * next_, std::chrono::milliseconds(50)));
  }

 private:
  const time_point end_ = clock::now() + duration(unix_path_limit);
  std::chrono::milliseconds next_{1};
};

/// The lock of the directory that `path` stands in, held until the descriptor is closed.
task<fd> lock_directory(std::string path) {
  const std::string where = std::filesystem::path(path).parent_path().string();
  fd directory(check(::open(where.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", where));
  pauses left;
  while (::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw_system_error(errno, "flock", where);
    if (!left.any_left())
      throw_system_error(ETIMEDOUT, "flock", where + " (longer than unix_path_limit)");
    co_await sleep(left.next());
  }
  co_return directory;
}

/// Removes the file at `path`, if it is stale still under the lock.
task<> remove_stale(address at, std::string path) {
  task<fd> locking = lock_directory(path);
  const fd lock = co_await locking;
  if (look_at(at) == standing::stale) (void)::unlink(path.c_str());
}

/// Binds; a stale socket is removed first.
task<> take_path(int socket, address at) {
  const std::string path = std::filesystem::absolute(at.host()).string();
  pauses left;
  do {
    if (::bind(socket, at.data(), at.size()) == 0) co_return;
    if (errno != EADDRINUSE) throw_system_error(errno, "bind", at.to_string());
    switch (look_at(at)) {
      case standing::nothing: break;
      case standing::quiet: co_await sleep(left.next()); break;
      case standing::other: throw_in_use(at);
      case standing::stale: {
        task<> removing = remove_stale(at, path);
        co_await removing;
        break;
      }
    }
  } while (left.any_left());
  throw_in_use(at);
}

bool has_path(const address& at) {
  const std::string name = at.host();
  return at.family() == AF_UNIX && !name.empty() && name[0] != '\0';
}

void restrict_access(const std::string& path, const server_options& o) {
  if (o.socket_group)
    check(::lchown(path.c_str(), static_cast<uid_t>(-1), gid_t{*o.socket_group}), "lchown", path);
  if (o.socket_mode) check(::chmod(path.c_str(), mode_t{*o.socket_mode}), "chmod", path);
}

}  // namespace

owned_path::owned_path(const address& at) {
  if (!has_path(at)) return;
  path_ = std::filesystem::absolute(at.host()).string();
  if (::lstat(path_.c_str(), &identity_) != 0 || !S_ISSOCK(identity_.st_mode)) path_.clear();
}

// The socket is bound still, so no other server takes the path between the look and the removal.
void owned_path::remove() noexcept {
  if (path_.empty()) return;
  struct stat now{};
  if (::lstat(path_.c_str(), &now) == 0 && now.st_ino == identity_.st_ino &&
      now.st_dev == identity_.st_dev)
    ::unlink(path_.c_str());
  path_.clear();
}

task<fd> bind_unix_path(address at, const server_options& options) {
  fd socket = make_stream_socket(AF_UNIX, at);
  if (options.prepare) options.prepare(socket.get(), at);
  if (!has_path(at)) {
    check(::bind(socket.get(), at.data(), at.size()), "bind", at.to_string());
    co_return socket;
  }
  task<> taking = take_path(socket.get(), at);
  co_await taking;
  owned_path bound(at);  // removed again if what follows throws
  restrict_access(at.host(), options);
  bound.leave();
  co_return socket;
}

}  // namespace heddle::detail
