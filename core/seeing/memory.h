// SPDX-License-Identifier: MIT
// Internal to core.
// The memory of a program, as a reader sees it: of another process, of this one, or a copy.
//
// What stands at an address may have gone by the time it is read. So every read may fail, and no
// read ends the reader. Nothing here allocates or takes a lock: a program may be asked while malloc
// is locked.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace heddle::detail::seeing {

using address = std::uint64_t;

class memory {
 public:
  /// Copies `n` bytes from `at`. False: not all of them could be read; what is in `to` then means
  /// nothing.
  [[nodiscard]] virtual bool read(address at, void* to, std::size_t n) noexcept = 0;

  /// The value at `at`, or false.
  template <class T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] bool get(address at, T& to) noexcept {
    return read(at, &to, sizeof(T));
  }
  /// A text that ends with a 0, at most `room` - 1 characters of it. False: none could be read.
  [[nodiscard]] bool text(address at, char* to, std::size_t room) noexcept;

 protected:
  ~memory() = default;
};

/// The memory of a process, by process_vm_readv: nothing of that process runs or stops. Needs the
/// permission to trace it. The own process needs none; where a filter of system calls refuses it
/// all the same, /proc/self/mem is read instead.
class process_memory final : public memory {
 public:
  explicit process_memory(pid_t of) noexcept : of_(of) {}
  process_memory(const process_memory&) = delete;
  ~process_memory();

  [[nodiscard]] bool read(address at, void* to, std::size_t n) noexcept override;
  /// The errno of the last read that failed.
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  const pid_t of_;
  int error_ = 0;
  int file_ = -1;  // /proc/self/mem, once it is needed
};

/// Keeps pages that were read, so that a walk from frame to frame costs few system calls. What it
/// keeps grows old: forget() before a walk whose result must be newer than that moment.
class cached_memory final : public memory {
 public:
  cached_memory() noexcept = default;
  cached_memory(const cached_memory&) = delete;

  [[nodiscard]] bool read(address at, void* to, std::size_t n) noexcept override;
  /// From here on it reads `below`.
  void over(memory& below) noexcept {
    below_ = &below;
    forget();
  }
  void forget() noexcept {
    for (auto& s : slots_) s.page = none;
  }

 private:
  static constexpr std::size_t page_bytes = 4096;
  static constexpr std::size_t slots = 16;
  static constexpr address none = 1;  // no page begins there
  struct slot {
    address page = none;
    unsigned char bytes[page_bytes];
  };
  [[nodiscard]] const unsigned char* page_at(address page) noexcept;

  memory* below_ = nullptr;
  slot slots_[slots];
};

}  // namespace heddle::detail::seeing
