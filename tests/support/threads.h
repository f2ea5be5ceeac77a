// SPDX-License-Identifier: MIT
// What tests need that hold threads, wait in one that is no loop's, or count wake-ups.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
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

/// Voluntary context switches of all threads of heddle in this process: each stands for a wake-up.
/// (A sanitizer has a thread of its own, which wakes ten times a second.)
inline std::uint64_t wake_ups() {
  std::uint64_t sum = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream(thread.path() / "comm") >> name;
    if (!name.starts_with("heddle-")) continue;
    std::ifstream status(thread.path() / "status");
    for (std::string word; status >> word;)
      if (word == "voluntary_ctxt_switches:") {
        std::uint64_t n = 0;
        status >> n;
        sum += n;
      }
  }
  return sum;
}

}  // namespace support
