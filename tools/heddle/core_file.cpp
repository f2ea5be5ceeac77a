// SPDX-License-Identifier: MIT
#include "core_file.h"

#include <elf.h>
#include <link.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tool {
namespace {

constexpr std::uint64_t most_segments = std::uint64_t{1} << 20;
constexpr std::uint64_t most_notes_bytes = std::uint64_t{64} << 20;  // of all notes together
constexpr std::uint64_t most_files = std::uint64_t{1} << 16;         // mapped ones

std::uint64_t word_at(const unsigned char* bytes) {
  std::uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/// The text in a field of fixed size.
std::string text_in(const char* field, std::size_t room) {
  return std::string(field, ::strnlen(field, room));
}

}  // namespace

core_file::~core_file() { ::close(file_); }

std::unique_ptr<core_file> core_file::open(int file, std::string& why) {
  std::unique_ptr<core_file> core(new core_file(file));
  if (!core->load(why)) return nullptr;
  return core;
}

bool core_file::get(std::uint64_t offset, void* to, std::size_t n) const {
  if (offset > size_ || n > size_ - offset) return false;
  return ::pread(file_, to, n, static_cast<off_t>(offset)) == static_cast<ssize_t>(n);
}

bool core_file::load(std::string& why) {
  struct stat about{};
  if (::fstat(file_, &about) != 0) {
    why = std::strerror(errno);
    return false;
  }
  size_ = static_cast<std::uint64_t>(about.st_size);
  Elf64_Ehdr head;
  if (!get(0, &head, sizeof head) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
      head.e_type != ET_CORE) {
    why = "it is no core";
    return false;
  }
  if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB ||
      head.e_phentsize != sizeof(Elf64_Phdr)) {
    why = "it is the core of a machine that this tool does not know";
    return false;
  }
  machine_ = head.e_machine;
  std::uint64_t count = head.e_phnum;
  Elf64_Shdr section;
  if (count == PN_XNUM && get(head.e_shoff, &section, sizeof section)) count = section.sh_info;
  count = std::min(count, most_segments);
  std::vector<Elf64_Phdr> notes;
  for (std::uint64_t i = 0; i < count; ++i) {
    Elf64_Phdr header;
    const std::uint64_t place = head.e_phoff + i * sizeof header;
    if (place < head.e_phoff || !get(place, &header, sizeof header)) {
      missing_ += (count - i) * sizeof header;
      break;
    }
    if (header.p_type == PT_LOAD) add_segment(&header);
    if (header.p_type == PT_NOTE) notes.push_back(header);
  }
  std::sort(segments_.begin(), segments_.end(),
            [](const segment& a, const segment& b) { return a.begin < b.begin; });
  for (const auto& n : notes) read_notes(n.p_offset, n.p_filesz);
  sort_mappings();
  return true;
}

void core_file::add_segment(const void* header) {
  const auto& h = *static_cast<const Elf64_Phdr*>(header);
  segment s{h.p_vaddr, h.p_vaddr + h.p_memsz, std::min(h.p_filesz, h.p_memsz), h.p_offset,
            (h.p_flags & PF_W) != 0};
  if (s.end < s.begin) return;
  const std::uint64_t there = s.offset < size_ ? size_ - s.offset : 0;
  if (s.bytes > there) {
    missing_ += s.bytes - there;
    s.bytes = there;
  }
  segments_.push_back(s);
}

void core_file::read_notes(std::uint64_t offset, std::uint64_t bytes) {
  const std::uint64_t there = offset < size_ ? size_ - offset : 0;
  bytes = std::min({bytes, there, most_notes_bytes - notes_read_});
  notes_read_ += bytes;
  std::vector<unsigned char> all(bytes);
  if (bytes == 0 || !get(offset, all.data(), all.size())) return;
  for (std::size_t at = 0; at + sizeof(Elf64_Nhdr) <= all.size();) {
    Elf64_Nhdr n;
    std::memcpy(&n, all.data() + at, sizeof n);
    at += sizeof n;
    const std::size_t name = (n.n_namesz + 3ull) / 4 * 4, contents = (n.n_descsz + 3ull) / 4 * 4;
    if (name > all.size() - at || n.n_descsz > all.size() - at - name) return;
    const std::string owner = text_in(reinterpret_cast<const char*>(all.data()) + at, n.n_namesz);
    note(owner, n.n_type, all.data() + at + name, n.n_descsz);
    if (contents > all.size() - at - name) return;
    at += name + contents;
  }
}

