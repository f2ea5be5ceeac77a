// SPDX-License-Identifier: MIT
// Internal to sync; installed, since public headers need it.
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

/// Owns what was acquired until the end of its scope. Move-only; assigning to one releases what it
/// held first.
template <class Primitive, class Release>
class [[nodiscard]] scoped {
 public:
  scoped() noexcept = default;
  /// Adopts: the caller has acquired `p`.
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
  /// Gives up the duty to release, which becomes the caller's.
  Primitive* release() noexcept { return std::exchange(held_, nullptr); }

 private:
  // Releasing what is held does not throw; if somebody else has released it already that is a bug,
  // and ends the process.
  void reset() noexcept {
    if (auto* p = std::exchange(held_, nullptr)) Release::of(*p);
  }

  Primitive* held_ = nullptr;
};

}  // namespace heddle::detail
