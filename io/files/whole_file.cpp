// SPDX-License-Identifier: MIT
#include <heddle/io/files/whole_file.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/file.h>
#include <heddle/io/files/file_threads.h>
#include <heddle/io/files/open_file.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>

namespace heddle {
namespace detail {

std::string directory_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string temporary_place() {
  const char* said = std::getenv("TMPDIR");
  return said && *said ? said : "/tmp";
}

fresh_file::fresh_file(const std::string& directory, std::string_view prefix)
    : path_(directory + "/" + std::string(prefix) + "XXXXXX") {
  descriptor_ = fd(check(::mkostemp(path_.data(), O_CLOEXEC), "mkostemp", path_));
}

fresh_file::~fresh_file() {
  if (!kept_) (void)::unlink(path_.c_str());
}

void sync_directory(const std::string& directory) {
  const fd d(
      check(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", directory));
  // EINVAL: this file system has nothing to wait for.
  if (::fsync(d.get()) != 0 && errno != EINVAL) throw_system_error(errno, "fsync", directory);
}

// umask() can only be read by changing it, and files that other threads make meanwhile would get
// the wrong rights. The kernel tells it in /proc. Without /proc the strictest usual one is taken.
mode_t less_umask(mode_t mode) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "Umask:") continue;
    std::string digits;
    std::uint64_t mask = 0;
    if (status >> digits && parse_digits(digits, 0777, mask, 8))
      return mode & ~static_cast<mode_t>(mask);
  }
  return mode & ~mode_t{077};
}

namespace {

std::string read_up_to(const std::string& path, std::size_t most) {
  const auto f = open_by_path(path, file_options());
  std::string all = f->read(0, most == PTRDIFF_MAX ? most : most + 1);
  if (all.size() > most)
    throw limit_overrun_error(
        "read_file of " + path + ": it holds more than `most`, " + std::to_string(most) + " bytes",
        0);
  return all;
}

void flush(int descriptor, const std::string& path) { check(::fsync(descriptor), "fsync", path); }

void write_in_place(const std::string& path, std::string_view bytes,
                    const write_file_options& how) {
  file_options o;
  o.read = false;
  o.write = true;
  o.create = true;
  o.append = how.append;
  o.truncate = !how.append;
  o.mode = how.mode;
  const auto f = open_by_path(path, o);
  f->write(0, bytes);
  if (how.durable) f->sync(false);
  f->begin_close();
  f->close();
}

/// The old content or the new one stands at the path at each moment, whatever fails.
void write_beside(const std::string& path, std::string_view bytes, const write_file_options& how) {
  const auto directory = directory_of(path);
  const auto name = path.substr(path.find_last_of('/') + 1);
  fresh_file fresh(directory, "." + name.substr(0, 200) + ".");
  write_whole(fresh.descriptor(), 0, bytes, fresh.path());
  struct stat old{};
  const bool replaces = ::lstat(path.c_str(), &old) == 0 && S_ISREG(old.st_mode);
  mode_t mode = replaces ? old.st_mode & 07777 : less_umask(how.mode);
  // A file that stays ours must not run with the rights that its set-id bits gave to another user.
  if (replaces && ::fchown(fresh.descriptor(), old.st_uid, old.st_gid) != 0) mode &= 0777;
  check(::fchmod(fresh.descriptor(), mode), "fchmod", fresh.path());
  if (how.durable) flush(fresh.descriptor(), fresh.path());
  check(::rename(fresh.path().c_str(), path.c_str()), "rename", fresh.path() + " to " + path);
  fresh.keep();
  if (how.durable) sync_directory(directory);
}

/// Without a name from the start, where the file system can do that.
std::shared_ptr<open_file> open_temporary(const std::string& directory) {
  file_options o;
  o.write = true;
  fd unnamed(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600));
  if (!unnamed.valid()) {
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
      throw_system_error(errno, "open with O_TMPFILE", directory);
    fresh_file named(directory, "heddle-");
    unnamed = named.take_descriptor();
  }
  return std::make_shared<open_file>(std::move(unnamed), "(a temporary file in " + directory + ")",
                                     o);
}

}  // namespace
}  // namespace detail

task<std::string> read_file(std::string path, std::size_t most) {
  detail::check_path(path);
  (void)detail::checked<std::size_t>(most, "the limit of read_file", 0, PTRDIFF_MAX);
  return detail::on_file_thread(
      [](const std::string& p, std::size_t n) { return detail::read_up_to(p, n); }, std::move(path),
      most);
}
task<std::string> read_file(std::string path) {
  return read_file(std::move(path), default_most_read);
}

task<> write_file(std::string path, file_bytes bytes, write_file_options options) {
  detail::check_path(path);
  if (options.atomic && options.append)
    throw bad_value("write_file_options: append cannot be atomic");
  (void)detail::checked<unsigned>(options.mode, "write_file_options.mode", 0, 07777);
  return detail::on_file_thread(
      [](const std::string& p, const std::string& b, const write_file_options& o) {
        if (o.atomic)
          detail::write_beside(p, b, o);
        else
          detail::write_in_place(p, b, o);
      },
      std::move(path), std::string(bytes.take()), options);
}
task<> write_file(std::string path, file_bytes bytes) {
  return write_file(std::move(path), std::move(bytes), write_file_options());
}

task<file> temporary_file(std::string directory) {
  detail::check_path(directory);
  auto job = detail::on_file_thread([](const std::string& d) { return detail::open_temporary(d); },
                                    std::move(directory));
  auto state = co_await job;
  file opened = detail::file_access::make(std::move(state));
  co_return opened;
}
task<file> temporary_file() { return temporary_file(detail::temporary_place()); }

}  // namespace heddle
