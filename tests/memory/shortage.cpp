// SPDX-License-Identifier: MIT
#include "memory/shortage.h"

#include <heddle/core/errors.h>

#include <execinfo.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <thread>

namespace memory {
namespace {

std::atomic<bool> armed{false};
std::atomic<std::uint64_t> counted{0}, failed{0};
std::atomic<std::uint64_t> fails_from{0}, fails_before{0};
// Where the last allocation failed. It helps to find the code that did not bear it.
void* place[64];
std::atomic<int> place_depth{0};

setting now_tried{};
shortage now_short{};
std::atomic<std::uint64_t> tries{0};

thread_local bool looking = false;
std::atomic<void (*)()> meanwhile{nullptr};

bool refused() noexcept {
  if (!armed.load(std::memory_order_relaxed) || looking) return false;
  const auto n = counted.fetch_add(1, std::memory_order_relaxed) + 1;
  if (n < fails_from.load(std::memory_order_relaxed) ||
      n >= fails_before.load(std::memory_order_relaxed))
    return false;
  failed.fetch_add(1, std::memory_order_relaxed);
  looking = true;
  place_depth = ::backtrace(place, 64);
  if (auto* f = meanwhile.load()) f();
  looking = false;
  return true;
}

void* take(std::size_t bytes, std::size_t alignment) noexcept {
  if (refused()) return nullptr;
  if (bytes == 0) bytes = 1;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* take_or_throw(std::size_t bytes, std::size_t alignment) {
  if (void* p = take(bytes, alignment)) return p;
  throw std::bad_alloc();
}

void say_where(const char* what) noexcept {
  std::fprintf(stderr,
               "%s: %s, %u loops, %s, allocation %llu and %llu more; the last that failed:\n", what,
               now_tried.program, now_tried.loops,
               now_tried.reactor == h::reactor_kind::epoll ? "epoll" : "io_uring",
               static_cast<unsigned long long>(now_short.first),
               static_cast<unsigned long long>(now_short.many - 1));
  ::backtrace_symbols_fd(place, place_depth, 2);
}

[[noreturn]] void terminated() {
  armed = false;
  say_where("terminated");
  std::abort();
}

/// Ends the process if one run takes so many seconds: it is stuck.
constexpr unsigned stuck_after = 40;
void watch() {
  std::thread([] {
    auto seen = tries.load();
    for (unsigned quiet = 0;;) {
      std::this_thread::sleep_for(std::chrono::seconds(1));
      const auto n = tries.load();
      quiet = n == seen ? quiet + 1 : 0;
      seen = n;
      if (quiet < stuck_after || now_tried.program == nullptr) continue;
      armed = false;
      say_where("stuck");
      std::abort();
    }
  }).detach();
}

class environment final : public testing::Environment {
 public:
  void SetUp() override {
    void* warm[2];
    (void)::backtrace(warm, 2);  // it loads a library the first time
    std::set_terminate(&terminated);
    watch();
  }
};
[[maybe_unused]] auto* const registered = testing::AddGlobalTestEnvironment(new environment);

bool says_so(const std::exception_ptr& error) noexcept {
  if (!error) return false;
  try {
    std::rethrow_exception(error);
  } catch (const std::bad_alloc&) { return true; } catch (const h::exception_group& group) {
    for (const auto& e : group.exceptions())
      if (says_so(e)) return true;
    return false;
  } catch (const h::cancelled_error&) {
    return true;  // what was short of memory was cancelled, or cancelled the other
  } catch (const std::exception& e) {
    return std::string(e.what()).find("memory") != std::string::npos ||
           std::string(e.what()).find("bad_alloc") != std::string::npos;
  } catch (...) { return false; }
}

/// One run. True: something failed.
bool try_once(setting s, shortage how, const std::function<h::task<int>()>& program, int expected) {
  now_tried = s;
  now_short = how;
  ++tries;
  std::atomic<unsigned> reports{0};
  std::optional<int> value;
  std::exception_ptr error;
  std::uint64_t failures = 0;
  std::optional<h::runtime> rt;
  h::options o;
  o.loops = s.loops;
  o.reactor = s.reactor;
  o.exception_handler = [&](const h::error_context&) { ++reports; };
  rt.emplace(o);
  begin(how);
  try {
    value = rt->run(program());
  } catch (...) { error = std::current_exception(); }
  failures = end();
  const auto told = [&] {
    return std::string(s.program) + ", allocation " + std::to_string(how.first) + " of " +
           std::to_string(s.loops) + " loops";
  };
  // Another task may have been short: then its end is seen here before its report is made.
  const auto reported = [&] {
    for (int i = 0; i < 1000 && reports == 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return reports != 0;
  };
  if (value) {
    if (*value != expected) EXPECT_TRUE(reported()) << told() << ": a wrong value and no report";
  } else {
    EXPECT_TRUE(says_so(error) || reported()) << told() << ": " << h::describe(error);
  }
  if (failures == 0) {
    EXPECT_EQ(value, std::optional<int>(expected)) << told();
    return false;
  }
  value.reset();
  error = nullptr;
  try {
    value = rt->run(program());
  } catch (...) { error = std::current_exception(); }
  EXPECT_EQ(value, std::optional<int>(expected))
      << told() << ", then with memory: " << h::describe(error);
  rt.reset();
  return true;
}

}  // namespace

void begin(shortage s) noexcept {
  counted = 0;
  failed = 0;
  fails_from = s.first;
  fails_before = s.first + s.many;
  armed = true;
}

std::uint64_t end() noexcept {
  armed = false;
  return failed;
}

void call_where_it_fails(void (*f)()) noexcept { meanwhile = f; }

void survives(setting s, const std::function<h::task<int>()>& program, int expected) {
  for (const std::uint64_t many : {std::uint64_t{1}, std::uint64_t{8}})
    for (std::uint64_t n = 1; try_once(s, {n, many}, program, expected); ++n)
      if (testing::Test::HasFailure()) return say_where("failed");
}

}  // namespace memory

void* operator new(std::size_t n) { return memory::take_or_throw(n, 0); }
void* operator new[](std::size_t n) { return memory::take_or_throw(n, 0); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return memory::take(n, 0); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return memory::take(n, 0); }
void* operator new(std::size_t n, std::align_val_t a) {
  return memory::take_or_throw(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return memory::take_or_throw(n, static_cast<std::size_t>(a));
}
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return memory::take(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return memory::take(n, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }
