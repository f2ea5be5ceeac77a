// SPDX-License-Identifier: MIT
// Internal to io.
// The buffers of a ring: where the kernel puts what it receives, before any stream has asked.
//
// Problem   One multishot receive needs memory before bytes come, and thousands of idle streams
//           must not hold any.
// Chosen    A pool a ring. The kernel takes a buffer when bytes come; the stream gives it back when
//           they are consumed. Streams whose bytes nobody reads must not use the pool up: when it
//           is short, bytes are copied out of it at once (move_out, input_buffer::adopt).
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/streams/buffer.h>

#include <liburing.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// The buffers that one ring receives into. They outlive the ring while streams hold some of them.
//
// memory_        constant
// ring_          Our end of the ring of free buffers: under lock_. The kernel takes from the other
//                end.
// owner_, lent_, starving_   under lock_
// available_     Written under lock_. is_short() reads it without: a hint.
// chunks_[id]    whoever holds that buffer
class uring_buffers final : public buffer_lender {
 public:
  static constexpr unsigned count = 1024;
  static constexpr std::size_t size = 4096;  // protocol LAST counts with it
  static constexpr std::uint16_t group = 0;

  /// Registers a pool with `ring`, which belongs to `owner`. Throws std::system_error.
  static uring_buffers* make(io_uring& ring, reactor& owner);
  /// The ring ends. Frees the pool now, or when the last lent buffer comes back.
  void ring_gone(io_uring& ring) noexcept;

  /// The buffer `id`, which the kernel has filled with so many bytes. It is lent from here on.
  lent_chunk& filled(unsigned id, std::uint32_t bytes) noexcept;
  void give_back(lent_chunk& chunk) noexcept override;
  [[nodiscard]] bool is_short() const noexcept override {
    return available_.load(relaxed) < count / 4;
  }
  /// True: there are buffers. False: there are few, and the owner is woken when some came back.
  [[nodiscard]] bool any_or_wake_later() noexcept;

 private:
  uring_buffers() = default;
  ~uring_buffers();
  void add(unsigned id) noexcept;

  spin_lock lock_;
  io_uring_buf_ring* ring_ = nullptr;
  char* memory_ = nullptr;
  reactor* owner_ = nullptr;  // nullptr: the ring has ended
  unsigned lent_ = 0;
  bool starving_ = false;
  atomic<unsigned> available_{count};
  lent_chunk chunks_[count];
};

/// Copies `chunk` into memory of its own and gives `chunk` back to its lender. nullptr: there is no
/// memory, and `chunk` is as it was.
[[nodiscard]] lent_chunk* move_out(lent_chunk& chunk) noexcept;

}  // namespace heddle::detail
