// SPDX-License-Identifier: MIT
#include <heddle/io/files/copying.h>

#include <heddle/core/errors.h>
#include <heddle/io/files/open_file.h>
#include <heddle/io/files/whole_file.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace heddle::detail {
namespace {

constexpr std::uint64_t most_a_step = 64ull * 1024 * 1024;
constexpr std::size_t piece = 256 * 1024;  // of a copy by reading and writing

fd open_source(const std::string& path, struct stat& s) {
  const auto f = open_by_path(path, file_options());  // refuses what has no end
  fd own(check(::fcntl(f->descriptor(), F_DUPFD_CLOEXEC, 0), "fcntl", path));
  check(::fstat(own.get(), &s), "fstat", path);
  return own;
}

}  // namespace

file_copy::file_copy(std::string from, std::string to, const copy_options& how)
    : from_(std::move(from)), to_(std::move(to)), how_(how) {
  open_both();
  // An empty size may be one of /proc, which only reading tells.
  if (status_.st_size == 0) way_ = way::hands;
  if (way_ == way::kernel && share_blocks()) at_ = static_cast<std::uint64_t>(status_.st_size);
}

void file_copy::open_both() {
  source_ = open_source(from_, status_);
  struct stat there{};
  if (::stat(to_.c_str(), &there) == 0 && there.st_dev == status_.st_dev &&
      there.st_ino == status_.st_ino)
    throw bad_value("copy_file: " + from_ + " and " + to_ + " are the same file");
  file_options o;
  o.write = true;
  o.read = false;
  o.create = how_.replace;
  o.create_new = !how_.replace;
  o.mode = how_.keep_mode ? 0600 : 0666;  // narrow, until the rights are set at the end
  const auto f = open_by_path(to_, o);
  target_ = fd(check(::fcntl(f->descriptor(), F_DUPFD_CLOEXEC, 0), "fcntl", to_));
  // Opened first and cut off then: the other name may have become this file meanwhile.
  check(::fstat(target_.get(), &there), "fstat", to_);
  if (there.st_dev == status_.st_dev && there.st_ino == status_.st_ino)
    throw bad_value("copy_file: " + from_ + " and " + to_ + " are the same file");
  if (S_ISREG(there.st_mode)) check(::ftruncate(target_.get(), 0), "ftruncate", to_);
}

bool file_copy::share_blocks() { return ::ioctl(target_.get(), FICLONE, source_.get()) == 0; }

bool file_copy::next_data(std::uint64_t& begin, std::uint64_t& end) const {
  const auto size = static_cast<std::uint64_t>(status_.st_size);
  begin = at_;
  end = size;
  const auto data = ::lseek(source_.get(), static_cast<off_t>(at_), SEEK_DATA);
  if (data < 0) return errno != ENXIO;  // ENXIO: a hole up to the end. Else: holes are not told
  begin = static_cast<std::uint64_t>(data);
  const auto hole = ::lseek(source_.get(), data, SEEK_HOLE);
  if (hole >= 0) end = std::min(size, static_cast<std::uint64_t>(hole));
  return begin < size;
}

bool file_copy::step() {
  const auto size = static_cast<std::uint64_t>(status_.st_size);
  if (size == 0) {  // up to the end, wherever that is
    const auto n = copy_by_hands(most_a_step);
    if (n != 0) return true;
    finish();
    return false;
  }
  std::uint64_t begin = at_;
  std::uint64_t end = size;
  if (at_ >= size || !next_data(begin, end)) {
    at_ = size;
    finish();
    return false;
  }
  at_ = begin;
  if (copy_range(std::min(end - begin, most_a_step)) == 0) {  // it became shorter meanwhile
    status_.st_size = static_cast<off_t>(at_);
    finish();
    return false;
  }
  return true;
}

std::uint64_t file_copy::copy_range(std::uint64_t most) {
  if (way_ == way::hands) return copy_by_hands(most);
  auto in = static_cast<off_t>(at_);
  auto out = static_cast<off_t>(at_);
  for (;;) {
    const auto n = ::copy_file_range(source_.get(), &in, target_.get(), &out, most, 0);
    if (n > 0) {
      at_ += static_cast<std::uint64_t>(n);
      return static_cast<std::uint64_t>(n);
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
      throw incomplete_write_error(errno, "copy_file_range " + from_ + " to " + to_, at_);
    // Other file systems, and files that the kernel makes up, refuse, or answer 0.
    way_ = way::hands;
    return copy_by_hands(most);
  }
}

std::uint64_t file_copy::copy_by_hands(std::uint64_t most) {
  std::uint64_t copied = 0;
  while (copied < most) {
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(most - copied, piece));
    const std::string bytes = read_whole(source_.get(), at_, room, from_);
    if (bytes.empty()) break;
    try {
      write_whole(target_.get(), static_cast<std::int64_t>(at_), bytes, to_);
    } catch (const incomplete_write_error& e) {
      throw incomplete_write_error(e.code().value(), "copy " + from_ + " to " + to_,
                                   at_ + e.written());
    }
    at_ += bytes.size();
    copied += bytes.size();
  }
  return copied;
}

void file_copy::finish() {
  struct stat there{};
  check(::fstat(target_.get(), &there), "fstat", to_);
  if (S_ISREG(there.st_mode)) {
    // A hole at the end is no data, so nothing was written there.
    check(::ftruncate(target_.get(), static_cast<off_t>(at_)), "ftruncate", to_);
    if (how_.keep_mode) check(::fchmod(target_.get(), status_.st_mode & 07777), "fchmod", to_);
  }
  if (how_.keep_times) {
    const timespec times[2] = {status_.st_atim, status_.st_mtim};
    check(::futimens(target_.get(), times), "futimens", to_);
  }
  const int number = target_.release();
  if (::close(number) != 0 && errno != EINTR) throw_system_error(errno, "close", to_);
}

}  // namespace heddle::detail
