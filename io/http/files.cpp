// SPDX-License-Identifier: MIT
#include <heddle/io/http/files.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/content/directory_page.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <system_error>
#include <vector>

namespace heddle::http {
namespace {

// Without O_NONBLOCK, opening a FIFO that was left in the tree would hang the thread.
constexpr int open_flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

struct coded_name {
  coding how;
  std::string_view suffix;
};
/// The smallest ones first.
constexpr std::array<coded_name, 3> coded_names = {coded_name{coding::br, ".br"},
                                                   coded_name{coding::zstd, ".zst"},
                                                   coded_name{coding::gzip, ".gz"}};

/// Changes when the size or the time of the content does. The time is in nanoseconds, so that two
/// quick edits differ. The coding is in it too: files that were unpacked together may have equal
/// times.
std::string make_etag(const struct stat& s, coding how) {
  std::array<char, 64> text;
  char* p = text.data();
  char* const end = p + text.size();
  *p++ = '"';
  p = std::to_chars(p, end, s.st_mtim.tv_sec, 16).ptr;
  *p++ = '-';
  p = std::to_chars(p, end, s.st_mtim.tv_nsec, 16).ptr;
  *p++ = '-';
  p = std::to_chars(p, end, s.st_size, 16).ptr;
  std::string tag(text.data(), p);
  if (how != coding::identity) tag.append("-").append(name_of(how));
  return tag += '"';
}

/// True if content of that type may become smaller by a coding.
bool may_be_packed(std::string_view type) noexcept {
  if (type == "image/svg+xml" || type == "image/bmp" || type == "audio/wav") return true;
  for (const std::string_view packed :
       {"image/", "audio/", "video/", "application/zip", "application/gzip", "font/woff"})
    if (type.starts_with(packed)) return false;
  return true;
}

/// All lines of the field as one list.
std::string list_of(const headers& h, std::string_view name) {
  std::string all;
  for (const auto line : h.all(name)) all.append(all.empty() ? "" : ", ").append(line);
  return all;
}

void check_index(const std::string& name) {
  const bool fine = !name.empty() && name != "." && name != ".." &&
                    name.find_first_of(std::string_view("/\0", 2)) == std::string::npos;
  if (!fine)
    throw bad_value("files_options::index: \"" + printable(name) + "\" is no name of a file");
}

file_answer failure(int status) {
  file_answer a;
  a.head = response::error(status);
  return a;
}

/// The answer if a file could not be opened. 404 only if there is no file for the client.
file_answer failure_of(int error, const std::string& name) {
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN: {  // the tree was being changed, again and again
      auto a = failure(503);
      a.head.headers.add("Retry-After", "1");
      return a;
    }
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
    case EINVAL:
    case ENXIO:
    case ENODEV: return failure(404);
    default: throw std::system_error(error, std::generic_category(), "open " + printable(name));
  }
}

/// The target with a slash behind its path. There is exactly one slash before it: browsers take
/// "//x/" and "/\\x/" for a host.
std::string with_slash(std::string_view path, std::string_view query) {
  path.remove_prefix(std::min(path.find_first_not_of("/\\"), path.size()));
  std::string where = "/";
  where.append(path).append("/");
  if (!query.empty()) where.append("?").append(query);
  return where;
}

/// For a directory whose target lacks its slash.
std::optional<file_answer> elsewhere_of(const request& r) {
  std::string_view path = r.target;
  path = path.substr(0, path.find('?'));
  if (!path.starts_with('/')) {  // the absolute form, or a request made by hand
    const auto scheme = path.find("://");
    if (scheme == std::string_view::npos) return std::nullopt;
    const auto slash = path.find('/', scheme + 3);
    path = slash == std::string_view::npos ? std::string_view("/") : path.substr(slash);
  }
  if (path.ends_with('/')) return std::nullopt;
  auto a = failure(301);
  a.head.headers.add("Location", with_slash(path, r.raw_query()));
  return a;
}

/// File systems on disks and in memory. A network's could ask its server for a file's size.
bool is_local(int directory) noexcept {
  struct statfs s{};
  if (::fstatfs(directory, &s) != 0) return false;
  constexpr std::array<std::uint32_t, 9> known = {
      EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,       BTRFS_SUPER_MAGIC, TMPFS_MAGIC,         RAMFS_MAGIC,
      F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, SQUASHFS_MAGIC,    EROFS_SUPER_MAGIC_V1};
  return std::ranges::find(known, static_cast<std::uint32_t>(s.f_type)) != known.end();
}

/// Opens what the kernel finds without a disk and without leaving the file system of `directory`.
file_handle open_what_is_cached(int directory, const char* path) noexcept {
  open_how with{};
  with.flags = open_flags;
  with.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV | RESOLVE_CACHED;
  return file_handle(static_cast<int>(::syscall(SYS_openat2, directory, path, &with, sizeof with)));
}

/// False: the kernel is older than 5.12, or a sandbox forbids the call. Each request would find
/// that out by an error.
bool opens_cached(int directory) noexcept {
  return static_cast<bool>(open_what_is_cached(directory, ".")) || errno == EAGAIN;
}

}  // namespace

