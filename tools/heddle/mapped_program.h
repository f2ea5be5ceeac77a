// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: a program that is read out of a core or through a debugger.
//
// Problem   A core has what the program wrote. Constants, code and symbols are in the files that
//           the program had mapped. A file of another build would put wrong names on all of it.
// Chosen    A file is used if its build id is the one that stands in the program's memory; where
//           there is no build id, if its first page is the same. Without the file the rest is read.
#pragma once

#include <heddle/core/seeing/origin.h>

#include <map>
#include <string>
#include <vector>

namespace tool {

namespace seeing = heddle::detail::seeing;
using seeing::address;

/// Memory that a file had given: [begin, end) has what stands at `offset` of the file.
struct mapping {
  address begin = 0;
  address end = 0;
  address offset = 0;
  std::string path;
};

/// How a file on this machine fits to what the program had mapped from it.
enum class fit : unsigned char {
  same,
  other,      // another build
  missing,    // it cannot be opened
  unchecked,  // its head is not in the program's memory, so nothing is known; it is not used
};

class mapped_program : public seeing::origin {
 public:
  mapped_program() = default;
  mapped_program(const mapped_program&) = delete;
  virtual ~mapped_program();

  [[nodiscard]] bool list(seeing::modules& to) noexcept override;
  [[nodiscard]] int open_file(const char* name) noexcept override;

  /// The program's own file is looked for there, and not at its old place. "none": nowhere.
  void look_for_program_at(std::string path) { program_file_ = std::move(path); }
  /// The file that the program was started from, by its old place; may be empty.
  [[nodiscard]] virtual std::string program_path() const;
  [[nodiscard]] const std::vector<mapping>& mappings() const { return mappings_; }

  struct checked {
    fit how = fit::missing;
    std::string path;       // where it was looked for
    std::string id;         // in hexadecimal; empty: it has none
    std::string wanted_id;  // that of the program
    int file = -1;
  };
  /// The file behind the mappings of that name. Looked for once.
  const checked& file_of(const std::string& name);
  /// The file that the heddle of number `which` stands in, by its old place; empty: not known.
  std::string file_of_heddle(std::size_t which);

 protected:
  /// What is in the core itself, or what the debugger knows; no file is asked.
  [[nodiscard]] virtual seeing::memory& own_memory() noexcept = 0;
  [[nodiscard]] const mapping* mapping_at(address at) const;
  /// From the file behind a mapping; at most up to its end.
  bool read_from_file(address at, void* to, std::size_t n) noexcept;
  /// Once, after all were added.
  void sort_mappings();

  std::vector<mapping> mappings_;  // in order of their addresses

 private:
  std::string program_file_;
  std::map<std::string, checked> files_;
};

/// The build id of the ELF file whose head stands at `head`, in hexadecimal; empty: it has none, or
/// cannot be read. `as_file`: it lies there as in the file, and not as it is loaded.
std::string build_id(seeing::memory& from, address head, bool as_file);

/// The parts of the ELF file loaded at `head` that hold code.
std::vector<mapping> code_of(seeing::memory& from, address head, const std::string& path);

}  // namespace tool