void core_file::note(const std::string& owner, unsigned type, const unsigned char* bytes,
                     std::size_t n) {
  if (owner != "CORE") return;
  if (type == NT_PRSTATUS && n == sizeof(elf_prstatus)) {
    elf_prstatus s;
    std::memcpy(&s, bytes, sizeof s);
    if (threads_.empty()) signal_ = s.pr_cursig;  // the thread that has ended it comes first
    thread t{s.pr_pid, {}};
#if defined(__x86_64__)
    if (machine_ == EM_X86_64)
#else
    if (machine_ == EM_AARCH64)
#endif
      for (const auto r : s.pr_reg) t.registers.push_back(r);
    threads_.push_back(std::move(t));
  } else if (type == NT_PRPSINFO && n == sizeof(elf_prpsinfo)) {
    elf_prpsinfo p;
    std::memcpy(&p, bytes, sizeof p);
    process_ = p.pr_pid;
    command_ = text_in(p.pr_fname, sizeof p.pr_fname);
  } else if (type == NT_AUXV) {
    for (std::size_t at = 0; at + 16 <= n; at += 16)
      if (word_at(bytes + at) == AT_PHDR) program_headers_ = word_at(bytes + at + 8);
  } else if (type == NT_FILE) {
    list_files(bytes, n);
  }
}

// A count and the size of a page; for each file its begin, end and place in pages; then the names.
void core_file::list_files(const unsigned char* bytes, std::size_t n) {
  if (n < 16) return;
  const std::uint64_t count = word_at(bytes);
  const std::uint64_t page = word_at(bytes + 8);
  if (count > most_files || count > (n - 16) / 24 || page > (std::uint64_t{1} << 30)) return;
  std::size_t text = 16 + static_cast<std::size_t>(count) * 24;
  for (std::uint64_t i = 0; i < count && text < n; ++i) {
    const unsigned char* row = bytes + 16 + i * 24;
    const auto* name = reinterpret_cast<const char*>(bytes) + text;
    const std::size_t length = ::strnlen(name, n - text);
    text += length + 1;
    mapping m{word_at(row), word_at(row + 8), word_at(row + 16) * page, std::string(name, length)};
    if (m.begin < m.end) mappings_.push_back(std::move(m));
  }
}

std::string core_file::program_path() const {
  const mapping* m = mapping_at(program_headers_);
  return m ? m->path : mapped_program::program_path();
}

const core_file::segment* core_file::segment_at(address at) const {
  auto above = std::upper_bound(segments_.begin(), segments_.end(), at,
                                [](address a, const segment& s) { return a < s.begin; });
  if (above == segments_.begin()) return nullptr;
  --above;
  return at < above->end ? &*above : nullptr;
}

bool core_file::stored::read(address at, void* to, std::size_t n) noexcept {
  auto* out = static_cast<unsigned char*>(to);
  while (n != 0) {
    const segment* s = of_.segment_at(at);
    if (s && at - s->begin < s->bytes) {
      const auto inside = at - s->begin;
      const auto piece = std::min<std::uint64_t>(n, s->bytes - inside);
      if (!of_.get(s->offset + inside, out, piece)) return false;
      at += piece;
      out += piece;
      n -= piece;
      continue;
    }
    if (!files_) return false;
    const mapping* m = of_.mapping_at(at);
    if (!m) return false;
    const auto piece = std::min<std::uint64_t>(n, m->end - at);
    if (!of_.read_from_file(at, out, piece)) return false;
    at += piece;
    out += piece;
    n -= piece;
  }
  return true;
}

}  // namespace tool
