// SPDX-License-Identifier: MIT
// Internal to io.
// What a reactor is to the rest of io: it watches sources, and may move their bytes.
#pragma once

#include <heddle/io/reactor/source.h>
#include <heddle/sched/loop/driver.h>
#include <heddle/sched/runtime/drivers.h>

#include <cstddef>

namespace heddle::detail {

enum class watched_for {
  reading,     // edges of "readable"
  writing,     // edges of "writable"
  both_ways,   // edges of both; whoever watches calls forget() before it lets the descriptor go
  connecting,  // one of "writable"; a stream afterwards
  streaming,   // a stream: edges of both, unless the kernel moves its bytes
};

/// One a loop. Everything here may be called from any thread, but for what driver.h gives to the
/// owner alone.
class reactor : public driver, public source_home {
 public:
  /// Watches `descriptor` (non-blocking) for its whole life, by edges. Throws std::system_error,
  /// std::bad_alloc; then the descriptor is still the caller's.
  virtual io_source& watch(int descriptor, source_owner* owner, watched_for purpose) = 0;

  /// What was watched both ways is watched no more, although it stays open. After retire().
  virtual void forget(int) noexcept {}

  /// The kernel moves a stream's bytes itself: receive_more and send are there. Else the stream
  /// calls recv and send.
  [[nodiscard]] bool moves_bytes() const noexcept { return moves_bytes_; }
  /// Under the source's read lock: receives into lent buffers until the end of the stream.
  virtual void receive_more(io_source&) noexcept {}
  /// Under the source's read lock: sends from memory that stays as it is until owner->sent(), which
  /// tells of at least one byte and perhaps not of all.
  virtual void send(io_source&, int, const char*, std::size_t) noexcept {}
  /// Who best moves the bytes of a source of this reactor: the reactor of the calling loop if that
  /// is a loop of the same runtime, else this.
  [[nodiscard]] virtual reactor& nearest() noexcept { return *this; }
  /// Acts on what the kernel has told by now and poll() has yet to see, from any loop. False:
  /// another thread is at it, and may not be through.
  [[nodiscard]] virtual bool collect() noexcept { return true; }

 protected:
  explicit reactor(bool moves_bytes) noexcept : moves_bytes_(moves_bytes) {}

 private:
  const bool moves_bytes_;
};

/// The reactor of the loop that this thread is. Throws no_running_loop elsewhere.
inline reactor& current_reactor() { return static_cast<reactor&>(current_driver()); }
/// The same, or nullptr elsewhere.
HEDDLE_NOINLINE reactor* reactor_here() noexcept;

}  // namespace heddle::detail