file_handle::~file_handle() {
  if (fd_ >= 0) ::close(fd_);
}

std::size_t file_answer::read(std::span<char> into) {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), length));
  if (wanted == 0 || !file) return 0;
  for (;;) {
    const auto n = ::pread(file.get(), into.data(), wanted, static_cast<off_t>(offset));
    if (n > 0) {
      offset += static_cast<std::uint64_t>(n);
      length -= static_cast<std::uint64_t>(n);
      return static_cast<std::size_t>(n);
    }
    if (n == 0)
      throw std::system_error(EIO, std::generic_category(), "pread: the file became shorter");
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "pread");
  }
}

bool file_answer::read_at_once(std::span<char> into) const noexcept {
  if (into.size() != length) return false;
  const iovec piece{into.data(), into.size()};
  return ::preadv2(file.get(), &piece, 1, static_cast<off_t>(offset), RWF_NOWAIT) ==
         static_cast<ssize_t>(into.size());
}

/// How files are opened for one answer.
struct file_root::look {
  bool may_block = true;
  bool unsure = false;  // something could not be opened without blocking: the answer is worthless
};

/// A file beside the one that was asked for.
struct file_root::coded {
  coding how = coding::identity;
  file_handle file;
  struct stat info{};
};

file_root::file_root(const std::string& directory, resolver how)
    : file_root(directory, files_options(), how) {}

file_root::file_root(const std::string& directory, files_options options, resolver how)
    : root_(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)),
      options_(std::move(options)),
      how_(how) {
  if (!root_) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot open the directory " + directory);
  }
  is_local_ = is_local(root_.get()) && opens_cached(root_.get());
  for (const auto& name : options_.index) check_index(name);
}

file_answer file_root::answer(const request& r, std::string_view path) const {
  look how;
  return answer(how, r, path);
}

std::optional<file_answer> file_root::answer_at_once(const request& r,
                                                     std::string_view path) const {
  if (how_ != resolver::automatic || !is_local_) return std::nullopt;
  look how;
  how.may_block = false;
  try {
    auto a = answer(how, r, path);
    if (!how.unsure) return a;
  } catch (const std::system_error&) {}  // answer() will say it where an error is waited for
  return std::nullopt;
}

file_answer file_root::answer(look& how, const request& r, std::string_view path) const {
  if (r.method != method::get && r.method != method::head) {
    auto a = failure(405);
    a.head.headers.add("Allow", "GET, HEAD");
    return a;
  }
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  if (path.find('\0') != std::string_view::npos) return failure(404);
  std::string name(path.empty() ? "." : path);
  struct stat info{};
  auto file = open(how, name);
  if (!file || ::fstat(file.get(), &info) != 0) return failure_of(errno, name);
  if (S_ISDIR(info.st_mode)) return answer_directory(how, r, std::move(file), std::move(name));
  if (name.back() == '/' || !S_ISREG(info.st_mode)) return failure(404);
  return answer_file(how, r, std::move(file), info, name);
}

file_answer file_root::answer_directory(look& how, const request& r, file_handle directory,
                                        std::string name) const {
  if (auto elsewhere = elsewhere_of(r)) return std::move(*elsewhere);
  if (name.back() != '/') name += '/';
  for (const auto& index : options_.index) {
    const std::string there = name + index;
    file_handle file;
    struct stat info{};
    if (open_regular(how, there, file, info))
      return answer_file(how, r, std::move(file), info, there);
    const int error = errno;
    auto failed = failure_of(error, there);
    if (failed.head.status != 404) return failed;
  }
  if (!options_.listing) return failure(404);
  how.unsure |= !how.may_block;
  if (how.unsure) return {};
  return list(std::move(directory), name);
}

file_answer file_root::list(file_handle directory, const std::string& name) const {
  using kind = detail::directory_entry::kind;
  detail::first_entries found(options_.listing_limit);
  detail::read_entries(directory.release(), found);
  auto entries = found.take();
  std::erase_if(entries, [&](detail::directory_entry& e) {
    if (e.is != kind::unknown) return false;
    struct stat info{};
    look how;
    const auto file = open(how, name + e.name);
    if (!file || ::fstat(file.get(), &info) != 0) return true;
    e.is = S_ISDIR(info.st_mode) ? kind::directory : kind::file;
    return !S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode);
  });
  const bool is_root = name == "./";
  std::string more;
  if (found.is_cut())
    more =
        "There are more entries: listing_limit is " + std::to_string(options_.listing_limit) + ".";
  file_answer a;
  a.head = response::html(
      detail::directory_page("Index of /" + (is_root ? "" : name), !is_root, entries, more));
  return a;
}

