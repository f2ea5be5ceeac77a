// SPDX-License-Identifier: MIT
// Internal to core.
// The names of functions, and where in them a frame waits. The place of a co_await has both. The
// name of a frame whose place is not known comes from the symbol tables of the files that a process
// has mapped. A stripped file has none; then the file's name and the place in it are told, which
// addr2line and gdb find again in an unstripped copy.
//
// The files are mapped into memory. Nothing is allocated, so it serves a dump from within.
#pragma once

#include <heddle/core/seeing/modules.h>
#include <heddle/core/seeing/origin.h>
#include <heddle/core/seeing/places.h>
#include <heddle/core/seeing/short_writer.h>
#include <heddle/core/seeing/task_view.h>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

class symbols {
 public:
  /// Of process `of`; 0: of this one. `code` outlives this. `where`: files are opened there.
  symbols(const modules& code, pid_t of, origin* where = nullptr) noexcept
      : code_(&code), of_(of), origin_(where) {}
  symbols(const symbols&) = delete;
  ~symbols();

  /// The function that `at` stands in: "chat::copy_line", or "chatd+0x12340". The text
  /// stands until the next call.
  [[nodiscard]] const char* function(address at) noexcept;
  /// The function of a frame. The text stands until the next call.
  [[nodiscard]] const char* function(const frame_run& f) noexcept;
  /// Where the frame waits; nullptr: not known. It stands until the next call.
  [[nodiscard]] const place_view* place(const frame_run& f) noexcept {
    return places_.find(f.place);
  }
  /// "chat::copy_line chat.cpp:21", or the function alone. The text stands until the next call.
  [[nodiscard]] const char* frame(const frame_run& f) noexcept;
  /// Places are read from there.
  void reads(memory& from) noexcept { places_.over(from); }

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
  origin* origin_;
  std::size_t file_count_ = 0;
  mapped_file files_[most_files];
  remembered names_[cached];
  places places_;
  char frame_[512] = "";
};

}  // namespace heddle::detail::seeing
