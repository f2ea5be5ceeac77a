// SPDX-License-Identifier: MIT
// Internal to sync; installed, since public headers need it.
// The guard of the locks and semaphores.
#pragma once

#include <utility>

namespace heddle::detail {

struct by_unlock {
  static void of(auto& primitive) { primitive.unlock(); }
};
struct by_unlock_shared {
  static void of(auto& primitive) { primitive.unlock_shared(); }
};
struct by_release {
  static void of(auto& primitive) { primitive.release(); }
};

/// Owns what was acquired, and releases it at the end of its scope. It can be moved, not copied.
/// Assigning to a guard first releases what that guard held. Not thread-safe: one task uses it at
/// a time.
template <class Primitive, class Release>
class [[nodiscard]] scoped {
 public:
  scoped() noexcept = default;
  /// The caller has acquired `p`; from now on the guard owns it.
  explicit scoped(Primitive& p) noexcept : held_(&p) {}
  scoped(scoped&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  scoped& operator=(scoped&& other) noexcept {
    if (this != &other) {
      reset();
      held_ = std::exchange(other.held_, nullptr);
    }
    return *this;
  }
  ~scoped() { reset(); }

  /// Releases now.
  void unlock() noexcept { reset(); }
  [[nodiscard]] bool owns_lock() const noexcept { return held_ != nullptr; }
  explicit operator bool() const noexcept { return owns_lock(); }
  /// Gives up the ownership without releasing: releasing is the caller's duty now.
  Primitive* release() noexcept { return std::exchange(held_, nullptr); }

 private:
  // Releasing what is held does not throw. Releasing throws only if another task has released it
  // already. That is a bug, and since this function is noexcept it ends the process.
  void reset() noexcept {
    if (auto* p = std::exchange(held_, nullptr)) Release::of(*p);
  }

  Primitive* held_ = nullptr;
};

}  // namespace heddle::detail
