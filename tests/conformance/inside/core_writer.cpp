// SPDX-License-Identifier: MIT
#include "core_writer.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/procfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace conformance {
namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::uint64_t most_dumped = std::uint64_t{1} << 28;  // sanitizers map far more

struct region {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  std::string rights;
  std::string path;
  std::uint64_t anonymous = 0;  // KiB of it that stand in no file
  std::uint64_t dumped = 0;
};

std::string proc(pid_t process, const char* name) {
  return "/proc/" + std::to_string(process) + "/" + name;
}

std::string whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

/// What /proc/PID/smaps says, without what nobody can read.
std::vector<region> regions_of(pid_t process) {
  std::vector<region> found;
  std::istringstream in(whole(proc(process, "smaps")));
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    region r;
    char dash = 0;
    std::string device, inode;
    if (line.find('-') < line.find(' ') && line[0] != 'V' &&
        words >> std::hex >> r.begin >> dash >> r.end >> r.rights >> r.offset >> device >> inode) {
      std::getline(words >> std::ws, r.path);
      found.push_back(std::move(r));
    } else if (line.starts_with("Anonymous:") && !found.empty()) {
      std::string name;
      std::istringstream count(line);
      count >> name >> found.back().anonymous;
    }
  }
  std::erase_if(found,
                [](const region& r) { return r.path == "[vvar]" || r.path == "[vsyscall]"; });
  for (auto& r : found) {
    const bool is_file = r.path.starts_with("/");
    if (r.rights[0] != 'r' || r.end - r.begin > most_dumped) continue;
    if (r.anonymous != 0 || !is_file)
      r.dumped = r.end - r.begin;
    else if (r.offset == 0)
      r.dumped = page_bytes;
  }
  return found;
}

/// Leaves out where the process has never been: most of a stack. The kernel makes holes of that.
std::vector<region> without_untouched(pid_t process, const std::vector<region>& all) {
  constexpr std::size_t piece = 64;  // pages
  const int map = ::open(proc(process, "pagemap").c_str(), O_RDONLY | O_CLOEXEC);
  std::vector<region> found;
  for (const auto& r : all) {
    if (r.dumped < 4 * piece * page_bytes || !r.path.empty()) {
      found.push_back(r);
      continue;
    }
    for (std::uint64_t at = r.begin; at < r.end; at += piece * page_bytes) {
      std::uint64_t pages[piece] = {};
      const auto end = std::min(r.end, at + piece * page_bytes);
      const auto n = static_cast<std::size_t>((end - at) / page_bytes);
      const bool known = ::pread(map, pages, n * 8, static_cast<off_t>(at / page_bytes * 8)) ==
                         static_cast<ssize_t>(n * 8);
      constexpr std::uint64_t present = std::uint64_t{3} << 62;  // in memory, or swapped out
      if (known && std::none_of(pages, pages + n, [](auto p) { return (p & present) != 0; }))
        continue;
      found.push_back(r);
      found.back().begin = at;
      found.back().end = end;
      found.back().dumped = end - at;
    }
  }
  ::close(map);
  return found;
}

void add_note(std::string& to, unsigned type, const void* contents, std::size_t n) {
  Elf64_Nhdr head{};
  head.n_namesz = 5;
  head.n_descsz = static_cast<Elf64_Word>(n);
  head.n_type = type;
  to.append(reinterpret_cast<const char*>(&head), sizeof head);
  to.append("CORE\0\0\0\0", 8);
  to.append(static_cast<const char*>(contents), n);
  to.resize((to.size() + 3) / 4 * 4);
}

/// Of each thread its number and, of its registers, the stack pointer alone.
void add_threads(std::string& to, pid_t process) {
#if defined(__x86_64__)
  constexpr std::size_t sp = 19;
#else
  constexpr std::size_t sp = 31;
#endif
  DIR* folder = ::opendir(proc(process, "task").c_str());
  while (const dirent* entry = folder ? ::readdir(folder) : nullptr) {
    if (entry->d_name[0] == '.') continue;
    std::istringstream in(whole(proc(process, "task/") + entry->d_name + "/syscall"));
    std::vector<std::string> words;
    for (std::string w; in >> w;) words.push_back(w);
    elf_prstatus status{};
    status.pr_pid = std::stoi(entry->d_name);
    status.pr_cursig = SIGABRT;
    if (words.size() >= 3)
      status.pr_reg[sp] = std::stoull(words[words.size() - 2].substr(2), nullptr, 16);
    add_note(to, NT_PRSTATUS, &status, sizeof status);
  }
  if (folder) ::closedir(folder);
}

