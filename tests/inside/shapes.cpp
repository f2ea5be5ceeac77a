// SPDX-License-Identifier: MIT
// Shapes of co_await. Each suspends one task for ever, which has told by its name in which line:
// "shape@LINE". This source is compiled several times, with the optimisations that the compilers
// have; HEDDLE_SHAPES is the namespace of each.
#include "programs.h"

#include <heddle/sched/async_generator.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sched/with.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace inside::HEDDLE_SHAPES {

using namespace std::chrono_literals;

namespace {

/// What comes, and what never does.
struct things {
  things() { past.set(); }
  h::event past;
  h::event never;
  h::mutex locked;
  h::mutex of_condition;
  h::condition condition{of_condition};
  h::semaphore none{0};
  h::queue<int> empty;
  h::queue<int> full{1};
};
things& all() {
  static auto* const them = new things;
  return *them;
}
auto past() { return all().past.wait(); }
auto never() { return all().never.wait(); }

/// The co_await that suspends the calling task stands in the line below `line`.
void below(int line) {
  const auto self = h::current_task();
  self.set_name(self.get_name() + "@" + std::to_string(line + 1));
}
#define BELOW below(__LINE__)

h::task<int> number() {
  co_await never();
  co_return 1;
}
h::task<bool> truth() {
  co_await never();
  co_return true;
}
h::task<std::vector<int>> numbers() {
  co_await never();
  co_return std::vector<int>();
}
void use(int, int) {}

// --- where in a statement ---

h::task<> statement() {
  BELOW;
  co_await never();
}
h::task<int> result() {
  BELOW;
  co_return co_await number();
}
h::task<> initializer() {
  BELOW;
  const int n = co_await number();
  use(n, n);
}
h::task<> two_on_a_line() {
  below(__LINE__ + 1);
  // clang-format off
  co_await past(); co_await never(); co_await past();
  // clang-format on
}
h::task<> second_of_a_sum() {
  below(__LINE__ + 2);
  // clang-format off
  const int n = 1 +
                co_await number();
  // clang-format on
  use(n, n);
}
h::task<> argument() {
  BELOW;
  use(1, co_await number());
}
h::task<> assignment() {
  int n = 1;
  BELOW;
  n += co_await number();
  use(n, n);
}
#if defined(__clang__)  // g++ 12: a coroutine with a bare co_await in these headers never begins
h::task<> negation() {
  BELOW;
  if (!co_await truth()) use(1, 1);
}
#endif
h::task<> and_then() {
  const bool yes = std::string("x") == "x";
  BELOW;
  if (yes && co_await truth()) use(1, 1);
}
h::task<> two_lines_long() {
  below(__LINE__ + 3);
  // clang-format off
  use(
      1,
      co_await number()
  );
  // clang-format on
}

// --- headers ---

#if defined(__clang__)  // as above
h::task<> if_header() {
  BELOW;
  if (co_await truth()) use(1, 1);
}
#endif
h::task<> if_with_init() {
  BELOW;
  if (const int n = co_await number(); n != 0) use(n, n);
}
#if defined(__clang__)  // as above
h::task<> while_header() {
  BELOW;
  while (co_await truth()) use(1, 1);
}
h::task<> do_header() {
  below(__LINE__ + 1);
  do use(1, 1);
  while (co_await truth());
}
#endif
h::task<> for_init() {
  BELOW;
  for (int n = co_await number(); n < 3; ++n) use(n, n);
}
h::task<> for_step() {
  BELOW;
  for (int n = 0; n < 3; n += co_await number()) use(n, n);
}
h::task<> range_header() {
  BELOW;
  for (const int n : co_await numbers()) use(n, n);
}
#if defined(__clang__)  // as above
h::task<> switch_header() {
  BELOW;
  switch (co_await number()) {
    case 1: use(1, 1); break;
    default: break;
  }
}
#endif
h::task<> case_body() {
  switch (std::string("ab").size()) {
    case 2:
      BELOW;
      co_await never();
      break;
    default: co_await past();
  }
}
h::task<> third_turn() {
  for (int i = 0; i < 4; ++i) {
    co_await past();
    if (i != 2) continue;
    BELOW;
    co_await never();
  }
}

// --- macros ---

#define WAITS_HERE co_await never()
#define WAITS_IN_TWO_STEPS \
  co_await past();         \
  co_await never()
h::task<> macro() {
  BELOW;
  WAITS_HERE;
}
h::task<> macro_of_two_lines() {
  BELOW;
  WAITS_IN_TWO_STEPS;
}

// --- kinds of functions ---

template <class T>
h::task<> of_template(T n) {
  BELOW;
  co_await never();
  use(static_cast<int>(n), 1);
}
h::task<> template_of_long() { return of_template(1L); }
h::task<> template_of_char() { return of_template('1'); }

struct base {
  virtual ~base() = default;
  virtual h::task<> talk() = 0;
};
struct talker final : base {
  h::task<> talk() override {
    BELOW;
    co_await never();
  }
  static h::task<> of_class() {
    BELOW;
    co_await never();
  }
  h::task<> operator()(int n) const {
    BELOW;
    co_await never();
    use(n, n);
  }
};
h::task<> member() {
  static talker t;
  base& b = t;
  return b.talk();
}
h::task<> static_member() { return talker::of_class(); }
h::task<> call_operator() {
  static const talker t;
  return t(1);
}
h::task<> lambda() {
  static const auto waits = []() -> h::task<> {
    BELOW;
    co_await never();
  };
  return waits();
}
h::task<> lambda_in_lambda() {
  static const auto outer = [] {
    return []() -> h::task<> {
      BELOW;
      co_await never();
    };
  };
  static const auto waits = outer();
  return waits();
}
h::task<> local_class() {
  struct local {
    static h::task<> waits() {
      BELOW;
      co_await never();
    }
  };
  return local::waits();
}

h::async_generator<int> slow_numbers() {
  co_yield 1;
  BELOW;
  co_await never();
}
h::task<> generator() {
  auto from = slow_numbers();
  while (auto* n = co_await from.next()) use(*n, *n);
}
h::task<> recursion(int depth) {
  if (depth != 0) co_return co_await recursion(depth - 1);
  BELOW;
  co_await never();
}
h::task<> recursion_of_five() { return recursion(5); }

// --- around it ---

h::task<> in_try() {
  try {
    BELOW;
    co_await never();
  } catch (const std::exception&) { use(1, 1); }
}
h::task<> after_catch() {
  bool caught = false;
  try {
    co_await past();
    throw 1;
  } catch (int) { caught = true; }
  BELOW;
  if (caught) co_await never();
}
h::task<> in_timeout() {
  const auto body = []() -> h::task<> {
    BELOW;
    co_await never();
  };
  auto block = h::timeout(1h, body);
  co_await std::move(block);
}
h::task<> plain_timeout() {
  auto block = h::timeout(1h, never);
  BELOW;
  co_await std::move(block);
}
h::task<> limited() {
  auto inner = number();
  auto waits = h::wait_for(std::move(inner), 1h);
  BELOW;
  (void)co_await std::move(waits);
}

struct door {
  h::task<int> enter() { co_return 1; }
  h::task<> exit(std::exception_ptr) { co_return; }
};
h::task<> in_with() {
  door d;
  const auto body = [](int&) -> h::task<> {
    BELOW;
    co_await never();
  };
  auto block = h::with(d, body);
  co_await std::move(block);
}
h::task<> group_body(h::task_group&) {
  BELOW;
  co_await never();
}
h::task<> in_group() {
  auto block = h::with_task_group(group_body);
  co_await std::move(block);
}

// --- what is awaited ---

h::task<> silent() { co_await never(); }
h::task<> named_operation() {
  auto waits = never();
  BELOW;
  co_await waits;
}
h::task<> handle() {
  const auto t = h::create_task(silent());
  BELOW;
  co_await t;
}
h::task<> moved_handle() {
  auto t = h::create_task(silent());
  BELOW;
  co_await std::move(t);
}
h::task<> all_of_two() {
  auto both = h::gather(silent(), silent());
  BELOW;
  co_await both;
}
h::task<> of_a_future() {
  static auto* const p = new h::promise<int>;
  auto f = p->get_future();
  BELOW;
  (void)co_await f;
}
h::task<> of_a_mutex() {
  (void)all().locked.try_lock();
  BELOW;
  co_await all().locked.lock();
}
h::task<> of_a_guard() {
  (void)all().locked.try_lock();
  BELOW;
  const auto guard = co_await all().locked.scoped_lock();
}
h::task<> of_a_semaphore() {
  BELOW;
  const auto permit = co_await all().none.scoped_acquire();
}
h::task<> of_an_empty_queue() {
  BELOW;
  use(co_await all().empty.get(), 1);
}
h::task<> of_a_full_queue() {
  if (!all().full.full()) co_await all().full.put(1);
  BELOW;
  co_await all().full.put(2);
}
h::task<> of_a_sleep() {
  BELOW;
  co_await h::sleep(24h);
}

struct shape {
  const char* name;
  h::task<> (*run)();
};
h::task<> returns() { (void)co_await result(); }

constexpr shape shapes_of_all[] = {
    {"statement", statement},
    {"result", returns},
    {"initializer", initializer},
    {"two_on_a_line", two_on_a_line},
    {"second_of_a_sum", second_of_a_sum},
    {"argument", argument},
    {"assignment", assignment},
    {"and_then", and_then},
    {"two_lines_long", two_lines_long},
    {"if_with_init", if_with_init},
    {"for_init", for_init},
    {"for_step", for_step},
    {"range_header", range_header},
    {"case_body", case_body},
    {"third_turn", third_turn},
    {"macro", macro},
    {"macro_of_two_lines", macro_of_two_lines},
    {"template_of_long", template_of_long},
    {"template_of_char", template_of_char},
    {"member", member},
    {"static_member", static_member},
    {"call_operator", call_operator},
    {"lambda", lambda},
    {"lambda_in_lambda", lambda_in_lambda},
    {"local_class", local_class},
    {"generator", generator},
    {"recursion_of_five", recursion_of_five},
    {"in_try", in_try},
    {"after_catch", after_catch},
    {"in_timeout", in_timeout},
    {"plain_timeout", plain_timeout},
    {"limited", limited},
    {"in_with", in_with},
    {"in_group", in_group},
    {"named_operation", named_operation},
    {"handle", handle},
    {"moved_handle", moved_handle},
    {"all_of_two", all_of_two},
    {"of_a_future", of_a_future},
    {"of_a_mutex", of_a_mutex},
    {"of_a_guard", of_a_guard},
    {"of_a_semaphore", of_a_semaphore},
    {"of_an_empty_queue", of_an_empty_queue},
    {"of_a_full_queue", of_a_full_queue},
    {"of_a_sleep", of_a_sleep},
#if defined(__clang__)
    {"negation", negation},
    {"if_header", if_header},
    {"while_header", while_header},
    {"do_header", do_header},
    {"switch_header", switch_header},
#endif
};

}  // namespace

h::task<> run(int) {
  for (const auto& s : shapes_of_all) keep(s.name, s.run());
  co_await never();
}

}  // namespace inside::HEDDLE_SHAPES
