// SPDX-License-Identifier: MIT
// Damaged cores: whatever bytes stand in one, its reader ends, and says no more than it may.
#include "fuzzed.h"

#include <heddle/core/seeing/report.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/sleep.h>

#include <tools/heddle/core_file.h>

#include <elf.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <new>
#include <sstream>
#include <vector>

namespace {

using namespace fuzzed;
namespace seeing = h::detail::seeing;
using seeing::address;

constexpr std::size_t page_bytes = 4096;

/// Reads this process, and keeps each page that was read.
class keeping final : public seeing::memory {
 public:
  bool read(address at, void* to, std::size_t n) noexcept override {
    for (address page = at & ~address{page_bytes - 1}; page < at + n; page += page_bytes) {
      if (kept.count(page) != 0) continue;
      std::vector<unsigned char> bytes(page_bytes);
      if (from_.read(page, bytes.data(), bytes.size())) kept[page] = std::move(bytes);
    }
    return from_.read(at, to, n);
  }
  std::map<address, std::vector<unsigned char>> kept;

 private:
  seeing::process_memory from_{::getpid()};
};

void look(seeing::sight& s, int text) {
  seeing::output to(text);
  if (s.open() == seeing::opening::good) (void)seeing::put_everything(to, s);
}

void add_note(std::string& to, unsigned type, const std::string& contents) {
  const Elf64_Nhdr head{5, static_cast<Elf64_Word>(contents.size()), type};
  to.append(reinterpret_cast<const char*>(&head), sizeof head);
  to.append("CORE\0\0\0\0", 8);
  to += contents;
  to.resize((to.size() + 3) / 4 * 4);
}

/// What /proc/self/maps says of files, as a core has it.
std::string mapped_files() {
  std::ifstream in("/proc/self/maps");
  std::vector<std::uint64_t> rows{0, page_bytes};
  std::string names;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::uint64_t begin = 0, end = 0, offset = 0;
    char dash = 0;
    std::string rights, device, inode, path;
    if (!(words >> std::hex >> begin >> dash >> end >> rights >> offset >> device >> inode >>
          path) ||
        path[0] != '/')
      continue;
    ++rows[0];
    rows.insert(rows.end(), {begin, end, offset / page_bytes});
    names += path + '\0';
  }
  return std::string(reinterpret_cast<const char*>(rows.data()), rows.size() * 8) + names;
}

/// A core of these pages, each a segment.
std::string core_of(const keeping& memory) {
  std::string notes;
  elf_prstatus status{};
  status.pr_pid = 4711;
  add_note(notes, NT_PRSTATUS, std::string(reinterpret_cast<const char*>(&status), sizeof status));
  add_note(notes, NT_FILE, mapped_files());
  Elf64_Ehdr head{};
  std::memcpy(head.e_ident, ELFMAG, SELFMAG);
  head.e_ident[EI_CLASS] = ELFCLASS64;
  head.e_ident[EI_DATA] = ELFDATA2LSB;
  head.e_type = ET_CORE;
  head.e_machine = EM_X86_64;
  head.e_phoff = sizeof head;
  head.e_phentsize = sizeof(Elf64_Phdr);
  head.e_phnum = static_cast<Elf64_Half>(memory.kept.size() + 1);
  std::vector<Elf64_Phdr> headers;
  std::uint64_t offset = sizeof head + head.e_phnum * sizeof(Elf64_Phdr);
  headers.push_back({PT_NOTE, PF_R, offset, 0, 0, notes.size(), 0, 4});
  offset += notes.size();
  std::string pages;
  for (const auto& [at, bytes] : memory.kept) {
    headers.push_back({PT_LOAD, PF_R | PF_W, offset, at, 0, page_bytes, page_bytes, page_bytes});
    offset += page_bytes;
    pages.append(bytes.begin(), bytes.end());
  }
  std::string core(reinterpret_cast<const char*>(&head), sizeof head);
  core.append(reinterpret_cast<const char*>(headers.data()), headers.size() * sizeof headers[0]);
  return core + notes + pages;
}

h::task<> sleeps() { co_await h::sleep(std::chrono::hours(1)); }
h::task<> calls() { co_await sleeps(); }
h::task<> awaits(h::task_handle<> t) { co_await t; }
h::task<> gathers() {
  std::vector<h::task<>> two;
  two.push_back(calls());
  two.push_back(sleeps());
  co_await h::gather(std::move(two));
}

h::task<std::string> made(int text) {
  h::task_options named;
  named.name = "a name";
  static auto* const kept = new std::vector<h::task_handle<>>;
  kept->push_back(h::create_task(calls(), named));
  kept->push_back(h::create_task(awaits(kept->front())));
  kept->push_back(h::create_task(gathers()));
  for (int i = 0; i < 8; ++i) co_await h::yield_now();
  keeping memory;
  const auto s = std::make_unique<seeing::sight>(::getpid(), &memory);
  look(*s, text);
  std::string core = core_of(memory);
  co_return core;
}

/// A file with the core, which is damaged and mended again.
class damaged {
 public:
  explicit damaged(int text) : whole_(finished(made(text))), file_(::memfd_create("core", 0)) {
    must(::write(file_, whole_.data(), whole_.size()) == static_cast<ssize_t>(whole_.size()),
         "there is room for a core");
  }
  void put(std::uint32_t place, unsigned how, unsigned char byte) {
    // Every other damage stands in the first pages: headers and notes.
    const std::size_t at = how % 2 == 0 ? place % whole_.size() : place % 16384 % whole_.size();
    const unsigned char was = static_cast<unsigned char>(whole_[at]);
    const unsigned char now = how % 4 < 2 ? byte : static_cast<unsigned char>(was ^ byte);
    must(::pwrite(file_, &now, 1, static_cast<off_t>(at)) == 1, "a byte is written");
    touched_.push_back(at);
  }
  void mend() {
    for (const auto at : touched_)
      must(::pwrite(file_, &whole_[at], 1, static_cast<off_t>(at)) == 1, "a byte is written");
    touched_.clear();
  }
  [[nodiscard]] int file() const { return file_; }

 private:
  std::string whole_;
  int file_;
  std::vector<std::size_t> touched_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int text = ::memfd_create("text", 0);
  static auto* const core = new damaged(text);
  for (; size >= 6; data += 6, size -= 6) {
    std::uint32_t place;
    std::memcpy(&place, data, sizeof place);
    core->put(place, data[4], data[5]);
  }
  must(::ftruncate(text, 0) == 0 && ::lseek(text, 0, SEEK_SET) == 0, "the text begins anew");
  std::string why;
  if (const auto read = tool::core_file::open(::dup(core->file()), why)) {
    // In the same place each time: a sight is large, and fresh memory costs more than all else.
    static void* const room = ::operator new(sizeof(seeing::sight), std::align_val_t(64));
    auto* const s = ::new (room) seeing::sight(*read);
    look(*s, text);
    s->~sight();
  }
  must(::lseek(text, 0, SEEK_END) < (off_t{64} << 20), "the text has a bound");
  core->mend();
  return 0;
}
