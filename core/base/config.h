// SPDX-License-Identifier: MIT
// Internal to core; installed, since public headers need it.
// Facts about compiler and platform. With assert.h it is the only place that defines macros.
#pragma once

#include <cstddef>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define HEDDLE_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define HEDDLE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEDDLE_ASAN 1
#elif __has_feature(thread_sanitizer)
#define HEDDLE_TSAN 1
#endif
#endif
#ifndef HEDDLE_ASAN
#define HEDDLE_ASAN 0
#endif
#ifndef HEDDLE_TSAN
#define HEDDLE_TSAN 0
#endif

// Whether the library notes where a task waits and who made it, for those who look into a program
// (core/seeing). A build without it has the same layout, and either may be linked to the other.
#ifndef HEDDLE_SEEING
#define HEDDLE_SEEING 1
#endif

// The default argument by which an await_suspend learns the place of its co_await. The compiler
// lays the place down as a constant: a wait stores its address.
#if HEDDLE_SEEING
#define HEDDLE_HERE std::source_location::current()
#else
#define HEDDLE_HERE std::source_location()
#endif

#define HEDDLE_NOINLINE [[gnu::noinline]]
#define HEDDLE_INLINE [[gnu::always_inline]] inline
#define HEDDLE_COLD [[gnu::noinline, gnu::cold]]

// On a parameter that the result refers to: clang warns of a temporary whose life ends too soon.
#if defined(__clang__)
#define HEDDLE_LIFETIME_BOUND [[clang::lifetimebound]]
#else
#define HEDDLE_LIFETIME_BOUND
#endif

// For a row of a table that the linker puts together, and that no code refers to: neither compiler
// nor linker drops it.
#if defined(__clang__)
#define HEDDLE_ROW(table) [[gnu::section(table), gnu::used, gnu::retain]]
#else
#define HEDDLE_ROW(table) [[gnu::section(table), gnu::used]]
#endif

namespace heddle::detail {

/// Knows where the members of T stand, for those who read a program from outside
/// (core/seeing/layout.h). Each specialisation stands in one .cpp.
template <class T>
struct layout_of;

/// HEDDLE_SEEING, for code.
inline constexpr bool notes_places = HEDDLE_SEEING != 0;

/// Current x86 processors fetch two adjacent lines together. So what different threads write stands
/// two lines apart.
inline constexpr std::size_t cache_line = 64;
inline constexpr std::size_t far_apart = 128;

/// Tells the processor that this thread spins.
HEDDLE_INLINE void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace heddle::detail
