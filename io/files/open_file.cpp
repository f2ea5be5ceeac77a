// SPDX-License-Identifier: MIT
#include <heddle/io/files/open_file.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

namespace heddle::detail {
namespace {

constexpr std::size_t first_room = 64 * 1024;      // for a read to an end that is not known
constexpr std::size_t most_at_once = 1024 * 1024;  // memory for a read, before the size is asked

/// A write above RLIMIT_FSIZE raises SIGXFSZ, which ends the process by default. It is blocked here
/// for the time of a write, and one that the write raised is taken back.
class no_size_signal {
 public:
  no_size_signal() noexcept {
    ::sigemptyset(&size_);
    ::sigaddset(&size_, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &size_, &before_);
  }
  no_size_signal(const no_size_signal&) = delete;
  ~no_size_signal() {
    if (::sigismember(&before_, SIGXFSZ) == 1) return;
    const int saved = errno;
    if (raised) {
      const timespec now{};
      (void)::sigtimedwait(&size_, nullptr, &now);
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = saved;
  }
  bool raised = false;

 private:
  sigset_t size_;
  sigset_t before_;
};

/// The kernels 5.9 and 5.10 say "end of the file" where they should say "not in memory". No kernel
/// is trusted with that word here, so theirs need no special case.
ssize_t read_no_wait(int descriptor, std::span<char> into, std::uint64_t at) noexcept {
  const iovec piece{into.data(), into.size()};
  return ::preadv2(descriptor, &piece, 1, static_cast<off_t>(at), RWF_NOWAIT);
}

/// One read that is not interrupted. 0: the end.
std::size_t read_once(int descriptor, std::span<char> into, std::uint64_t at,
                      const std::string& path) {
  for (;;) {
    const auto n = ::pread(descriptor, into.data(), std::min(into.size(), most_a_call),
                           static_cast<off_t>(at));
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) throw_system_error(errno, "pread", path);
  }
}

/// How much memory a read of `n` bytes begins with.
std::size_t room_for(int descriptor, std::uint64_t at, std::size_t n) noexcept {
  if (n <= most_at_once) return n;
  struct stat s{};
  if (::fstat(descriptor, &s) != 0 || s.st_size <= 0) return first_room;
  const auto size = static_cast<std::uint64_t>(s.st_size);
  const std::uint64_t left = size > at ? size - at : 0;
  // One byte more: the read that finds the end needs room.
  return std::min<std::size_t>(n, std::max<std::size_t>(left + 1, first_room));
}

[[noreturn]] void refuse(const std::string& path, file_kind kind) {
  const char* instead = kind == file_kind::socket ? "connect to it by open_unix_connection"
                                                  : "read and write it as a stream, by a pipe";
  throw bad_value("open " + path + ": this is " + std::string(to_string(kind)) +
                  (kind == file_kind::character_device ? " that is a terminal" : "") +
                  ", which has no positions; " + instead);
}

/// ENXIO says that a FIFO has no reader, that a path is a socket, or that a device is not there.
[[noreturn]] void explain_open_error(int code, const std::string& path) {
  struct stat s{};
  if ((code == ENXIO || code == EOPNOTSUPP) && ::stat(path.c_str(), &s) == 0 &&
      (S_ISFIFO(s.st_mode) || S_ISSOCK(s.st_mode)))
    refuse(path, kind_of(s.st_mode));
  throw_system_error(code, "open", path);
}

}  // namespace

void check_path(std::string_view path) {
  if (path.find('\0') != std::string_view::npos)
    throw bad_value("a path must not hold a zero byte: \"" +
                    std::string(path.substr(0, path.find('\0'))) + "\\0...\"");
}

int flags_of(const file_options& o) {
  const bool writes = o.write || o.append;
  if (!o.read && !writes) throw bad_value("file_options: none of read, write and append is set");
  if (o.truncate && (!o.write || o.append))
    throw bad_value("file_options: truncate needs write, without append");
  if ((o.create || o.create_new) && !writes)
    throw bad_value("file_options: create and create_new need write or append");
  (void)checked<unsigned>(o.mode, "file_options.mode", 0, 07777);
  (void)checked<std::size_t>(o.limit, "file_options.limit", 1, PTRDIFF_MAX);
  int flags =
      O_CLOEXEC | O_NOCTTY | O_NONBLOCK;  // O_NONBLOCK: a FIFO is to be refused, not awaited
  flags |= writes ? (o.read ? O_RDWR : O_WRONLY) : O_RDONLY;
  if (o.append) flags |= O_APPEND;
  if (o.create || o.create_new) flags |= O_CREAT;
  if (o.create_new) flags |= O_EXCL;
  if (o.truncate) flags |= O_TRUNC;
  if (!o.follow_links) flags |= O_NOFOLLOW;
  return flags;
}

std::shared_ptr<open_file> open_by_path(const std::string& path, const file_options& how) {
  int number = -1;
  do {
    number = ::open(path.c_str(), flags_of(how), how.mode);
  } while (number < 0 && errno == EINTR);
  if (number < 0) explain_open_error(errno, path);
  fd opened(number);
  struct stat s{};
  check(::fstat(number, &s), "fstat", path);
  const auto kind = kind_of(s.st_mode);
  if (kind == file_kind::directory) throw_system_error(EISDIR, "open", path);
  if (kind == file_kind::fifo || kind == file_kind::socket ||
      (kind == file_kind::character_device && ::isatty(number) == 1))
    refuse(path, kind);
  // A device would answer EAGAIN where it should wait: on a file thread it may.
  const int flags = ::fcntl(number, F_GETFL);
  if (flags >= 0) (void)::fcntl(number, F_SETFL, flags & ~O_NONBLOCK);
  return std::make_shared<open_file>(std::move(opened), path, how);
}

open_file::open_file(fd descriptor, std::string where, const file_options& how)
    : path(std::move(where)),
      reads(how.read),
      writes(how.write || how.append),
      appends(how.append),
      line_limit(how.limit),
      descriptor_(std::move(descriptor)) {}

bool open_file::is_open() const noexcept {
  const std::lock_guard hold(lock_);
  return !closing_;
}

int open_file::number() const noexcept {
  const std::lock_guard hold(lock_);
  return descriptor();
}

void open_file::enter() {
  const std::lock_guard hold(lock_);
  if (closing_) throw usage_error("this file was closed: " + path);
  ++uses_;
}

void open_file::leave() noexcept {
  const std::lock_guard hold(lock_);
  if (--uses_ == 0 && closing_) unused_.notify_all();
}

void open_file::begin_close() {
  const std::lock_guard hold(lock_);
  if (closing_) throw usage_error("this file was closed before: " + path);
  closing_ = true;
}

void open_file::close() {
  std::unique_lock hold(lock_);
  unused_.wait(hold, [this] { return uses_ == 0; });
  const int number = descriptor_.release();
  hold.unlock();
  // Linux has closed it also when it answers EINTR.
  if (::close(number) != 0 && errno != EINTR) throw_system_error(errno, "close", path);
}

std::string read_whole(int descriptor, std::uint64_t at, std::size_t n, const std::string& path) {
  std::string out;
  std::size_t filled = 0;
  std::size_t room = room_for(descriptor, at, n);
  while (filled < n) {
    if (out.size() == filled) {
      out.resize(std::min(n, std::max(room, filled + std::max(filled / 2, first_room))));
      room = 0;
    }
    const auto got = read_once(descriptor, std::span(out).subspan(filled),
                               saturating_sum<std::uint64_t>(at, filled), path);
    if (got == 0) break;
    filled += got;
  }
  out.resize(filled);
  return out;
}

std::string open_file::read(std::uint64_t at, std::size_t n) const {
  return read_whole(descriptor(), at, n, path);
}

std::size_t open_file::read(std::uint64_t at, std::span<char> into) const {
  std::size_t filled = 0;
  while (filled < into.size()) {
    const auto got = read_once(descriptor(), into.subspan(filled), at + filled, path);
    if (got == 0) break;
    filled += got;
  }
  return filled;
}

void write_whole(int descriptor, std::int64_t at, std::string_view bytes, const std::string& path) {
  no_size_signal quiet;
  const char* const call = at < 0 ? "write" : "pwrite";
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto piece = bytes.substr(done, most_a_call);
    const auto n =
        at < 0 ? ::write(descriptor, piece.data(), piece.size())
               : ::pwrite(descriptor, piece.data(), piece.size(), at + static_cast<off_t>(done));
    if (n > 0) {
      done += static_cast<std::size_t>(n);
      continue;
    }
    const int code = n == 0 ? ENOSPC : errno;  // 0: a device that is full says it so
    if (code == EINTR) continue;
    quiet.raised = code == EFBIG;
    throw incomplete_write_error(code, std::string(call) + " " + path, done);
  }
}

