// SPDX-License-Identifier: MIT
// Internal to sched.
// What rooms above keep for a runtime, such as threads of their own: made when it is first asked
// for, ended with the runtime. Not a public header.
#pragma once

#include <heddle/core/base/owned.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace heddle::detail {

class service {
 public:
  virtual ~service() = default;
  /// No task lives any more, and none comes. Called once, from the thread that ends the runtime.
  virtual void end() noexcept = 0;
};

/// The services by name: this room knows nothing else of them.
enum class service_name : std::uint8_t { resolver, files, handshakes, count };

/// Thread-safe. A service lives as long as its runtime.
class service_set {
 public:
  /// The service of that name, which is always a T. Throws what its constructor throws.
  template <class T>
  T& get(service_name name) {
    const std::lock_guard hold(lock_);
    auto& at = all_[static_cast<std::size_t>(name)];
    if (!at) at = owned<service>(new T());
    return static_cast<T&>(*at);
  }
  void end() noexcept {
    for (auto& s : all_) {
      service* there = nullptr;
      {
        const std::lock_guard hold(lock_);
        there = s.get();
      }
      if (there) there->end();
    }
  }

 private:
  std::mutex lock_;
  std::array<owned<service>, static_cast<std::size_t>(service_name::count)> all_;
};

}  // namespace heddle::detail
