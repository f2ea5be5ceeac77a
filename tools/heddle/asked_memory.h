// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: a program whose memory another program hands out, piece by piece.
// So a debugger shows a process, a core or something far away, and need not know what heddle is.
//
//   tool      "maps\n"               answer   "PROCESS COUNT\n", then COUNT lines "BEGIN END OFFSET
//                                             PATH\n", the numbers hexadecimal
//   tool      "read ADDRESS N\n"     answer   a byte '1' and N bytes, or a byte '0'
//
// Questions go to one descriptor, answers come from another. gdb/heddle.py is the other side.
#pragma once

#include "mapped_program.h"

#include <memory>
#include <string>

namespace tool {

class asked_program final : public mapped_program {
 public:
  /// `descriptors`: "IN,OUT". nullptr: nobody answers there.
  static std::unique_ptr<asked_program> open(const std::string& descriptors);

  [[nodiscard]] seeing::memory& contents() noexcept override { return with_files_; }
  [[nodiscard]] pid_t process() const noexcept override { return process_; }

 protected:
  [[nodiscard]] seeing::memory& own_memory() noexcept override { return asked_; }

 private:
  class asked final : public seeing::memory {
   public:
    asked(asked_program& of, bool files) : of_(of), files_(files) {}
    [[nodiscard]] bool read(address at, void* to, std::size_t n) noexcept override;

   private:
    asked_program& of_;
    bool files_;
  };

  asked_program(int in, int out) : in_(in), out_(out) {}
  [[nodiscard]] bool ask(const std::string& question) const;
  [[nodiscard]] bool answer(void* to, std::size_t n) const;
  [[nodiscard]] bool answer_line(std::string& to) const;
  [[nodiscard]] bool load();

  int in_;
  int out_;
  pid_t process_ = 0;
  asked asked_{*this, false};
  asked with_files_{*this, true};
};

}  // namespace tool
