// SPDX-License-Identifier: MIT
#include <heddle/sched/stalls/threads.h>

#include <heddle/core/checked.h>
#include <heddle/core/seeing/short_writer.h>

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

namespace heddle::detail {
namespace {

/// The beginning of a file of /proc/self/task/THREAD/; empty: it cannot be read.
template <std::size_t N>
std::string_view read_about(int thread, const char* name, char (&to)[N]) noexcept {
  char path[64];
  seeing::short_writer text(path);
  text.put("/proc/self/task/");
  text.number(static_cast<std::uint64_t>(thread));
  text.put('/');
  text.put(name);
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  const auto n = ::read(file, to, N);
  ::close(file);
  return n > 0 ? std::string_view(to, static_cast<std::size_t>(n)) : std::string_view();
}

/// The number of the kernel's clock for the time that a thread has used (CPUCLOCK_SCHED).
clockid_t clock_of(int thread) noexcept {
  constexpr unsigned of_a_thread = 4, of_the_scheduler = 2;
  return static_cast<clockid_t>((~static_cast<unsigned>(thread) << 3) | of_a_thread |
                                of_the_scheduler);
}

/// The next word of `text`, which loses it.
std::string_view next_word(std::string_view& text) noexcept {
  const auto ends = std::min(text.find_first_of(" \n"), text.size());
  const auto word = text.substr(0, ends);
  text.remove_prefix(std::min(ends + 1, text.size()));
  return word;
}

}  // namespace

duration time_used_by(int thread) noexcept {
  timespec t{};
  if (::clock_gettime(clock_of(thread), &t) != 0) return {};
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

char state_of_thread(int thread) noexcept {
  char text[256];
  const auto stat = read_about(thread, "stat", text);
  const auto name_ends = stat.rfind(')');
  const bool is_told = name_ends != std::string_view::npos && name_ends + 2 < stat.size();
  return is_told ? stat[name_ends + 2] : 'X';
}

// "NUMBER ARGUMENT x 6 STACK PLACE", or "running".
bool look_at_call(int thread, blocked_call& to) noexcept {
  char text[256];
  auto rest = read_about(thread, "syscall", text);
  std::uint64_t number = 0;
  if (!parse_digits(next_word(rest), 100'000, number)) return false;
  for (int i = 0; i < 6; ++i) (void)next_word(rest);
  auto stack = next_word(rest);
  if (stack.starts_with("0x")) stack.remove_prefix(2);
  to.number = static_cast<std::uint32_t>(number);
  if (!parse_digits(stack, ~std::uint64_t{0}, to.stack, 16)) to.stack = 0;
  return true;
}

}  // namespace heddle::detail