/// True: `file` is that regular file. False: errno says why not.
bool file_root::open_regular(look& how, const std::string& path, file_handle& file,
                             struct stat& info) const {
  file = open(how, path);
  if (!file || ::fstat(file.get(), &info) != 0) return false;
  if (S_ISREG(info.st_mode)) return true;
  errno = ENOENT;
  return false;
}

/// Finds the file beside `name` whose coding the client likes best. False: the client likes `name`
/// itself best, or there is none.
bool file_root::pick_coded(look& how, const request& r, const std::string& name,
                           coded& found) const {
  const std::string accepted = list_of(r.headers, "accept-encoding");
  if (accepted.empty()) return false;
  std::vector<coded> all;
  std::vector<coding> offers;
  for (const auto& [which, suffix] : coded_names) {
    const std::array<coding, 1> one = {which};
    if (negotiate(accepted, one) != which) continue;
    coded beside;
    beside.how = which;
    if (!open_regular(how, name + std::string(suffix), beside.file, beside.info)) continue;
    all.push_back(std::move(beside));
    offers.push_back(which);
  }
  const auto best = negotiate(accepted, offers);
  const auto at = std::ranges::find_if(all, [&](const coded& c) { return c.how == best; });
  if (at == all.end()) return false;
  found = std::move(*at);
  return true;
}

file_answer file_root::answer_file(look& how, const request& r, file_handle file,
                                   const struct stat& info, const std::string& name) const {
  file_answer a;
  auto& h = a.head.headers;
  const auto type = media_type_of(name);
  coded beside;
  beside.info = info;
  if (options_.precompressed && may_be_packed(type.text())) {
    h.add("Vary", "Accept-Encoding");
    if (pick_coded(how, r, name, beside)) file = std::move(beside.file);
  }
  const auto size = static_cast<std::uint64_t>(beside.info.st_size);
  resource_state now;
  now.etag = make_etag(beside.info, beside.how);
  now.modified = beside.info.st_mtim.tv_sec;
  h.add("ETag", now.etag);
  a.head.last_modified(*now.modified);
  h.add("Accept-Ranges", "bytes");
  if (const auto found = check_conditions(r, now); found != condition::holds) {
    a.head.status = found == condition::failed ? 412 : 304;
    return a;
  }
  byte_range range{byte_range::verdict::whole, 0, size};
  const auto asked = r.headers.get("range");
  if (asked && r.method == method::get && range_applies(r, now)) range = parse_range(*asked, size);
  if (range.is == byte_range::verdict::unsatisfiable) {
    a.head.status = 416;
    h.add("Content-Range", "bytes */" + std::to_string(size));
    return a;
  }
  if (range.is == byte_range::verdict::part) {
    a.head.status = 206;
    h.add("Content-Range", "bytes " + std::to_string(range.offset) + "-" +
                               std::to_string(range.offset + range.length - 1) + "/" +
                               std::to_string(size));
  }
  if (beside.how != coding::identity) h.add("Content-Encoding", name_of(beside.how));
  a.head.content_type = type;
  a.file = std::move(file);
  a.offset = range.offset;
  a.length = range.length;
  return a;
}

file_handle file_root::open(look& how, const std::string& path) const {
  if (!how.may_block) return open_cached(how, path);
  if (how_ == resolver::automatic) {
    auto file = open_beneath(path);
    // Old kernels do not have the call, and some sandboxes forbid every call that they do not list.
    if (file || (errno != ENOSYS && errno != EPERM && errno != E2BIG)) return file;
  }
  return open_walking(path);
}

/// How far a path led before it failed is not trusted, but for "there is no such file".
file_handle file_root::open_cached(look& how, const std::string& path) const {
  file_handle file = open_what_is_cached(root_.get(), path.c_str());
  if (!file && errno != ENOENT) how.unsure = true;
  return file;
}

file_handle file_root::open_beneath(const std::string& path) const {
  open_how how{};
  how.flags = open_flags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0;; ++tries) {
    file_handle file(
        static_cast<int>(::syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how)));
    // EAGAIN: something was renamed in the tree while ".." was resolved, and the kernel cannot say
    // whether the path stays beneath the root.
    if (file || errno != EAGAIN || tries == 8) return file;
  }
}

file_handle file_root::open_walking(const std::string& path) const {
  std::string_view rest = path;
  file_handle at;
  for (;;) {
    const auto part = std::string(rest.substr(0, rest.find('/')));
    rest.remove_prefix(std::min(rest.size(), part.size()));
    rest.remove_prefix(std::min(rest.find_first_not_of('/'), rest.size()));
    if (part == "..") {
      errno = EXDEV;
      return {};
    }
    const int flags = rest.empty() ? open_flags : O_PATH | O_DIRECTORY | O_CLOEXEC;
    file_handle next(::openat(at ? at.get() : root_.get(), part.c_str(), flags | O_NOFOLLOW));
    if (!next || rest.empty()) {
      const int error = errno;
      at = file_handle();  // closed before the caller looks at errno
      errno = error;
      return next;
    }
    at = std::move(next);
  }
}

}  // namespace heddle::http
