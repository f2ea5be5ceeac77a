// SPDX-License-Identifier: MIT
// Internal to io.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/streams/buffer.h>

#include <liburing.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

/// The buffers that one ring receives into. They outlive the ring while streams hold some.
//
// ring_, memory     under lock_, as are starving and alive; the kernel takes from the other end of
//                   the ring
// available_        a hint for is_short()
class uring_buffers final : public buffer_lender {
 public:
  static constexpr unsigned count = 1024;
  static constexpr std::size_t size = 4096;
  static constexpr std::uint16_t group = 0;

  /// Registers them with `ring`, the reactor's. Throws std::system_error.
  static uring_buffers* make(io_uring& ring, reactor& owner);
  /// The ring goes; frees the memory now or with the last buffer that comes back.
  void ring_gone(io_uring& ring) noexcept;

  /// A buffer that the kernel has filled.
  lent_chunk& filled(unsigned id, std::uint32_t bytes) noexcept;
  void give_back(lent_chunk& chunk) noexcept override;
  [[nodiscard]] bool is_short() const noexcept override {
    return available_.load(relaxed) < count / 4;
  }
  /// True: there are buffers again. False: the owner is woken when some have come back.
  [[nodiscard]] bool any_or_tell() noexcept;

 private:
  uring_buffers() = default;
  ~uring_buffers();
  void add(unsigned id) noexcept;

  spin_lock lock_;
  io_uring_buf_ring* ring_ = nullptr;
  char* memory_ = nullptr;
  reactor* owner_ = nullptr;  // nullptr: the ring is gone
  unsigned lent_ = 0;
  bool starving_ = false;
  atomic<unsigned> available_{count};
  lent_chunk chunks_[count];
};

/// A copy of `chunk` in memory of its own; `chunk` goes back. nullptr: no memory, `chunk` is as it
/// was.
[[nodiscard]] lent_chunk* move_out(lent_chunk& chunk) noexcept;

}  // namespace heddle::detail
