// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/modules.h>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace heddle::detail::seeing {
namespace {

/// "/proc/PID/NAME" into `to`, which has room for it.
void proc_path(char* to, pid_t of, const char* name) noexcept {
  char digits[24];
  std::size_t n = 0;
  for (auto rest = static_cast<unsigned long>(of); rest != 0 || n == 0; rest /= 10)
    digits[n++] = static_cast<char>('0' + rest % 10);
  std::memcpy(to, "/proc/", 6);
  to += 6;
  if (of == 0) {
    std::memcpy(to, "self", 4);
    to += 4;
  } else {
    while (n != 0) *to++ = digits[--n];
  }
  *to++ = '/';
  std::strcpy(to, name);
}

address hexadecimal(const char*& at) noexcept {
  address value = 0;
  for (;; ++at) {
    const char c = *at;
    if (c >= '0' && c <= '9')
      value = value * 16 + static_cast<address>(c - '0');
    else if (c >= 'a' && c <= 'f')
      value = value * 16 + static_cast<address>(c - 'a' + 10);
    else
      return value;
  }
}

void skip_word(const char*& at) noexcept {
  while (*at != 0 && *at != ' ') ++at;
  while (*at == ' ') ++at;
}

// "55d0c0-55d0d0 r-xp 00001000 fe:01 1234    /path"
bool parse_line(const char* at, mapped& to) noexcept {
  to.begin = hexadecimal(at);
  if (*at == '-') ++at;
  to.end = hexadecimal(at);
  if (*at == ' ') ++at;
  to.rights = at;
  if (std::strlen(at) < 4) return false;
  skip_word(at);
  to.offset = hexadecimal(at);
  while (*at == ' ') ++at;
  skip_word(at);  // the device
  to.inode = 0;
  for (; *at >= '0' && *at <= '9'; ++at)
    to.inode = to.inode * 10 + static_cast<std::uint64_t>(*at - '0');
  while (*at == ' ') ++at;
  to.path = at;
  return true;
}

}  // namespace

bool each_mapped(pid_t of, void (*see)(void* context, const mapped& m) noexcept,
                 void* context) noexcept {
  char path[64];
  proc_path(path, of, "maps");
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char buffer[4096 + 512];
  std::size_t held = 0;
  bool good = true;
  for (;;) {
    const auto got = ::read(file, buffer + held, sizeof buffer - 1 - held);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      good = got == 0;
      break;
    }
    held += static_cast<std::size_t>(got);
    char* begin = buffer;
    char* const end = buffer + held;
    for (char* stop; (stop = std::find(begin, end, '\n')) != end; begin = stop + 1) {
      *stop = 0;
      if (mapped m; parse_line(begin, m)) see(context, m);
    }
    held = static_cast<std::size_t>(end - begin);
    if (held == sizeof buffer - 1) held = 0;  // a path longer than the buffer: not ours
    std::memmove(buffer, begin, held);
  }
  const int code = errno;
  ::close(file);
  errno = code;
  return good;
}

bool modules::load(pid_t of) noexcept {
  range_count_ = head_count_ = names_used_ = 0;
  return each_mapped(
      of, [](void* to, const mapped& m) noexcept { static_cast<modules*>(to)->add(m); }, this);
}

void modules::add(const mapped& m) noexcept {
  if (m.rights[0] == 'r' && m.offset == 0 && m.path[0] == '/' && head_count_ < most_heads)
    heads_[head_count_++] = m.begin;
  if (m.rights[2] != 'x' || range_count_ == most_ranges) return;
  const auto name = keep_name(m.path);
  ranges_[range_count_++] = {m.begin, m.end, m.offset, m.inode, name};
}

void modules::add_code(address begin, address end, const char* name, address offset) noexcept {
  if (range_count_ < most_ranges) {
    const auto kept = keep_name(name);
    ranges_[range_count_++] = {begin, end, offset, 0, kept};
  }
}

std::uint32_t modules::keep_name(const char* name) noexcept {
  const auto n = std::strlen(name) + 1;
  if (names_used_ == 0) names_[names_used_++] = 0;  // place 0: no name
  if (range_count_ != 0) {
    const auto before = ranges_[range_count_ - 1].name;
    if (std::strcmp(names_ + before, name) == 0) return before;
  }
  if (names_used_ + n > name_bytes) return 0;
  std::memcpy(names_ + names_used_, name, n);
  const auto place = static_cast<std::uint32_t>(names_used_);
  names_used_ += n;
  return place;
}

const code_range* modules::code_at(address at) const noexcept {
  for (std::size_t i = 0; i < range_count_; ++i)
    if (at >= ranges_[i].begin && at < ranges_[i].end) return &ranges_[i];
  return nullptr;
}

namespace {

/// In the notes from `begin` to `end`: the address that heddle's note leads to, or 0.
address note_in(memory& from, address begin, address end) noexcept {
  constexpr std::size_t most_notes = 64;
  for (std::size_t i = 0; i < most_notes && begin + sizeof(ElfW(Nhdr)) <= end; ++i) {
    ElfW(Nhdr) note;
    if (!from.get(begin, note)) return 0;
    char owner[8];
    const address contents = begin + sizeof note + (note.n_namesz + 3ull) / 4 * 4;
    if (note.n_namesz == 7 && note.n_descsz == 8 && note.n_type == 1 &&
        from.read(begin + sizeof note, owner, 7) && std::memcmp(owner, "heddle", 7) == 0) {
      std::uint64_t distance;
      return from.get(contents, distance) ? contents + distance : 0;
    }
    begin = contents + (note.n_descsz + 3ull) / 4 * 4;
  }
  return 0;
}

}  // namespace

address find_layout(memory& from, address head) noexcept {
  ElfW(Ehdr) file;
  if (!from.get(head, file) || std::memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 ||
      file.e_phentsize != sizeof(ElfW(Phdr)))
    return 0;
  constexpr std::size_t most_headers = 64;
  ElfW(Phdr) headers[most_headers];
  const auto n = std::min<std::size_t>(file.e_phnum, most_headers);
  if (!from.read(head + file.e_phoff, headers, n * sizeof headers[0])) return 0;
  // The first loaded segment stands at `head`: the others are as far from it as the file says.
  address first = 0;
  bool known = false;
  for (std::size_t i = 0; i < n && !known; ++i)
    if (headers[i].p_type == PT_LOAD) {
      first = headers[i].p_vaddr - headers[i].p_offset;
      known = true;
    }
  for (std::size_t i = 0; i < n; ++i) {
    if (headers[i].p_type != PT_NOTE) continue;
    const address begin = head + (headers[i].p_vaddr - first);
    if (const address found = note_in(from, begin, begin + headers[i].p_memsz)) return found;
  }
  return 0;
}

}  // namespace heddle::detail::seeing
