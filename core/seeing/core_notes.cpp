// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/core_notes.h>

#include <elf.h>
#include <fcntl.h>
#include <sys/procfs.h>
#include <unistd.h>

#include <cstring>

namespace heddle::detail::seeing {
namespace {

constexpr std::uint64_t page_bytes = 4096;

/// As much of the file as there is room for.
std::size_t read_file(const char* path, void* to, std::size_t room) noexcept {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const auto n = ::read(file, to, room);
  ::close(file);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

}  // namespace

void core_notes::put(const void* some, std::size_t n) noexcept {
  if (n > sizeof bytes_ - used_) return;
  std::memcpy(bytes_ + used_, some, n);
  used_ += n;
}

void core_notes::note(std::uint32_t type, const void* contents, std::size_t n) noexcept {
  constexpr char owner[8] = "CORE";
  if (n + sizeof(Elf64_Nhdr) + sizeof owner + 4 > sizeof bytes_ - used_) return;
  const Elf64_Nhdr head{5, static_cast<Elf64_Word>(n), type};
  put(&head, sizeof head);
  put(owner, sizeof owner);
  put(contents, n);
  while (used_ % 4 != 0) bytes_[used_++] = 0;
}

void core_notes::add_process() noexcept {
  elf_prpsinfo about{};
  about.pr_pid = ::getpid();
  const auto n = read_file("/proc/self/comm", about.pr_fname, sizeof about.pr_fname - 1);
  if (n != 0) about.pr_fname[n - 1] = 0;  // without the line's end
  note(NT_PRPSINFO, &about, sizeof about);
}

void core_notes::add_auxiliary() noexcept {
  char vector[1024];
  note(NT_AUXV, vector, read_file("/proc/self/auxv", vector, sizeof vector));
}

void core_notes::add_file(const mapped& m) noexcept {
  const std::size_t n = std::strlen(m.path) + 1;
  if (m.path[0] != '/' || file_count_ == most_files || n > name_bytes - names_used_) return;
  const std::uint64_t row[] = {m.begin, m.end, m.offset / page_bytes};
  std::memcpy(rows_ + 2 + 3 * file_count_++, row, sizeof row);
  std::memcpy(names_ + names_used_, m.path, n);
  names_used_ += n;
}

bool core_notes::collect() noexcept {
  used_ = file_count_ = names_used_ = 0;
  if (!each_mapped(
          0, [](void* to, const mapped& m) noexcept { static_cast<core_notes*>(to)->add_file(m); },
          this))
    return false;
  add_process();
  add_auxiliary();
  rows_[0] = file_count_;
  rows_[1] = page_bytes;
  const std::size_t rows = (2 + 3 * file_count_) * sizeof rows_[0];
  const Elf64_Nhdr head{5, static_cast<Elf64_Word>(rows + names_used_), NT_FILE};
  constexpr char owner[8] = "CORE";
  put(&head, sizeof head);
  put(owner, sizeof owner);
  put(rows_, rows);
  put(names_, names_used_);
  while (used_ % 4 != 0) bytes_[used_++] = 0;
  return true;
}

}  // namespace heddle::detail::seeing
