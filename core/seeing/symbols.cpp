// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/symbols.h>

#include <heddle/core/seeing/function_names.h>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string_view>

namespace heddle::detail::seeing {
namespace {

template <class T>
const T* part(const unsigned char* bytes, std::size_t size, std::size_t at,
              std::size_t count = 1) noexcept {
  if (at > size || at % alignof(T) != 0 || count > (size - at) / sizeof(T)) return nullptr;
  return reinterpret_cast<const T*>(bytes + at);
}

/// "/proc/PID/" and `name`.
void proc(short_writer& to, pid_t of, std::string_view name) noexcept {
  to.put("/proc/");
  if (of == 0)
    to.put("self");
  else
    to.number(static_cast<std::uint64_t>(of));
  to.put('/');
  to.put(name);
}

/// The file of the process by a name that the process knows. A program that was deleted or replaced
/// is still there as "exe". A file at the old name that is another one now is not taken.
int open_as_seen_by(pid_t of, const char* name, std::uint64_t inode) noexcept {
  char path[4400];
  char target[4200];
  short_writer exe(path);
  proc(exe, of, "exe");
  const auto n = ::readlink(path, target, sizeof target - 1);
  if (n > 0) {
    target[n] = 0;
    if (std::strcmp(target, name) == 0) return ::open(path, O_RDONLY | O_CLOEXEC);
  }
  short_writer other(path);
  proc(other, of, "root");
  other.put(name);
  const int file = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat about{};
  if (file >= 0 && (::fstat(file, &about) != 0 || about.st_ino != inode)) {
    ::close(file);
    return -1;
  }
  return file;
}

}  // namespace

symbols::~symbols() {
  for (std::size_t i = 0; i < file_count_; ++i)
    if (files_[i].bytes) ::munmap(const_cast<unsigned char*>(files_[i].bytes), files_[i].size);
}

const char* symbols::function(address at) noexcept {
  auto& r = names_[(at / 4) % cached];
  if (r.at == at) return r.name;
  r.at = at;
  short_writer to(r.name);
  const code_range* range = code_->code_at(at);
  if (!range) {
    to.hexadecimal(at);
    return r.name;
  }
  const char* path = code_->name(*range);
  const mapped_file* file = file_of(*range);
  const std::uint64_t offset = at - range->begin + range->offset;
  const std::uint64_t value = file && file->bytes ? in_file(*file, offset) : offset;
  if (const char* symbol = file ? find(*file, value) : nullptr) {
    put_function_name(to, symbol);
    return r.name;
  }
  const char* slash = std::strrchr(path, '/');
  to.put(slash ? slash + 1 : path);
  to.put('+');
  to.hexadecimal(value);
  return r.name;
}

const char* symbols::function(const frame_run& f) noexcept {
  if (const auto* p = place(f); p && p->function[0] != 0) return p->function;
  return function(f.resume);
}

const char* symbols::frame(const frame_run& f) noexcept {
  short_writer to(frame_);
  to.put(function(f));
  if (const auto* p = place(f)) {
    to.put(' ');
    to.put(p->short_file());
    to.put(':');
    to.number(p->line);
  }
  return frame_;
}

symbols::mapped_file* symbols::file_of(const code_range& r) noexcept {
  const char* name = code_->name(r);
  for (std::size_t i = 0; i < file_count_; ++i)
    if (files_[i].name == name) return &files_[i];
  if (file_count_ == most_files || *name != '/') return nullptr;
  auto& fresh = files_[file_count_++];
  fresh.name = name;
  map(fresh, r);
  return &fresh;
}

void symbols::map(mapped_file& f, const code_range& r) noexcept {
  const int file = origin_ ? origin_->open_file(f.name) : open_as_seen_by(of_, f.name, r.inode);
  if (file < 0) return;
  struct stat about{};
  if (::fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0) {
    const auto size = static_cast<std::size_t>(about.st_size);
    void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes != MAP_FAILED) {
      f.bytes = static_cast<const unsigned char*>(bytes);
      f.size = size;
      if (!find_table(f)) f.table = f.table_bytes = 0;
    }
  }
  ::close(file);
}

bool symbols::find_table(mapped_file& f) const noexcept {
  const auto* head = part<ElfW(Ehdr)>(f.bytes, f.size, 0);
  if (!head || std::memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) return false;
  const auto* sections = part<ElfW(Shdr)>(f.bytes, f.size, head->e_shoff, head->e_shnum);
  if (!sections) return false;
  const ElfW(Shdr)* best = nullptr;
  for (unsigned i = 0; i < head->e_shnum; ++i)
    if (sections[i].sh_type == SHT_SYMTAB || (sections[i].sh_type == SHT_DYNSYM && !best))
      best = &sections[i];
  if (!best || best->sh_link >= head->e_shnum) return false;
  const auto& texts = sections[best->sh_link];
  if (!part<unsigned char>(f.bytes, f.size, texts.sh_offset, texts.sh_size) ||
      !part<ElfW(Sym)>(f.bytes, f.size, best->sh_offset, best->sh_size / sizeof(ElfW(Sym))) ||
      texts.sh_size == 0 || f.bytes[texts.sh_offset + texts.sh_size - 1] != 0)
    return false;
  f.table = best->sh_offset;
  f.table_bytes = best->sh_size;
  f.texts = texts.sh_offset;
  f.texts_bytes = texts.sh_size;
  return true;
}

std::uint64_t symbols::in_file(const mapped_file& f, std::uint64_t offset) noexcept {
  const auto* head = part<ElfW(Ehdr)>(f.bytes, f.size, 0);
  const auto* segments =
      head ? part<ElfW(Phdr)>(f.bytes, f.size, head->e_phoff, head->e_phnum) : nullptr;
  if (!segments) return offset;
  for (unsigned i = 0; i < head->e_phnum; ++i) {
    const auto& s = segments[i];
    if (s.p_type == PT_LOAD && offset >= s.p_offset && offset - s.p_offset < s.p_filesz)
      return s.p_vaddr + (offset - s.p_offset);
  }
  return offset;
}

const char* symbols::find(const mapped_file& f, std::uint64_t value) noexcept {
  if (f.table == 0) return nullptr;
  const auto* all = part<ElfW(Sym)>(f.bytes, f.size, f.table);
  const std::size_t n = f.table_bytes / sizeof(ElfW(Sym));
  for (std::size_t i = 0; all && i < n; ++i) {
    const auto& s = all[i];
    if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_shndx == SHN_UNDEF || value < s.st_value ||
        value - s.st_value >= (s.st_size != 0 ? s.st_size : 1) || s.st_name >= f.texts_bytes)
      continue;
    return reinterpret_cast<const char*>(f.bytes + f.texts + s.st_name);
  }
  return nullptr;
}

}  // namespace heddle::detail::seeing