void open_file::write(std::uint64_t at, std::string_view bytes) {
  struct counter {
    atomic<std::uint32_t>& n;
    // pairs with the load in the reading of lines
    ~counter() { n.fetch_add(1, release); }
  } at_end{changes};
  write_whole(descriptor(), appends ? -1 : static_cast<std::int64_t>(at), bytes, path);
}

void open_file::truncate(std::uint64_t size) {
  no_size_signal quiet;
  while (::ftruncate(descriptor(), static_cast<off_t>(size)) != 0) {
    if (errno == EINTR) continue;
    quiet.raised = errno == EFBIG;
    throw_system_error(errno, "ftruncate", path);
  }
  // pairs with the load in the reading of lines
  changes.fetch_add(1, release);
}

file_status open_file::status() const {
  struct stat s{};
  check(::fstat(descriptor(), &s), "fstat", path);
  return status_of(s);
}

void open_file::sync(bool data_alone) {
  const char* const call = data_alone ? "fdatasync" : "fsync";
  // pairs with the store below
  if (const int before = sync_error_.load(acquire))
    throw_system_error(before, call, path + " (an earlier call failed, so data may be lost)");
  int rc = 0;
  do {
    rc = data_alone ? ::fdatasync(descriptor()) : ::fsync(descriptor());
  } while (rc != 0 && errno == EINTR);
  if (rc == 0) return;
  const int code = errno;
  // pairs with the load above
  sync_error_.store(code, release);
  throw_system_error(code, call, path);
}

