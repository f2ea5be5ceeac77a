// SPDX-License-Identifier: MIT
// Where a core comes from: a file, a pipe, packed or not.
#include "core_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#if HEDDLE_TOOL_ZSTD
#include <zstd.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace tool {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 17;
constexpr unsigned char zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};

/// Reads until `n` bytes are there, or the end. Less than 0: an error.
ssize_t read_fully(int file, void* to, std::size_t n) {
  std::size_t have = 0;
  while (have < n) {
    const auto got = ::read(file, static_cast<char*>(to) + have, n - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(have);
}

/// A file without a name. What is all zeros becomes a hole, as most of a core is.
class temporary {
 public:
  temporary() {
    const char* folder = std::getenv("TMPDIR");
    std::string path = std::string(folder && *folder ? folder : "/tmp") + "/heddle-core-XXXXXX";
    file_ = ::mkostemp(path.data(), O_CLOEXEC);
    if (file_ >= 0) ::unlink(path.c_str());
  }
  temporary(const temporary&) = delete;
  ~temporary() {
    if (file_ >= 0) ::close(file_);
  }

  [[nodiscard]] bool good() const { return file_ >= 0; }
  bool append(const unsigned char* bytes, std::size_t n) {
    const auto is_zero = [](unsigned char b) { return b == 0; };
    if (!std::all_of(bytes, bytes + n, is_zero))
      for (std::size_t at = 0; at < n;) {
        const auto put = ::pwrite(file_, bytes + at, n - at, static_cast<off_t>(size_ + at));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        at += static_cast<std::size_t>(put);
      }
    size_ += n;
    return true;
  }
  /// The descriptor is the caller's from here on.
  int release() {
    if (::ftruncate(file_, static_cast<off_t>(size_)) != 0) return -1;
    return std::exchange(file_, -1);
  }

 private:
  int file_ = -1;
  std::uint64_t size_ = 0;
};

#if HEDDLE_TOOL_ZSTD
/// As far as it goes: a packed core that was cut off gives its beginning. False: nothing came out.
bool unpack(int from, const unsigned char* first, std::size_t n, temporary& to) {
  ZSTD_DStream* const stream = ZSTD_createDStream();
  if (!stream) return false;
  std::string in(piece_bytes, 0), out(piece_bytes, 0);
  std::memcpy(in.data(), first, n);
  ssize_t have = static_cast<ssize_t>(n);
  bool any = false, good = true;
  while (good && have > 0) {
    ZSTD_inBuffer packed{in.data(), static_cast<std::size_t>(have), 0};
    while (good && packed.pos < packed.size) {
      ZSTD_outBuffer plain{out.data(), out.size(), 0};
      if (ZSTD_isError(ZSTD_decompressStream(stream, &plain, &packed)) != 0) good = false;
      any = any || plain.pos != 0;
      if (!to.append(reinterpret_cast<unsigned char*>(out.data()), plain.pos)) good = any = false;
    }
    if (good) have = read_fully(from, in.data(), in.size());
  }
  ZSTD_freeDStream(stream);
  return any;
}
#endif

bool copy(int from, const unsigned char* first, std::size_t n, temporary& to) {
  if (!to.append(first, n)) return false;
  std::string piece(piece_bytes, 0);
  for (;;) {
    const auto got = read_fully(from, piece.data(), piece.size());
    if (got <= 0) return got == 0;
    if (!to.append(reinterpret_cast<unsigned char*>(piece.data()), static_cast<std::size_t>(got)))
      return false;
  }
}

}  // namespace

int open_core_source(const std::string& path, std::string& why) {
  const int file = path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                               : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat about{};
  if (file < 0 || ::fstat(file, &about) != 0) {
    why = std::strerror(errno);
    if (file >= 0) ::close(file);
    return -1;
  }
  std::array<unsigned char, sizeof zstd_magic> first{};
  const bool plain = S_ISREG(about.st_mode);
  const auto n = plain ? ::pread(file, first.data(), first.size(), 0)
                       : read_fully(file, first.data(), first.size());
  const bool packed =
      n == static_cast<ssize_t>(first.size()) && std::memcmp(first.data(), zstd_magic, 4) == 0;
  if (plain && !packed) return file;
  if (plain) (void)::lseek(file, n, SEEK_SET);
  temporary to;
  bool good = to.good() && n > 0;
#if HEDDLE_TOOL_ZSTD
  if (good)
    good = packed ? unpack(file, first.data(), static_cast<std::size_t>(n), to)
                  : copy(file, first.data(), static_cast<std::size_t>(n), to);
#else
  if (packed) why = "it is packed by zstd, and this tool was built without libzstd";
  good = good && !packed && copy(file, first.data(), static_cast<std::size_t>(n), to);
#endif
  ::close(file);
  const int result = good ? to.release() : -1;
  if (result < 0 && why.empty())
    why = n == 0 ? "it is empty" : "it cannot be read, or there is no room for it in TMPDIR";
  return result;
}

bool means_core(const std::string& text) {
  if (text == "-" || text.find('/') != std::string::npos) return true;
  if (text.find_first_not_of("0123456789") == std::string::npos) return false;
  struct stat about{};
  if (::stat(text.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) return false;
  const int file = ::open(text.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  unsigned char head[18] = {};
  const auto n = read_fully(file, head, sizeof head);
  ::close(file);
  if (n >= 4 && std::memcmp(head, zstd_magic, 4) == 0) return true;
  return n == sizeof head && std::memcmp(head, ELFMAG, SELFMAG) == 0 && head[16] == ET_CORE &&
         head[17] == 0;
}

}  // namespace tool