std::string notes_of(pid_t process, const std::vector<region>& regions) {
  std::string notes;
  elf_prpsinfo about{};
  about.pr_pid = process;
  const auto name = whole(proc(process, "comm"));
  std::memcpy(about.pr_fname, name.data(), std::min(name.find('\n'), sizeof about.pr_fname - 1));
  add_threads(notes, process);
  add_note(notes, NT_PRPSINFO, &about, sizeof about);
  const auto vector = whole(proc(process, "auxv"));
  add_note(notes, NT_AUXV, vector.data(), vector.size());
  std::vector<std::uint64_t> rows{0, page_bytes};
  std::string names;
  for (const auto& r : regions) {
    if (!r.path.starts_with("/")) continue;
    ++rows[0];
    rows.insert(rows.end(), {r.begin, r.end, r.offset / page_bytes});
    names += r.path + '\0';
  }
  std::string files(reinterpret_cast<const char*>(rows.data()), rows.size() * 8);
  files += names;
  add_note(notes, NT_FILE, files.data(), files.size());
  return notes;
}

/// Pages that are all zeros, and those that cannot be read, stay holes.
void copy_memory(pid_t process, const region& r, int file, std::uint64_t offset) {
  constexpr std::size_t piece = 64 * page_bytes;
  std::vector<char> bytes(piece);
  for (std::uint64_t at = 0; at < r.dumped; at += piece) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(piece, r.dumped - at));
    iovec here{bytes.data(), n};
    iovec there{reinterpret_cast<void*>(r.begin + at), n};
    const auto got = ::process_vm_readv(process, &here, 1, &there, 1, 0);
    for (std::size_t p = 0; got > 0 && p < static_cast<std::size_t>(got); p += page_bytes) {
      const char* page = bytes.data() + p;
      if (std::all_of(page, page + page_bytes, [](char c) { return c == 0; })) continue;
      if (::pwrite(file, page, page_bytes, static_cast<off_t>(offset + at + p)) !=
          static_cast<ssize_t>(page_bytes))
        throw std::runtime_error("no room for a core");
    }
  }
}

Elf64_Ehdr head_of(std::size_t headers) {
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
  head.e_phnum = static_cast<Elf64_Half>(headers);
  return head;
}

}  // namespace

void write_core(pid_t process, const std::string& path) {
  const auto regions = without_untouched(process, regions_of(process));
  const auto notes = notes_of(process, regions);
  const auto head = head_of(regions.size() + 1);
  std::vector<Elf64_Phdr> headers(regions.size() + 1);
  std::uint64_t offset = sizeof head + headers.size() * sizeof headers[0];
  headers[0].p_type = PT_NOTE;
  headers[0].p_offset = offset;
  headers[0].p_filesz = notes.size();
  offset = (offset + notes.size() + page_bytes - 1) / page_bytes * page_bytes;
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  for (std::size_t i = 0; i < regions.size(); ++i) {
    auto& h = headers[i + 1];
    const auto& r = regions[i];
    h.p_type = PT_LOAD;
    h.p_flags = (r.rights[0] == 'r' ? PF_R : 0u) | (r.rights[1] == 'w' ? PF_W : 0u) |
                (r.rights[2] == 'x' ? PF_X : 0u);
    h.p_offset = offset;
    h.p_vaddr = r.begin;
    h.p_filesz = r.dumped;
    h.p_memsz = r.end - r.begin;
    h.p_align = page_bytes;
    copy_memory(process, r, file, offset);
    offset += r.dumped;
  }
  bool good = ::ftruncate(file, static_cast<off_t>(offset)) == 0;
  const auto put = [&](const void* bytes, std::size_t n, std::uint64_t at) {
    good = good && ::pwrite(file, bytes, n, static_cast<off_t>(at)) == static_cast<ssize_t>(n);
  };
  put(&head, sizeof head, 0);
  put(headers.data(), headers.size() * sizeof headers[0], sizeof head);
  put(notes.data(), notes.size(), headers[0].p_offset);
  ::close(file);
  if (!good) throw std::runtime_error("no room for a core");
}

}  // namespace conformance
