// SPDX-License-Identifier: MIT
#include <heddle/core/checked.h>
#include <heddle/io/http/files.h>
#include <heddle/io/http/message/writer.h>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

namespace heddle::http {
namespace {

// Without O_NONBLOCK, opening a FIFO that was left in the tree would hang the thread.
constexpr int open_flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

struct known_type {
  std::string_view extension;
  media_type type;
};

constexpr std::array known_types = {
    known_type{"avif", "image/avif"},
    known_type{"bmp", "image/bmp"},
    known_type{"css", "text/css; charset=utf-8"},
    known_type{"csv", "text/csv; charset=utf-8"},
    known_type{"gif", "image/gif"},
    known_type{"gz", "application/gzip"},
    known_type{"htm", "text/html; charset=utf-8"},
    known_type{"html", "text/html; charset=utf-8"},
    known_type{"ico", "image/vnd.microsoft.icon"},
    known_type{"jpeg", "image/jpeg"},
    known_type{"jpg", "image/jpeg"},
    known_type{"js", "text/javascript; charset=utf-8"},
    known_type{"json", "application/json"},
    known_type{"md", "text/markdown; charset=utf-8"},
    known_type{"mjs", "text/javascript; charset=utf-8"},
    known_type{"mp3", "audio/mpeg"},
    known_type{"mp4", "video/mp4"},
    known_type{"ogg", "audio/ogg"},
    known_type{"pdf", "application/pdf"},
    known_type{"png", "image/png"},
    known_type{"svg", "image/svg+xml"},
    known_type{"tar", "application/x-tar"},
    known_type{"ttf", "font/ttf"},
    known_type{"txt", "text/plain; charset=utf-8"},
    known_type{"wasm", "application/wasm"},
    known_type{"wav", "audio/wav"},
    known_type{"webm", "video/webm"},
    known_type{"webp", "image/webp"},
    known_type{"woff", "font/woff"},
    known_type{"woff2", "font/woff2"},
    known_type{"xml", "application/xml"},
    known_type{"zip", "application/zip"},
};

std::string_view trimmed(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Nothing unless the text is all digits, at least one, and the number fits.
std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
  std::uint64_t value = 0;
  if (!heddle::detail::parse_number(text, value)) return std::nullopt;
  return value;
}

bool is_too_long(std::string_view text) noexcept {
  return text.find_first_not_of("0123456789") == std::string_view::npos && text.size() > 19;
}

/// Changes when the size or the time of the content does. The time is in nanoseconds, so that two
/// quick edits differ.
std::string make_etag(const struct stat& s) {
  std::array<char, 64> text;
  char* p = text.data();
  char* const end = p + text.size();
  *p++ = '"';
  p = std::to_chars(p, end, s.st_mtim.tv_sec, 16).ptr;
  *p++ = '-';
  p = std::to_chars(p, end, s.st_mtim.tv_nsec, 16).ptr;
  *p++ = '-';
  p = std::to_chars(p, end, s.st_size, 16).ptr;
  *p++ = '"';
  return {text.data(), p};
}

/// RFC 9110, 8.8.3.2. The tags made here are strong. In the strong comparison no weak tag matches.
bool lists_etag(std::string_view list, std::string_view etag, bool strong) noexcept {
  while (!list.empty()) {
    const auto raw = list.substr(0, list.find(','));  // no tag made here holds a comma
    list.remove_prefix(std::min(list.size(), raw.size() + 1));
    const auto item = trimmed(raw);
    if (item == "*" || item == etag) return true;
    if (!strong && item.starts_with("W/") && item.substr(2) == etag) return true;
  }
  return false;
}

/// True if the file has not changed since the date. Nothing if the date cannot be read: such a
/// field is ignored.
std::optional<bool> unchanged_since(std::string_view date, std::time_t modified) noexcept {
  const auto then = parse_http_date(date);
  if (!then) return std::nullopt;
  return modified <= *then;
}

/// Asks the preconditions of RFC 9110, 13.2.2, in its order. 412, 304, or 0 to go on.
int precondition(const headers& h, std::string_view etag, std::time_t modified) noexcept {
  if (const auto match = h.get("if-match")) {
    if (!lists_etag(*match, etag, true)) return 412;
  } else if (const auto since = h.get("if-unmodified-since")) {
    if (unchanged_since(*since, modified) == false) return 412;
  }
  if (const auto none = h.get("if-none-match")) {
    if (lists_etag(*none, etag, false)) return 304;
  } else if (const auto since = h.get("if-modified-since")) {
    if (unchanged_since(*since, modified) == true) return 304;
  }
  return 0;
}

/// If there is an If-Range, the range counts only if it names exactly this state of the file.
bool range_applies(const headers& h, std::string_view etag, std::time_t modified) noexcept {
  const auto condition = h.get("if-range");
  if (!condition) return true;
  if (condition->starts_with('"') || condition->starts_with("W/")) return *condition == etag;
  const auto then = parse_http_date(*condition);
  return then && *then == modified;
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
std::optional<file_answer> redirection(const request& r) {
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

file_root::file_root(const std::string& directory, resolver how)
    : root_(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), how_(how) {
  if (!root_) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot open the directory " + directory);
  }
}

file_answer file_root::answer(const request& r, std::string_view path) const {
  if (r.method != method::get && r.method != method::head) {
    auto a = failure(405);
    a.head.headers.add("Allow", "GET, HEAD");
    return a;
  }
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  if (path.find('\0') != std::string_view::npos) return failure(404);
  std::string name(path.empty() ? "." : path);
  struct stat info{};
  auto file = open(name);
  if (!file || ::fstat(file.get(), &info) != 0) return failure_of(errno, name);
  if (S_ISDIR(info.st_mode)) {
    if (auto elsewhere = redirection(r)) return std::move(*elsewhere);
    name += "/index.html";
    file = open(name);
    if (!file || ::fstat(file.get(), &info) != 0) return failure_of(errno, name);
  } else if (name.back() == '/') {
    return failure(404);
  }
  if (!S_ISREG(info.st_mode)) return failure(404);

  const auto etag = make_etag(info);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  file_answer a;
  auto& h = a.head.headers;
  h.add("ETag", etag);
  h.add("Last-Modified", format_http_date(info.st_mtim.tv_sec));
  h.add("Accept-Ranges", "bytes");
  if (const int status = precondition(r.headers, etag, info.st_mtim.tv_sec)) {
    a.head.status = status;
    return a;
  }
  byte_range range{byte_range::verdict::whole, 0, size};
  const auto asked = r.headers.get("range");
  if (asked && r.method == method::get && range_applies(r.headers, etag, info.st_mtim.tv_sec)) {
    range = parse_range(*asked, size);
  }
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
  a.head.content_type = media_type_of(name);
  a.file = std::move(file);
  a.offset = range.offset;
  a.length = range.length;
  return a;
}

file_handle file_root::open(const std::string& path) const {
  if (how_ == resolver::automatic) {
    auto file = open_beneath(path);
    // Old kernels do not have the call, and some sandboxes forbid every call that they do not list.
    if (file || (errno != ENOSYS && errno != EPERM && errno != E2BIG)) return file;
  }
  return open_walking(path);
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

media_type media_type_of(std::string_view file_name) noexcept {
  const auto dot = file_name.rfind('.');
  if (dot != std::string_view::npos) {
    const auto found = std::ranges::find_if(known_types, [&](const known_type& k) {
      return same_token(k.extension, file_name.substr(dot + 1));
    });
    if (found != known_types.end()) return found->type;
  }
  return "application/octet-stream";
}

byte_range parse_range(std::string_view field, std::uint64_t size) noexcept {
  using enum byte_range::verdict;
  const byte_range all{whole, 0, size};
  const auto eq = field.find('=');
  if (eq == std::string_view::npos || !same_token(trimmed(field.substr(0, eq)), "bytes"))
    return all;
  // Several ranges at once would need a multipart body. A server may send the whole instead.
  const auto spec = trimmed(field.substr(eq + 1));
  const auto dash = spec.find('-');
  if (dash == std::string_view::npos) return all;
  const auto first = spec.substr(0, dash);
  const auto last = spec.substr(dash + 1);
  if (first.empty()) {  // the last n bytes
    const auto n = is_too_long(last) && !last.empty() ? size : parse_number(last);
    if (!n) return all;
    if (*n == 0 || size == 0) return {unsatisfiable, 0, 0};
    const auto length = std::min(*n, size);
    return {part, size - length, length};
  }
  const auto from = is_too_long(first) ? UINT64_MAX : parse_number(first);
  const auto to = last.empty() || is_too_long(last) ? UINT64_MAX : parse_number(last);
  if (!from || !to || *to < *from) return all;
  if (*from >= size) return {unsatisfiable, 0, 0};
  return {part, *from, std::min(*to, size - 1) - *from + 1};
}

}  // namespace heddle::http
