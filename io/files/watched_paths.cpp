// SPDX-License-Identifier: MIT
#include <heddle/io/files/watched_paths.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/files/file_threads.h>
#include <heddle/io/files/tree.h>
#include <heddle/io/files/whole_file.h>

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

namespace heddle::detail {
namespace {

constexpr std::size_t room = 16 * 1024;  // for what the kernel has queued; one event needs 272
constexpr std::size_t entries_at_once = 512;
constexpr unsigned asked = IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM |
                           IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_EXCL_UNLINK |
                           IN_ONLYDIR;

/// A limit of the kernel with its name, for the text of an error.
std::string limit_text(const char* name) {
  std::string value;
  std::ifstream("/proc/sys/fs/inotify/" + std::string(name)) >> value;
  return " (the limit is fs.inotify." + std::string(name) +
         (value.empty() ? ")" : ", " + value + ")");
}

bool is_below(const std::string& path, const std::string& top) {
  return path.size() > top.size() && path[top.size()] == '/' && path.starts_with(top);
}

std::string joined(const std::string& directory, const std::string& name) {
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

}  // namespace

watched_paths::watched_paths(std::string path, bool tree, duration move_limit)
    : given_(std::move(path)),
      move_limit_(move_limit),
      room_(new char[room]),
      queue_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (!queue_.valid())
    throw_system_error(errno, "inotify_init1",
                       given_ + (errno == EMFILE ? limit_text("max_user_instances") : ""));
  open_root(tree);
}

watched_paths::~watched_paths() {
  if (source_) source_->retire();
  // The kernel takes its time to close a queue, so a file thread waits for that.
  on_file_thread_alone([queue = std::move(queue_)]() mutable { queue.reset(); });
}

void watched_paths::begin(reactor& home) {
  source_ = &home.watch(queue_.get(), nullptr, watched_for::reading);
  name_ = source_->name();
}

void watched_paths::open_root(bool tree) {
  struct stat s{};
  check(::stat(given_.c_str(), &s), "stat", given_);
  if (S_ISDIR(s.st_mode)) {
    tree_ = tree;
    root_ = add(given_, true);
    if (tree_) add_below(given_, nullptr);
    return;
  }
  // The file that a link leads to: its directory has its name.
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(given_.c_str(), nullptr), &::free);
  if (!real) throw_system_error(errno, "realpath", given_);
  const std::string whole = real.get();
  only_ = whole.substr(whole.find_last_of('/') + 1);
  root_ = add(directory_of(whole), true);
}

// A directory that went before it could be watched is no error: the queue tells that, too. Neither
// is one that this process may not read, but for the root. -1: it is not watched.
int watched_paths::add(const std::string& path, bool is_root) {
  const unsigned mask = asked | (is_root ? 0u : unsigned{IN_DONT_FOLLOW});
  const int watch = ::inotify_add_watch(queue_.get(), path.c_str(), mask);
  if (watch < 0) {
    const int code = errno;
    if (!is_root && (code == ENOENT || code == ENOTDIR || code == ELOOP || code == EACCES))
      return -1;
    throw_system_error(code, "inotify_add_watch",
                       path + (code == ENOSPC ? limit_text("max_user_watches") : ""));
  }
  directories_[watch] = path;
  return watch;
}

// `told`: what is found is told there, and remembered in told_.
void watched_paths::add_below(const std::string& path, std::deque<entry>* told) {
  std::vector<std::string> left{path};
  while (!left.empty()) {
    const std::string here = std::move(left.back());
    left.pop_back();
    const auto d = try_open_directory(AT_FDCWD, here.c_str(), here == given_);
    if (!d) continue;  // gone meanwhile, or not to be read
    std::vector<directory_entry> found;
    for (bool more = true; more;) {
      found.clear();
      more = read_entries(d.get(), entries_at_once, here, found);
      for (auto& e : found) {
        std::string name = joined(here, e.name);
        const bool is_directory = e.kind == file_kind::directory;
        if (told && told_.insert(name).second)
          told->push_back({.event = {path_change::created, is_directory, name, {}}});
        if (is_directory && add(name, false) >= 0) left.push_back(std::move(name));
      }
    }
  }
}

std::string watched_paths::path_of(int watch, const std::string& name) const {
  if (name == only_) return given_;
  const auto at = directories_.find(watch);
  return joined(at->second, name);
}

std::optional<path_event> watched_paths::take() {
  while (!ready_.empty()) {
    auto& first = ready_.front();
    if (first.cookie != 0) return std::nullopt;
    const bool hidden = first.hidden;
    path_event event = std::move(first.event);
    ready_.pop_front();
    if (!hidden) return event;
  }
  return std::nullopt;
}

bool watched_paths::fetch() {
  for (;;) {
    const auto n = ::read(queue_.get(), room_.get(), room);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      told_.clear();
      return false;
    }
    check(n, "read of inotify", given_);
    const auto filled = static_cast<std::size_t>(n);
    for (std::size_t at = 0; at < filled;) {
      inotify_event e{};
      std::memcpy(&e, room_.get() + at, sizeof e);
      take_event(e, room_.get() + at + sizeof e);
      at += sizeof e + e.len;
    }
    return true;
  }
}

