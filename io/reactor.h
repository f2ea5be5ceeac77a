// SPDX-License-Identifier: MIT
// What the two reactors have in common: watched sources, and the reactor of the calling loop.
#pragma once

#include <heddle/io/source.h>
#include <heddle/sched/driver.h>

#include <cstddef>

namespace heddle::detail {

/// One a loop. Everything here may be called from any thread, but for what driver.h gives to the owner alone.
class reactor : public driver {
 public:
  /// Watches `descriptor` (non-blocking) for its whole life, for both directions, by edges. `owner` may be nullptr. Throws
  /// std::system_error, std::bad_alloc; then the descriptor is still the caller's.
  virtual io_source& watch(int descriptor, source_owner* owner) = 0;
  /// io_source::retire() ends a watch and tells so here, under both locks of the source. The descriptor is closed afterwards.
  virtual void unwatch(io_source& source) noexcept = 0;
};

/// The reactor of the loop that this thread is. Throws no_running_loop elsewhere.
inline reactor& current_reactor() { return static_cast<reactor&>(current_driver()); }

}  // namespace heddle::detail
