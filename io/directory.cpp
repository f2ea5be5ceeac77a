// SPDX-License-Identifier: MIT
#include <heddle/io/directory.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/files/copying.h>
#include <heddle/io/files/file_threads.h>
#include <heddle/io/files/open_file.h>
#include <heddle/io/files/tree.h>
#include <heddle/io/files/whole_file.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <vector>

namespace heddle {
namespace detail {
namespace {

constexpr std::size_t most_a_batch = 512;

file_status look(const std::string& path, bool follow) {
  struct stat s{};
  check(follow ? ::stat(path.c_str(), &s) : ::lstat(path.c_str(), &s), follow ? "stat" : "lstat",
        path);
  return status_of(s);
}

bool is_there(const std::string& path) {
  struct stat s{};
  if (::stat(path.c_str(), &s) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  throw_system_error(errno, "stat", path);
}

/// True: a directory stands there now, whoever made it.
bool make_one(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) == 0) return true;
  const int code = errno;
  if (code == ENOENT) return false;
  struct stat s{};
  // EEXIST is the usual answer; a read-only disk answers EROFS also for what is there.
  if (::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode)) return true;
  throw_system_error(code, "mkdir", path);
}

/// Makes the path from its first missing part on.
void make_all(const std::string& path) {
  if (make_one(path)) return;
  for (auto slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1))
    if (!make_one(path.substr(0, slash)))
      throw_system_error(ENOENT, "mkdir", path.substr(0, slash));
  if (!make_one(path)) throw_system_error(ENOENT, "mkdir", path);
}

std::string text_of_link(const std::string& path) {
  std::string text(256, '\0');
  for (;;) {
    const auto n = check(::readlink(path.c_str(), text.data(), text.size()), "readlink", path);
    if (static_cast<std::size_t>(n) < text.size()) {
      text.resize(static_cast<std::size_t>(n));
      return text;
    }
    text.resize(text.size() * 2);
  }
}

/// A job with one path.
template <class Call>
auto with_path(std::string path, Call call) {
  check_path(path);
  return on_file_thread(std::move(call), std::move(path));
}

/// A job with two paths.
template <class Call>
auto with_paths(std::string one, std::string other, Call call) {
  check_path(one);
  check_path(other);
  return on_file_thread(std::move(call), std::move(one), std::move(other));
}

/// An open directory, shared with the job that reads it. It is closed off the loop.
struct listing {
  open_directory at;
  std::string path;
  std::vector<directory_entry> batch;
  bool more = true;

  void fetch() {
    if (!at) {
      at = try_open_directory(AT_FDCWD, path.c_str(), true);
      if (!at) throw_system_error(errno, "opendir", path);
    }
    batch.clear();
    more = read_entries(at.get(), most_a_batch, path, batch);
    if (!more) at.reset();
  }
};

/// While a job has the listing, the job closes it.
struct listing_closer {
  std::shared_ptr<listing> l;
  bool rests = false;  // no job has it, and it may be open
  explicit listing_closer(std::shared_ptr<listing> shared) : l(std::move(shared)) {}
  listing_closer(const listing_closer&) = delete;
  ~listing_closer() {
    if (rests) on_file_thread_alone([kept = std::move(l)]() mutable { kept.reset(); });
  }
};

async_generator<directory_entry> entries_of(std::string path) {
  auto here = std::make_shared<listing>();
  here->path = std::move(path);
  listing_closer at_end(here);
  for (bool more = true; more;) {
    at_end.rests = false;
    auto job = on_file_thread([](const std::shared_ptr<listing>& l) { l->fetch(); }, here);
    co_await job;
    more = here->more;
    at_end.rests = more;
    for (auto& e : here->batch) co_yield std::move(e);
  }
}

task<std::uint64_t> copy_in_steps(std::string from, std::string to, copy_options how) {
  auto opening =
      on_file_thread([](const std::string& f, const std::string& t,
                        const copy_options& o) { return std::make_shared<file_copy>(f, t, o); },
                     std::move(from), std::move(to), how);
  const std::shared_ptr<file_copy> copy = co_await opening;
  for (bool more = true; more;) {
    auto job = on_file_thread([](const std::shared_ptr<file_copy>& c) { return c->step(); }, copy);
    more = co_await job;
  }
  co_return copy->count();
}

std::string make_fresh_directory(const std::string& parent) {
  std::string path = parent + "/heddle-XXXXXX";
  if (!::mkdtemp(path.data())) throw_system_error(errno, "mkdtemp", path);
  return path;
}

void remove_alone(std::string path) noexcept {
  if (path.empty()) return;
  on_file_thread_alone([kept = std::move(path)] {
    try {
      (void)remove_whole_tree(kept);
    } catch (...) {}  // temporary_directory::remove() would have told it
  });
}

