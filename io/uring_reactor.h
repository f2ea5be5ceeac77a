// SPDX-License-Identifier: MIT
#pragma once

#include <heddle/core/spin_lock.h>
#include <heddle/io/fd.h>
#include <heddle/io/reactor.h>

#include <liburing.h>

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <vector>

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

/// Completions by io_uring. Listeners and the like are polled (multishot); streams receive by one
/// multishot operation into lent buffers and send by one operation at a time. Operations are
/// gathered and submitted with the next poll: one system call for all of them.
///
/// Problem   A hogged loop must not block its connections, so another thread has to see its
///           completions.
/// Rejected  DEFER_TASKRUN and SINGLE_ISSUER: then no other thread ever does, for some 3 % of
///           speed.
/// Chosen    COOP_TASKRUN. rescue() makes the hog's kernel side post what is due by membarrier,
///           which interrupts every thread of the process, and reaps it here.
//
// Operations belong to the thread that submits them, so they are left to the owner where possible:
// others put them into the queue and wake it. Only rescue() and settle_descriptor() submit for a
// thread that may not come.
//
// Locks, in this order:
//   reap_    one thread at a time takes completions and acts on them, so that the pieces of a
//            stream stay in order
//   (a source's locks)
//   queue_   the submission queue. Reaping takes it too, if only to see what those wrote who queued
// starved_  under reap_
class uring_reactor final : public reactor {
 public:
  uring_reactor();
  ~uring_reactor() override;

  unsigned poll(duration limit) override;
  void wake() noexcept override;
  unsigned rescue() noexcept override;
  [[nodiscard]] const char* name() const noexcept override { return "io_uring"; }

  io_source& watch(int descriptor, source_owner* owner, watched_for purpose) override;
  reactor* unwatch(io_source& source) noexcept override;
  void receive_more(io_source& source) noexcept override;
  void send(io_source& source, int descriptor, const char* data,
            std::size_t size) noexcept override;
  void settle_descriptor() noexcept override;

 private:
  struct completion {
    std::uint64_t mark;
    int result;
    unsigned flags;
  };

  template <class Prepare>
  void queue(Prepare&& prepare) noexcept;
  void submit_locked() noexcept;
  unsigned publish_locked() noexcept;
  [[nodiscard]] unsigned completions_ready() const noexcept;
  int enter(unsigned submit, unsigned wait_for, duration limit) noexcept;
  void arm_bell() noexcept;
  void cancel(std::uint64_t mark) noexcept;

  unsigned reap_locked();
  void completed(const completion& c);
  void polled(io_source& s, std::uint32_t generation, const completion& c, bool once);
  void received(io_source& s, std::uint32_t generation, const completion& c);
  void was_sent(io_source& s, const completion& c);
  void feed_starved();
  void arm_poll(io_source& s, bool once) noexcept;
  void end_operation(io_source& s) noexcept;

  [[nodiscard]] bool on_own_thread() const noexcept;

  io_uring ring_;
  spin_lock queue_;
  spin_lock reap_;
  uring_buffers* buffers_ = nullptr;
  fd bell_;
  atomic<bool> has_owner_{false};
  pthread_t owner_{};
  std::vector<source_name> starved_;
  atomic<unsigned> starved_count_{0};  // a hint for poll()
  atomic<unsigned> operations_{0};     // in this ring
};

/// Tries a ring with all that is needed of it. Throws std::system_error telling what the kernel
/// refused.
void probe_uring();

}  // namespace heddle::detail
