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
#include <filesystem>
#include <utility>

namespace heddle::detail {
namespace {

using namespace std::chrono_literals;

/// How often the path may come and go under our hands.
constexpr int most_tries = 64;

/// What stands at a path.
enum class standing {
  nothing,
  stale,  // a socket that no process has bound any more
  other,  // a socket in use, or another file
};

standing look_at(const address& at) {
  struct stat s{};
  if (::lstat(at.host().c_str(), &s) != 0)
    return errno == ENOENT ? standing::nothing : standing::other;
  if (!S_ISSOCK(s.st_mode)) return standing::other;
  const fd probe(check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket", at.to_string()));
  if (::connect(probe.get(), at.data(), at.size()) == 0) return standing::other;
  if (errno == ENOENT) return standing::nothing;
  return errno == ECONNREFUSED ? standing::stale : standing::other;
}

[[noreturn]] void throw_in_use(const address& at) {
  throw_system_error(EADDRINUSE, "bind", at.to_string());
}

/// The lock of the directory that `path` stands in, held until the descriptor is closed.
task<fd> lock_directory(std::string path) {
  const std::string where = std::filesystem::path(path).parent_path().string();
  fd directory(check(::open(where.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", where));
  const auto end = clock::now() + duration(directory_lock_limit);
  auto pause = 1ms;
  while (::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw_system_error(errno, "flock", where);
    if (clock::now() >= end)
      throw_system_error(ETIMEDOUT, "flock", where + " (longer than directory_lock_limit)");
    co_await sleep(pause);
    pause = std::min(2 * pause, 50ms);
  }
  co_return directory;
}

/// Binds; where a stale socket stands, it is removed under the lock first.
task<> take_path(int socket, address at) {
  const std::string path = std::filesystem::absolute(at.host()).string();
  fd lock;
  for (int tries = 0; tries < most_tries; ++tries) {
    if (::bind(socket, at.data(), at.size()) == 0) co_return;
    if (errno != EADDRINUSE) throw_system_error(errno, "bind", at.to_string());
    switch (look_at(at)) {
      case standing::other: throw_in_use(at);
      case standing::nothing: continue;
      case standing::stale: break;
    }
    if (!lock.valid()) {
      task<fd> locking = lock_directory(path);
      lock = co_await locking;
      if (look_at(at) != standing::stale) continue;
    }
    (void)::unlink(path.c_str());
  }
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
