// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: the core of a process that has ended, as an ELF file.
//
// A core may be cut off, or damaged: every length and every place in it is checked against the size
// of the file, and what is missing cannot be read. The file is read by pread, and not mapped. So a
// file that shrinks meanwhile ends no reader.
#pragma once

#include "mapped_program.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tool {

class core_file final : public mapped_program {
 public:
  /// Memory that the core has: of [begin, end) the first `bytes`, at `offset` of the file.
  struct segment {
    address begin = 0;
    address end = 0;
    std::uint64_t bytes = 0;
    std::uint64_t offset = 0;
    bool is_written = false;  // the program could write there
  };
  struct thread {
    pid_t id = 0;
    std::vector<std::uint64_t> registers;  // empty: of another kind of processor
  };

  /// Takes the descriptor of a core. nullptr: it is none; then `why` says so in words.
  static std::unique_ptr<core_file> open(int file, std::string& why);
  ~core_file() override;

  [[nodiscard]] seeing::memory& contents() noexcept override { return with_files_; }
  [[nodiscard]] pid_t process() const noexcept override { return process_; }
  [[nodiscard]] std::string program_path() const override;

  /// The program's name, as the system had it.
  [[nodiscard]] const std::string& command() const { return command_; }
  /// The signal that ended it; 0: none, it was taken from a living process.
  [[nodiscard]] int signal() const { return signal_; }
  /// Bytes that the core should have and has not: it was cut off.
  [[nodiscard]] std::uint64_t missing_bytes() const { return missing_; }
  [[nodiscard]] const std::vector<segment>& segments() const { return segments_; }
  [[nodiscard]] const std::vector<thread>& threads() const { return threads_; }

 protected:
  [[nodiscard]] seeing::memory& own_memory() noexcept override { return own_; }

 private:
  class stored final : public seeing::memory {
   public:
    stored(core_file& of, bool files) : of_(of), files_(files) {}
    [[nodiscard]] bool read(address at, void* to, std::size_t n) noexcept override;

   private:
    core_file& of_;
    bool files_;
  };

  explicit core_file(int file) : file_(file) {}
  [[nodiscard]] bool get(std::uint64_t offset, void* to, std::size_t n) const;
  [[nodiscard]] bool load(std::string& why);
  void add_segment(const void* header);
  void read_notes(std::uint64_t offset, std::uint64_t bytes);
  void note(const std::string& owner, unsigned type, const unsigned char* bytes, std::size_t n);
  void list_files(const unsigned char* bytes, std::size_t n);
  [[nodiscard]] const segment* segment_at(address at) const;

  int file_;
  std::uint64_t size_ = 0;
  std::uint64_t missing_ = 0;
  std::uint64_t notes_read_ = 0;
  pid_t process_ = 0;
  int signal_ = 0;
  unsigned machine_ = 0;
  address program_headers_ = 0;  // of the program's file, where it was loaded
  std::string command_;
  std::vector<segment> segments_;
  std::vector<thread> threads_;
  stored own_{*this, false};
  stored with_files_{*this, true};
};

/// Opens what may be a core: a file, or "-" and what else is no plain file (a pipe), which is first
/// put into a temporary file; packed by zstd or not. -1: it cannot be read; `why` says so in words.
int open_core_source(const std::string& path, std::string& why);
/// True: by this text a core is meant, and no process: "-", a path, or the name of a plain file that
/// begins like a core, packed or not.
bool means_core(const std::string& text);

}  // namespace tool
