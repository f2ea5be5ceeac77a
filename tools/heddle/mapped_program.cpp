// SPDX-License-Identifier: MIT
#include "mapped_program.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace tool {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t most_headers = 64;

/// A file as memory: addresses are offsets.
class file_memory final : public seeing::memory {
 public:
  explicit file_memory(int file) : file_(file) {}
  [[nodiscard]] bool read(address at, void* to, std::size_t n) noexcept override {
    return ::pread(file_, to, n, static_cast<off_t>(at)) == static_cast<ssize_t>(n);
  }

 private:
  int file_;
};

/// The program headers of the file at `head`, and where the first loaded byte of it belongs.
struct headers {
  ElfW(Phdr) all[most_headers];
  std::size_t count = 0;
  address first = 0;
};

bool read_headers(seeing::memory& from, address head, headers& to) {
  ElfW(Ehdr) file;
  if (!from.get(head, file) || std::memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 ||
      file.e_ident[EI_CLASS] != ELFCLASS64 || file.e_phentsize != sizeof(ElfW(Phdr)))
    return false;
  to.count = std::min<std::size_t>(file.e_phnum, most_headers);
  if (!from.read(head + file.e_phoff, to.all, to.count * sizeof to.all[0])) return false;
  for (std::size_t i = 0; i < to.count; ++i)
    if (to.all[i].p_type == PT_LOAD) {
      to.first = to.all[i].p_vaddr - to.all[i].p_offset;
      break;
    }
  return true;
}

std::string id_in_notes(seeing::memory& from, address begin, address end) {
  constexpr std::size_t most_notes = 64, most_bytes = 64;
  for (std::size_t i = 0; i < most_notes && begin + sizeof(ElfW(Nhdr)) <= end; ++i) {
    ElfW(Nhdr) note;
    if (!from.get(begin, note)) return {};
    const address contents = begin + sizeof note + (note.n_namesz + 3ull) / 4 * 4;
    char owner[4];
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz <= most_bytes &&
        from.read(begin + sizeof note, owner, 4) && std::memcmp(owner, "GNU", 4) == 0) {
      unsigned char bytes[most_bytes];
      if (!from.read(contents, bytes, note.n_descsz)) return {};
      std::string id;
      for (std::size_t k = 0; k < note.n_descsz; ++k) {
        id += "0123456789abcdef"[bytes[k] >> 4];
        id += "0123456789abcdef"[bytes[k] & 15];
      }
      return id;
    }
    begin = contents + (note.n_descsz + 3ull) / 4 * 4;
  }
  return {};
}

bool same_first_page(seeing::memory& one, address head, seeing::memory& other) {
  unsigned char a[page_bytes], b[page_bytes];
  return one.read(head, a, sizeof a) && other.read(0, b, sizeof b) &&
         std::memcmp(a, b, sizeof a) == 0;
}

}  // namespace

std::string build_id(seeing::memory& from, address head, bool as_file) {
  headers h;
  if (!read_headers(from, head, h)) return {};
  for (std::size_t i = 0; i < h.count; ++i) {
    const auto& p = h.all[i];
    if (p.p_type != PT_NOTE) continue;
    const address begin = head + (as_file ? p.p_offset : p.p_vaddr - h.first);
    if (auto id = id_in_notes(from, begin, begin + p.p_filesz); !id.empty()) return id;
  }
  return {};
}

std::vector<mapping> code_of(seeing::memory& from, address head, const std::string& path) {
  std::vector<mapping> found;
  headers h;
  if (!read_headers(from, head, h)) return found;
  for (std::size_t i = 0; i < h.count; ++i) {
    const auto& p = h.all[i];
    if (p.p_type != PT_LOAD || (p.p_flags & PF_X) == 0) continue;
    const address begin = head + (p.p_vaddr - h.first);
    if (begin + p.p_memsz > begin) found.push_back({begin, begin + p.p_memsz, p.p_offset, path});
  }
  return found;
}

mapped_program::~mapped_program() {
  for (const auto& [name, f] : files_)
    if (f.file >= 0) ::close(f.file);
}

void mapped_program::sort_mappings() {
  std::sort(mappings_.begin(), mappings_.end(),
            [](const mapping& a, const mapping& b) { return a.begin < b.begin; });
}

const mapping* mapped_program::mapping_at(address at) const {
  auto above = std::upper_bound(mappings_.begin(), mappings_.end(), at,
                                [](address a, const mapping& m) { return a < m.begin; });
  if (above == mappings_.begin()) return nullptr;
  --above;
  return at < above->end ? &*above : nullptr;
}

std::string mapped_program::program_path() const {
  return mappings_.empty() ? std::string() : mappings_.front().path;
}

const mapped_program::checked& mapped_program::file_of(const std::string& name) {
  const auto [at, is_new] = files_.try_emplace(name);
  auto& f = at->second;
  if (!is_new) return f;
  const bool is_program = !program_file_.empty() && name == program_path();
  f.path = is_program ? program_file_ : name;
  const auto head = std::find_if(mappings_.begin(), mappings_.end(),
                                 [&](const mapping& m) { return m.offset == 0 && m.path == name; });
  char first;
  if (head != mappings_.end() && own_memory().get(head->begin, first))
    f.wanted_id = build_id(own_memory(), head->begin, false);
  struct stat about{};
  if (::stat(f.path.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) return f;
  f.file = ::open(f.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (f.file < 0) return f;
  file_memory file(f.file);
  f.id = build_id(file, 0, true);
  if (head == mappings_.end() || !own_memory().get(head->begin, first))
    f.how = fit::unchecked;
  else if (!f.wanted_id.empty())
    f.how = f.wanted_id == f.id ? fit::same : fit::other;
  else
    f.how = same_first_page(own_memory(), head->begin, file) ? fit::same : fit::other;
  if (f.how != fit::same) {
    ::close(f.file);
    f.file = -1;
  }
  return f;
}

std::string mapped_program::file_of_heddle(std::size_t which) {
  for (const auto& m : mappings_) {
    if (m.offset != 0 || seeing::find_layout(own_memory(), m.begin) == 0) continue;
    if (which-- == 0) return m.path;
  }
  return {};
}

bool mapped_program::read_from_file(address at, void* to, std::size_t n) noexcept {
  const mapping* m = mapping_at(at);
  if (!m || m->path.empty() || n > m->end - at) return false;
  const auto& f = file_of(m->path);
  if (f.file < 0) return false;
  return ::pread(f.file, to, n, static_cast<off_t>(m->offset + (at - m->begin))) ==
         static_cast<ssize_t>(n);
}

bool mapped_program::list(seeing::modules& to) noexcept {
  for (const auto& m : mappings_) {
    if (m.offset != 0 || m.path.empty() || m.path[0] != '/') continue;
    if (to.head_count() == seeing::modules::most_heads) break;
    to.add_head(m.begin);
    for (const auto& c : code_of(contents(), m.begin, m.path))
      to.add_code(c.begin, c.end, c.path.c_str(), c.offset);
  }
  return !mappings_.empty();
}

// The reader closes what it gets, so it gets a descriptor of its own.
int mapped_program::open_file(const char* name) noexcept {
  const auto& f = file_of(name);
  return f.file < 0 ? -1 : ::fcntl(f.file, F_DUPFD_CLOEXEC, 0);
}

}  // namespace tool