void watched_paths::take_event(const inotify_event& e, const char* text) {
  if (over_) return;
  if (e.mask & IN_Q_OVERFLOW) {
    lost_ = tree_;
    return push(path_change::overflow, given_, false);
  }
  if (!directories_.contains(e.wd)) return;  // its removal, or its move out, was told before
  if (e.mask & IN_IGNORED) {
    directories_.erase(e.wd);
    if (e.wd != root_) return;
    over_ = true;
  } else if (e.len != 0) {
    take_named(e.wd, e.mask, e.cookie, std::string(text, ::strnlen(text, e.len)));
  } else if (e.wd == root_) {
    take_own(e.mask);
  }
}

// What happens to the directory that is watched. A file's directory is not the user's.
void watched_paths::take_own(unsigned what) {
  if (what & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) {
    if (only_.empty()) push(path_change::removed, given_, true);
    over_ = true;
  } else if ((what & IN_ATTRIB) && only_.empty()) {
    push(path_change::attributes, given_, true);
  }
}

void watched_paths::take_named(int watch, unsigned what, std::uint32_t cookie, std::string name) {
  const bool is_wanted = wanted(name);
  const bool is_directory = (what & IN_ISDIR) != 0;
  std::string path = path_of(watch, name);
  if (what & IN_MOVED_TO) return came(std::move(path), cookie, is_directory, is_wanted);
  if (what & IN_MOVED_FROM) {
    told_.erase(path);
    ready_.push_back({.event = {path_change::removed, is_directory, std::move(path), {}},
                      .cookie = cookie,
                      .since = clock::now(),
                      .hidden = !is_wanted});
    return;
  }
  if (!is_wanted) return;
  if (what & IN_CREATE) return came(std::move(path), 0, is_directory, true);
  if (what & IN_DELETE) {
    told_.erase(path);
    return push(path_change::removed, std::move(path), is_directory);
  }
  push(what & IN_MODIFY ? path_change::modified : path_change::attributes, std::move(path),
       is_directory);
}

void watched_paths::push(path_change change, std::string path, bool is_directory) {
  ready_.push_back({.event = {change, is_directory, std::move(path), {}}});
}

// A name is there: the second half of a move, if the first half waits; else it is new here.
void watched_paths::came(std::string path, std::uint32_t cookie, bool is_directory,
                         bool is_wanted) {
  const auto first = cookie == 0 ? ready_.rend()
                                 : std::find_if(ready_.rbegin(), ready_.rend(),
                                                [=](const entry& e) { return e.cookie == cookie; });
  if (first != ready_.rend()) {
    first->cookie = 0;
    if (is_wanted || !first->hidden) return pair(*first, std::move(path), is_directory);
  }
  if (!is_wanted || told_.erase(path) != 0) return;
  push(path_change::created, std::move(path), is_directory);
  if (!is_directory || !tree_) return;
  ready_.back().looks = true;
  ++looks_;
}

// A file that takes the place of the watched one is told as new: its old name was not watched.
void watched_paths::pair(entry& first, std::string path, bool is_directory) {
  told_.erase(path);
  if (is_directory && tree_ && !rename_below(first.event.path, path)) {
    first.looks = true;  // it moved before it was watched
    ++looks_;
  }
  first.event.change = first.hidden ? path_change::created : path_change::moved;
  if (!first.hidden) first.event.from = std::move(first.event.path);
  first.event.path = std::move(path);
  first.hidden = false;
}

duration watched_paths::settle_moves() {
  if (ready_.empty()) return duration::max();
  auto& first = ready_.front();
  if (first.cookie == 0) return duration::zero();
  const auto left = time_left(saturating_add(first.since, move_limit_), clock::now());
  if (left > duration::zero()) return left;
  first.cookie = 0;
  if (first.event.is_directory && tree_) forget_below(first.event.path);
  return duration::zero();
}

// True: `from` itself is watched.
bool watched_paths::rename_below(const std::string& from, const std::string& to) {
  bool is_watched = false;
  for (auto& [watch, path] : directories_) {
    is_watched |= path == from;
    if (path == from || is_below(path, from)) path = to + path.substr(from.size());
  }
  return is_watched;
}

void watched_paths::forget_below(const std::string& top) {
  std::erase_if(directories_, [&](const auto& d) {
    if (d.second != top && !is_below(d.second, top)) return false;
    (void)::inotify_rm_watch(queue_.get(), d.first);
    return true;
  });
}

void watched_paths::look() {
  if (lost_) watch_all_again();
  std::deque<entry> all;
  for (auto& e : ready_) {
    const bool looks = std::exchange(e.looks, false);
    const std::string path = looks ? e.event.path : std::string();
    all.push_back(std::move(e));
    if (looks && add(path, false) >= 0) add_below(path, &all);
  }
  ready_.swap(all);
  looks_ = 0;
}

// Directories that came, moved or went while events were lost.
void watched_paths::watch_all_again() {
  lost_ = false;
  auto before = std::exchange(directories_, {});
  directories_[root_] = given_;
  add_below(given_, nullptr);
  for (const auto& [watch, path] : before)
    if (!directories_.contains(watch)) (void)::inotify_rm_watch(queue_.get(), watch);
}

}  // namespace heddle::detail
