// SPDX-License-Identifier: MIT
#include <heddle/sched/simulation/fiber.h>

#include <heddle/core/base/assert.h>

#include <cxxabi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <utility>
#include <vector>

#if HEDDLE_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if HEDDLE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#if !defined(__x86_64__) || !defined(__linux__)
#include <ucontext.h>
#endif

namespace heddle::detail {
namespace {

constexpr std::size_t fiber_stack_bytes = HEDDLE_ASAN || HEDDLE_TSAN ? 1u << 20 : 1u << 18;
constexpr std::size_t most_kept = 64;

/// Stacks that were used and may be used again: making one costs three system calls and its page
/// faults.
struct stack_store {
  std::vector<void*> free;
  ~stack_store() {
    for (void* s : free) unmap(s);
  }
  static std::size_t page() {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
  }
  static void unmap(void* s) {
    ::munmap(static_cast<std::byte*>(s) - page(), fiber_stack_bytes + page());
  }
  void* take() {
    if (!free.empty()) {
      void* s = free.back();
      free.pop_back();
      return s;
    }
    void* all = ::mmap(nullptr, fiber_stack_bytes + page(), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) throw std::bad_alloc();
    ::mprotect(all, page(), PROT_NONE);  // an overflow is a fault and not a riddle
    return static_cast<std::byte*>(all) + page();
  }
  void give(void* s) {
    if (free.size() < most_kept)
      free.push_back(s);
    else
      unmap(s);
  }
};

stack_store& store() {
  thread_local stack_store kept;
  return kept;
}

}  // namespace

#if defined(__x86_64__) && defined(__linux__)

// What a call preserves: rbx, rbp, r12-r15 and the stack pointer. (The control words of the
// floating-point units are preserved by calls too, but nobody in here changes them.)
extern "C" void heddle_switch_stack(void** save, void* load) noexcept;
asm(R"(
.text
.p2align 4
.type heddle_switch_stack,@function
.globl heddle_switch_stack
.hidden heddle_switch_stack
heddle_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size heddle_switch_stack,.-heddle_switch_stack
)");

struct fiber::machine {
  void* stack_pointer = nullptr;

  static inline constinit thread_local fiber* starting = nullptr;
  static void first() noexcept { fiber::begin(*std::exchange(starting, nullptr)); }

  void prepare(fiber&, void* stack) noexcept {
    auto* top =
        reinterpret_cast<std::uintptr_t*>(static_cast<std::byte*>(stack) + fiber_stack_bytes);
    *--top = 0;
    *--top = 0;  // what first() would return to: nothing
    *--top = 0;
    *--top = reinterpret_cast<std::uintptr_t>(&first);  // at a multiple of 16: as after a call
    for (int i = 0; i < 6; ++i) *--top = 0;             // the registers
    stack_pointer = top;
  }
  void go(machine& from, fiber& self) noexcept {
    starting = &self;
    heddle_switch_stack(&from.stack_pointer, stack_pointer);
  }
};

#else

struct fiber::machine {
  ucontext_t context{};

  static void first(unsigned high, unsigned low) noexcept {
    fiber::begin(*reinterpret_cast<fiber*>((static_cast<std::uintptr_t>(high) << 32) | low));
  }
  void prepare(fiber& self, void* stack) noexcept {
    ::getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = fiber_stack_bytes;
    context.uc_link = nullptr;
    const auto at = reinterpret_cast<std::uintptr_t>(&self);
    ::makecontext(&context, reinterpret_cast<void (*)()>(&first), 2,
                  static_cast<unsigned>(static_cast<std::uint64_t>(at) >> 32),
                  static_cast<unsigned>(at));
  }
  void go(machine& from, fiber&) noexcept { ::swapcontext(&from.context, &context); }
};

#endif

fiber::fiber() : machine_(std::make_unique<machine>()) {
#if HEDDLE_TSAN
  sanitizer_.thread = __tsan_get_current_fiber();
#endif
}

fiber::fiber(void (*entry)(void*), void* argument)
    : machine_(std::make_unique<machine>()),
      entry_(entry),
      argument_(argument),
      stack_(store().take()) {
  sanitizer_.low = stack_;
  sanitizer_.size = fiber_stack_bytes;
  machine_->prepare(*this, stack_);
#if HEDDLE_TSAN
  sanitizer_.thread = __tsan_create_fiber(0);
#endif
}

fiber::~fiber() {
  if (!stack_) return;
  store().give(stack_);
#if HEDDLE_TSAN
  __tsan_destroy_fiber(sanitizer_.thread);
#endif
}

void fiber::resume(fiber& running) noexcept { go(running, false); }

void fiber::resume_for_good(fiber& running) noexcept { go(running, true); }

void fiber::go(fiber& running, bool for_good) noexcept {
  static_assert(sizeof(exceptions_) >= sizeof(void*) + sizeof(unsigned));
  void* handled = abi::__cxa_get_globals();
  std::memcpy(running.exceptions_, handled, sizeof(void*) + sizeof(unsigned));
  std::memcpy(handled, exceptions_, sizeof(void*) + sizeof(unsigned));
  sanitizer_.came_from = &running;
#if HEDDLE_ASAN
  __sanitizer_start_switch_fiber(for_good ? nullptr : &running.sanitizer_.fake_stack,
                                 sanitizer_.low, sanitizer_.size);
#endif
  (void)for_good;
#if HEDDLE_TSAN
  __tsan_switch_to_fiber(sanitizer_.thread, 0);
#endif
  machine_->go(*running.machine_, *this);
  running.arrived();
}

void fiber::arrived() noexcept {
#if HEDDLE_ASAN
  // Where we came from: the only way to learn the bounds of a thread's own stack.
  __sanitizer_finish_switch_fiber(sanitizer_.fake_stack, &sanitizer_.came_from->sanitizer_.low,
                                  &sanitizer_.came_from->sanitizer_.size);
#endif
}

void fiber::begin(fiber& self) noexcept {
  self.arrived();
  self.entry_(self.argument_);
  std::terminate();
}

}  // namespace heddle::detail
