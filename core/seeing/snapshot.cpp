// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/snapshot.h>

#include <heddle/core/seeing/core_notes.h>
#include <heddle/core/seeing/sight.h>
#include <heddle/core/seeing/stalls.h>
#include <heddle/core/seeing/trace_layout.h>

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace heddle::detail::seeing {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t most_parts = 4096;

/// The pages that were read, each once.
class page_set {
 public:
  void add(address at, std::size_t n) noexcept {
    for (address page = at / page_bytes; n != 0 && page <= (at + n - 1) / page_bytes; ++page)
      add_page(page);
  }
  [[nodiscard]] bool is_full() const noexcept { return count_ == most_snapshot_pages; }
  /// After the last add(): their numbers, in order.
  const address* sort() noexcept {
    std::size_t n = 0;
    for (const address page : table_)
      if (page != 0) table_[n++] = page;
    std::sort(table_, table_ + n);
    return table_;
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  static constexpr std::size_t places = 2 * most_snapshot_pages;

  void add_page(address page) noexcept {
    if (page == 0 || is_full()) return;
    std::size_t i = page * 0x9e3779b97f4a7c15u >> 40 & (places - 1);
    while (table_[i] != 0 && table_[i] != page) i = (i + 1) & (places - 1);
    if (table_[i] == page) return;
    table_[i] = page;
    ++count_;
  }

  std::size_t count_ = 0;
  address table_[places] = {};
};

/// The memory of this process, which notes what is read.
class noting_memory final : public memory {
 public:
  explicit noting_memory(page_set& to) noexcept : own_(::getpid()), to_(&to) {}
  [[nodiscard]] bool read(address at, void* to, std::size_t n) noexcept override {
    if (!own_.read(at, to, n)) return false;
    to_->add(at, n);
    return true;
  }
  [[nodiscard]] process_memory& plain() noexcept { return own_; }

 private:
  process_memory own_;
  page_set* to_;
};

/// What takes room, in pages of its own.
struct workshop {
  page_set pages;
  noting_memory mem{pages};
  sight from{0, &mem};
  stalls_view stalls;
  Elf64_Phdr headers[1 + most_snapshot_pages + most_parts];
  std::size_t header_count = 0;
  core_notes notes;
  unsigned char piece[16 * page_bytes];
};

bool write_all(int file, const void* bytes, std::size_t n) noexcept {
  const auto* at = static_cast<const unsigned char*>(bytes);
  while (n != 0) {
    const auto done = ::write(file, at, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    at += done;
    n -= static_cast<std::size_t>(done);
  }
  return true;
}

/// Reads what a reader of the file will read.
void walk(workshop& w) noexcept {
  const auto& program = w.from.what();
  for (std::size_t i = 0; i < w.from.code().head_count(); ++i)
    (void)find_layout(w.mem, w.from.code().heads()[i]);
  (void)w.from.look_at_loops();
  (void)w.stalls.load(program);
  trace_root_image root;
  if (program.tracing() != 0) (void)w.mem.get(program.tracing(), root);
  (void)w.from.tasks().each(
      [](void* to, const task_view& task) {
        auto& here = *static_cast<workshop*>(to);
        for (std::size_t i = 0; i < task.runs; ++i) (void)here.from.names().place(task.frames[i]);
        here.from.tasks().each_member(task, [](void*, address) {}, nullptr);
        return !here.pages.is_full();
      },
      &w);
}

void add_segment(workshop& w, address at, std::size_t bytes, std::uint64_t& offset) noexcept {
  auto& h = w.headers[w.header_count++];
  h.p_type = PT_LOAD;
  h.p_flags = PF_R;  // what it has of variables is not all: no reader shall take it for that
  h.p_offset = offset;
  h.p_vaddr = at;
  h.p_filesz = h.p_memsz = bytes;
  h.p_align = 1;
  offset += bytes;
}

/// A part has the page, so that what stands there is not written.
bool is_replaced(const snapshot_part* parts, std::size_t count, address page) noexcept {
  for (std::size_t i = 0; i < count; ++i)
    if (page * page_bytes < parts[i].at + parts[i].size && parts[i].at < (page + 1) * page_bytes)
      return true;
  return false;
}

/// A segment for each row of pages, and for each part.
void plan(workshop& w, const snapshot_part* parts, std::size_t count) noexcept {
  const address* const pages = w.pages.sort();
  w.header_count = 1;
  std::uint64_t offset = 0;  // from the end of the notes; moved below
  for (std::size_t i = 0, n = 0; i < w.pages.size(); i += n) {
    n = 1;
    if (is_replaced(parts, count, pages[i])) continue;
    while (i + n < w.pages.size() && pages[i + n] == pages[i] + n &&
           !is_replaced(parts, count, pages[i + n]))
      ++n;
    add_segment(w, pages[i] * page_bytes, n * page_bytes, offset);
  }
  for (std::size_t i = 0; i < count; ++i) add_segment(w, parts[i].at, parts[i].size, offset);
  const std::uint64_t begin =
      sizeof(Elf64_Ehdr) + w.header_count * sizeof w.headers[0] + w.notes.size();
  for (std::size_t i = 1; i < w.header_count; ++i) w.headers[i].p_offset += begin;
  w.headers[0].p_type = PT_NOTE;
  w.headers[0].p_offset = begin - w.notes.size();
  w.headers[0].p_filesz = w.notes.size();
}

/// A page that has gone meanwhile is written as zeros.
bool write_pages(workshop& w, int file, address at, std::size_t bytes) noexcept {
  for (std::size_t done = 0; done < bytes;) {
    const auto n = std::min(bytes - done, sizeof w.piece);
    if (!w.mem.plain().read(at + done, w.piece, n)) std::memset(w.piece, 0, n);
    if (!write_all(file, w.piece, n)) return false;
    done += n;
  }
  return true;
}

bool write(workshop& w, int file, const snapshot_part* parts, std::size_t count) noexcept {
  Elf64_Ehdr head{};
  std::memcpy(head.e_ident, ELFMAG, SELFMAG);
  head.e_ident[EI_CLASS] = ELFCLASS64;
  head.e_ident[EI_DATA] = ELFDATA2LSB;
  head.e_ident[EI_VERSION] = EV_CURRENT;
  head.e_type = ET_CORE;
#if defined(__x86_64__)
  head.e_machine = EM_X86_64;
#else
  head.e_machine = EM_AARCH64;
#endif
  head.e_version = EV_CURRENT;
  head.e_phoff = head.e_ehsize = sizeof head;
  head.e_phentsize = sizeof(Elf64_Phdr);
  head.e_phnum = static_cast<Elf64_Half>(w.header_count);
  if (!write_all(file, &head, sizeof head) ||
      !write_all(file, w.headers, w.header_count * sizeof w.headers[0]) ||
      !write_all(file, w.notes.bytes(), w.notes.size()))
    return false;
  const std::size_t first_part = w.header_count - count;
  for (std::size_t i = 1; i < w.header_count; ++i) {
    const auto& h = w.headers[i];
    const bool good = i < first_part ? write_pages(w, file, h.p_vaddr, h.p_filesz)
                                     : write_all(file, parts[i - first_part].bytes, h.p_filesz);
    if (!good) return false;
  }
  return true;
}

}  // namespace

bool write_snapshot(int descriptor, const snapshot_part* parts, std::size_t count) noexcept {
  count = std::min(count, most_parts);
  void* room = ::mmap(nullptr, sizeof(workshop), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return false;
  auto* w = ::new (room) workshop;  // fresh pages are zeros already
  bool good = w->from.open() == opening::good && w->notes.collect();
  if (good) {
    walk(*w);
    plan(*w, parts, count);
    good = write(*w, descriptor, parts, count);
  }
  const int code = errno;
  w->~workshop();
  ::munmap(room, sizeof(workshop));
  errno = code;
  return good;
}

}  // namespace heddle::detail::seeing