/// A directory that was made for a task that had gone must go, too.
struct made_directory {
  std::string path;
  explicit made_directory(std::string p) noexcept : path(std::move(p)) {}
  made_directory(made_directory&& other) noexcept
      : path(std::exchange(other.path, std::string())) {}
  ~made_directory() { remove_alone(std::move(path)); }
};

}  // namespace
}  // namespace detail

task<file_status> status(std::string path) {
  return detail::with_path(std::move(path),
                           [](const std::string& p) { return detail::look(p, true); });
}
task<file_status> link_status(std::string path) {
  return detail::with_path(std::move(path),
                           [](const std::string& p) { return detail::look(p, false); });
}
task<bool> exists(std::string path) {
  return detail::with_path(std::move(path),
                           [](const std::string& p) { return detail::is_there(p); });
}

task<> make_directory(std::string path, unsigned mode) {
  const auto rights = detail::checked<mode_t>(mode, "the mode of make_directory", 0, 07777);
  return detail::with_path(std::move(path), [rights](const std::string& p) {
    detail::check(::mkdir(p.c_str(), rights), "mkdir", p);
  });
}
task<> make_directory(std::string path) { return make_directory(std::move(path), 0777); }
task<> make_directories(std::string path) {
  return detail::with_path(std::move(path), [](const std::string& p) { detail::make_all(p); });
}

task<> remove_file(std::string path) {
  return detail::with_path(std::move(path), [](const std::string& p) {
    detail::check(::unlink(p.c_str()), "unlink", p);
  });
}
task<> remove_directory(std::string path) {
  return detail::with_path(
      std::move(path), [](const std::string& p) { detail::check(::rmdir(p.c_str()), "rmdir", p); });
}
task<std::uint64_t> remove_tree(std::string path) {
  return detail::with_path(std::move(path),
                           [](const std::string& p) { return detail::remove_whole_tree(p); });
}

task<> rename(std::string from, std::string to) {
  return detail::with_paths(
      std::move(from), std::move(to), [](const std::string& f, const std::string& t) {
        if (::rename(f.c_str(), t.c_str()) == 0) return;
        const int code = errno;
        throw_system_error(code, "rename",
                           f + " to " + t + (code == EXDEV ? " (on another file system)" : ""));
      });
}
task<> make_link(std::string target, std::string path) {
  return detail::with_paths(std::move(target), std::move(path),
                            [](const std::string& f, const std::string& t) {
                              detail::check(::link(f.c_str(), t.c_str()), "link", f + " to " + t);
                            });
}
task<> make_symlink(std::string target, std::string path) {
  return detail::with_paths(
      std::move(target), std::move(path), [](const std::string& f, const std::string& t) {
        detail::check(::symlink(f.c_str(), t.c_str()), "symlink", t + " -> " + f);
      });
}
task<std::string> read_link(std::string path) {
  return detail::with_path(std::move(path),
                           [](const std::string& p) { return detail::text_of_link(p); });
}

async_generator<directory_entry> list_directory(std::string path) {
  detail::check_path(path);
  return detail::entries_of(std::move(path));
}

task<std::uint64_t> copy_file(std::string from, std::string to, copy_options options) {
  detail::check_path(from);
  detail::check_path(to);
  return detail::copy_in_steps(std::move(from), std::move(to), options);
}
task<std::uint64_t> copy_file(std::string from, std::string to) {
  return copy_file(std::move(from), std::move(to), copy_options());
}

temporary_directory& temporary_directory::operator=(temporary_directory&& other) noexcept {
  if (this != &other) {
    detail::remove_alone(std::move(path_));
    path_ = std::exchange(other.path_, std::string());
  }
  return *this;
}
temporary_directory::~temporary_directory() { detail::remove_alone(std::move(path_)); }

task<temporary_directory> temporary_directory::make(std::string parent) {
  detail::check_path(parent);
  auto job = detail::on_file_thread(
      [](const std::string& p) { return detail::made_directory(detail::make_fresh_directory(p)); },
      std::move(parent));
  auto made = co_await job;
  temporary_directory result(std::exchange(made.path, std::string()));
  co_return result;
}
task<temporary_directory> temporary_directory::make() { return make(detail::temporary_place()); }

const std::string& temporary_directory::path() const {
  if (path_.empty()) throw usage_error("this temporary directory was moved from, or removed");
  return path_;
}
task<> temporary_directory::remove() {
  (void)path();
  return detail::with_path(std::exchange(path_, std::string()),
                           [](const std::string& p) { (void)detail::remove_whole_tree(p); });
}
std::string temporary_directory::release() {
  (void)path();
  return std::exchange(path_, std::string());
}

}  // namespace heddle
