// SPDX-License-Identifier: MIT
#include <heddle/io/descriptors/owned_numbers.h>

#include <heddle/core/base/atomic.h>

#include <cstddef>

namespace heddle::detail {
namespace {

constexpr std::size_t numbers = 65536;

// Relaxed: whoever got a number from its owner sees what the owner wrote before.
constinit atomic<bool> is_owned[numbers]{};

void note(int descriptor, bool is) noexcept {
  const auto number = static_cast<std::size_t>(descriptor);
  if (descriptor >= 0 && number < numbers) is_owned[number].store(is, relaxed);
}

}  // namespace

void own_number(int descriptor) noexcept { note(descriptor, true); }
void disown_number(int descriptor) noexcept { note(descriptor, false); }
bool is_owned_number(int descriptor) noexcept {
  const auto number = static_cast<std::size_t>(descriptor);
  return descriptor >= 0 && number < numbers && is_owned[number].load(relaxed);
}

}  // namespace heddle::detail
