// SPDX-License-Identifier: MIT
// Internal to io.
// A reactor as the rest of io sees it: it watches sources, and it may move their bytes.
//
// To add a reactor: derive from subscribing_reactor (reactor/subscriptions.h), and name it in
// reactor/choose.cpp. io/README.md lists the files.
#pragma once

#include <heddle/io/reactor/source.h>
#include <heddle/sched/loop/driver.h>
#include <heddle/sched/runtime/drivers.h>

#include <cstddef>

namespace heddle::detail {

/// Which edges a watch asks for.
enum class watched_for {
  reading,     // "readable"
  writing,     // "writable"
  both_ways,   // both; forget() is called before the descriptor goes back to its user
  connecting,  // one edge of "writable"; a stream afterwards
  streaming,   // both, unless the kernel moves the stream's bytes
};

/// The reactor of one loop.
/// Thread-safety  any thread, but for poll(): driver.h gives that to the owning loop.
class reactor : public driver, public source_home {
 public:
  /// Watches `descriptor` (non-blocking) by edges until io_source::retire(). The owner may be told
  /// of an edge before watch() returns. Throws std::system_error, std::bad_alloc; then the
  /// descriptor is still the caller's.
  virtual io_source& watch(int descriptor, source_owner* owner, watched_for purpose) = 0;

  [[nodiscard]] bool watches() noexcept override { return io_source::any_of(*this); }

  /// Ends the watch of a descriptor that was watched both ways, and that stays open. Called after
  /// retire().
  virtual void forget(int) noexcept {}

  /// True: the kernel moves a stream's bytes, and is asked to by receive_more() and send(). False:
  /// the stream calls recv and send.
  [[nodiscard]] bool moves_bytes() const noexcept { return moves_bytes_; }
  /// Begins to receive into lent buffers. The source's read lock is held.
  virtual void receive_more(io_source&) noexcept {}
  /// Begins to send. The memory stays as it is until the kernel is done: owner->sent() tells how
  /// much went, which may be less than all. The source's read lock is held.
  virtual void send(io_source&, int, const char*, std::size_t) noexcept {}
  /// Tells the owner of a stream once by writable() when its socket has room, or an error. The
  /// caller has set wants_write. The source's read lock is held.
  virtual void tell_of_room(io_source&) noexcept {}
  /// The reactor that moves the bytes of this reactor's sources at the least cost: that of the
  /// calling loop, if that is a loop of the same runtime; else this one.
  [[nodiscard]] virtual reactor& nearest() noexcept { return *this; }
  /// Acts on what the kernel has told and poll() has not seen yet. From any loop. False: another
  /// thread does that now, and may not be through.
  [[nodiscard]] virtual bool collect() noexcept { return true; }

 protected:
  explicit reactor(bool moves_bytes) noexcept : moves_bytes_(moves_bytes) {}

 private:
  const bool moves_bytes_;
};

/// The reactor of the calling thread's loop. Throws no_running_loop where there is none.
inline reactor& current_reactor() { return static_cast<reactor&>(current_driver()); }
/// The same, or nullptr where there is none.
HEDDLE_NOINLINE reactor* reactor_here() noexcept;

}  // namespace heddle::detail