bool open_file::lock(int operation) const {
  for (;;) {
    if (::flock(descriptor(), operation | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) throw_system_error(errno, "flock", path);
  }
}

ssize_t open_file::read_cached(std::uint64_t at, std::span<char> into) noexcept {
  if (!cached_.load(relaxed)) return -1;
  const auto n = read_no_wait(descriptor(), into, at);
  if (n > 0) return n;
  // Some file systems do not know the flag. Then this file is not asked again, but others are.
  if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
    cached_.store(false, relaxed);
  return -1;
}

file_kind kind_of(mode_t mode) noexcept {
  switch (mode & S_IFMT) {
    case S_IFREG: return file_kind::regular;
    case S_IFDIR: return file_kind::directory;
    case S_IFLNK: return file_kind::symlink;
    case S_IFIFO: return file_kind::fifo;
    case S_IFSOCK: return file_kind::socket;
    case S_IFCHR: return file_kind::character_device;
    case S_IFBLK: return file_kind::block_device;
    default: return file_kind::unknown;
  }
}

file_status status_of(const struct stat& s) noexcept {
  const auto time = [](const timespec& t) {
    return file_time(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
  };
  file_status f;
  f.kind = kind_of(s.st_mode);
  f.size = static_cast<std::uint64_t>(s.st_size);
  f.mode = s.st_mode & 07777;
  f.user = s.st_uid;
  f.group = s.st_gid;
  f.links = s.st_nlink;
  f.inode = s.st_ino;
  f.device = s.st_dev;
  f.blocks = static_cast<std::uint64_t>(s.st_blocks);
  f.modified = time(s.st_mtim);
  f.accessed = time(s.st_atim);
  f.changed = time(s.st_ctim);
  return f;
}

}  // namespace heddle::detail

namespace heddle {

std::string_view to_string(file_kind kind) noexcept {
  switch (kind) {
    case file_kind::regular: return "a file";
    case file_kind::directory: return "a directory";
    case file_kind::symlink: return "a symbolic link";
    case file_kind::fifo: return "a FIFO";
    case file_kind::socket: return "a socket";
    case file_kind::character_device: return "a character device";
    case file_kind::block_device: return "a block device";
    case file_kind::unknown: break;
  }
  return "of an unknown kind";
}

incomplete_write_error::incomplete_write_error(int code, const std::string& what,
                                               std::uint64_t written)
    : std::system_error(code, std::generic_category(),
                        what + " (after " + std::to_string(written) + " bytes)"),
      written_(written) {}

}  // namespace heddle
