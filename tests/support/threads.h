// SPDX-License-Identifier: MIT
// What tests need that hold threads, or wait in one that is no loop's.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

namespace support {

/// A gate for threads: those who pass stand until it is opened.
class gate {
 public:
  void open() {
    open_ = true;
    open_.notify_all();
  }
  void pass() const { open_.wait(false); }

 private:
  std::atomic<bool> open_{false};
};

/// Waits in a foreign thread, at most half a minute or so; says whether it came. It sleeps between
/// looks, since a foreign thread has no loop to yield to, and what it waits for is done by threads
/// that want the processor.
template <class F>
bool comes(F condition) {
  for (int i = 0; i < 300'000 && !condition(); ++i)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  return condition();
}

}  // namespace support
