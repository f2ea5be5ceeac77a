// SPDX-License-Identifier: MIT
// Internal to core.
// The names of functions by their addresses: from the symbol tables of the files that a process
// has mapped. A stripped file has none; then the file's name and the place in it are told, which
// addr2line and gdb find again in an unstripped copy.
//
// The files are mapped into memory. Nothing is allocated, so it serves a dump from within.
#pragma once

#include <heddle/core/seeing/modules.h>
#include <heddle/core/seeing/short_writer.h>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

class symbols {
 public:
  /// Of process `of`; 0: of this one. `code` outlives this.
  symbols(const modules& code, pid_t of) noexcept : code_(&code), of_(of) {}
  symbols(const symbols&) = delete;
  ~symbols();

  /// The function that `at` stands in: "chat::copy_line", or "chatd+0x12340". The text
  /// stands until the next call.
  [[nodiscard]] const char* function(address at) noexcept;

 private:
  static constexpr std::size_t most_files = 32;
  static constexpr std::size_t cached = 256;
  static constexpr std::size_t name_room = 160;

  struct mapped_file {
    const char* name = nullptr;  // as modules has it
    const unsigned char* bytes = nullptr;
    std::size_t size = 0;
    std::size_t table = 0;  // of symbols: where, and how many bytes; 0: none
    std::size_t table_bytes = 0;
    std::size_t texts = 0;
    std::size_t texts_bytes = 0;
  };
  struct remembered {
    address at = 0;
    char name[name_room] = "";
  };

  mapped_file* file_of(const code_range& r) noexcept;
  void map(mapped_file& f, const code_range& r) noexcept;
  [[nodiscard]] bool find_table(mapped_file& f) const noexcept;
  /// Where the byte at `offset` of the file stands by the file's own addresses.
  [[nodiscard]] static std::uint64_t in_file(const mapped_file& f, std::uint64_t offset) noexcept;
  [[nodiscard]] static const char* find(const mapped_file& f, std::uint64_t value) noexcept;

  const modules* code_;
  pid_t of_;
  std::size_t file_count_ = 0;
  mapped_file files_[most_files];
  remembered names_[cached];
};

}  // namespace heddle::detail::seeing
