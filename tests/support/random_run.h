// SPDX-License-Identifier: MIT
// Runs a random program (support/random_program.h) on heddle, and compares its course with that of
// the reference.
#pragma once

#include "support/random_program.h"
#include "support/random_reference.h"
#include "support/simulated.h"

#include <heddle/core/future.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/parallel_for_each.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_for.h>
#include <heddle/sched/wait_many.h>
#include <heddle/sync/barrier.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/event.h>
#include <heddle/sync/latch.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace random_program {

namespace h = heddle;
namespace t = heddle::testing;

struct child_error : std::runtime_error {
  child_error() : std::runtime_error("a part of the program") {}
};

/// What a program waits in for ever: taken, empty, or never set.
struct never_ready {
  h::event event;
  h::promise<int> promise;
  h::future<int> future = promise.get_future();
  h::mutex taken;
  h::semaphore none{0};
  h::queue<int> empty;
  h::condition condition;
  h::barrier barrier{2};
  h::latch latch{1};

  never_ready() { (void)taken.try_lock(); }
  ~never_ready() { taken.unlock(); }
};

class performance {
 public:
  explicit performance(const program& p)
      : program_(p), courses_(static_cast<std::size_t>(p.nodes)) {}

  /// As the main task of a simulated runtime.
  h::task<> run() {
    began_ = h::current_loop().now();
    auto whole = h::create_task([this]() -> h::task<> { return perform(*program_.root); });
    auto canceller = h::create_task([this, whole]() -> h::task<> {
      for (const auto at : program_.cancels) {
        co_await h::sleep(began_ + h::duration(at) - h::current_loop().now());
        if (!whole.cancel()) co_return;
        ++cancelled_;
      }
    });
    const std::vector<h::task_handle<void>> one{whole};
    auto end = h::wait(one);
    (void)co_await std::move(end);
    end_ = now();
    how_ = how_of(whole);
    canceller.cancel();
    const std::vector<h::task_handle<void>> other{canceller};
    auto counted = h::wait(other);
    (void)co_await std::move(counted);
    if (whole.cancelling() != cancelled_)
      differs(std::to_string(cancelled_) + " cancellations were asked for, " +
              std::to_string(whole.cancelling()) + " are left at the end");
    simulated::require(h::current_task().cancelling() == 0, "a request was left with a stranger");
    co_await clear_up();
  }

  /// Once the runtime has ended: whatever the schedule was, what began has ended.
  void check_ends() const {
    for (const auto& got : courses_)
      simulated::require(!got.ran || got.ended, "a part began and never ended");
  }

  /// Once the runtime has ended. Throws where the course differs from the reference's.
  void compare(const reference& expected) const {
    const auto end = expected.end();
    same("the program", end_, end.at, how_, end.was);
    for (std::size_t id = 0; id < courses_.size(); ++id) {
      const auto& right = expected.of(static_cast<int>(id));
      const auto& got = courses_[id];
      // What was left behind, a shielded task or one of a gather that failed, is cancelled when the
      // runtime ends.
      if (!right.ran || right.end.at >= end.at) continue;
      const auto name = "part " + std::to_string(id);
      if (!got.ran) differs(name + " did not run");
      same(name, got.at, right.end.at, got.was, right.end.was);
    }
    for (const auto& got : courses_)
      simulated::require(!got.ran || got.ended, "a part never ended");
  }

 private:
  struct observed {
    bool ran = false;
    bool ended = false;
    moment at = 0;
    how was = how::value;
  };

  [[noreturn]] void differs(const std::string& what) const {
    std::string text;
    describe(*program_.root, text);
    throw std::logic_error(what + "; first cancelled after " +
                           std::to_string(program_.cancels[0] / second) + "s: " + text);
  }
  void same(const std::string& name, moment at, moment right, how was, how right_was) const {
    if (at < right || at > right + second / 10 || was != right_was)
      differs(name + " ended after " + std::to_string(at / second) + " s with " + name_of(was) +
              ", and should after " + std::to_string(right / second) + " s with " +
              name_of(right_was));
  }
  [[nodiscard]] moment now() const { return (h::current_loop().now() - began_).count(); }

  static how how_of(const h::task_handle<void>& ended) {
    try {
      ended.result();
      return how::value;
    } catch (...) { return how_of_current(); }
  }
  static how how_of_current() {
    try {
      throw;
    } catch (const h::cancelled_error&) { return how::cancelled; } catch (const h::timeout_error&) {
      return how::timed_out;
    } catch (const h::exception_group&) { return how::group; } catch (const child_error&) {
      return how::error;
    }
  }

  /// What was left behind is cancelled, again and again: a part that swallows the one cancellation
  /// of the runtime's end may then wait for ever.
  static h::task<> clear_up() {
    for (int rounds = 0; rounds < 24; ++rounds) {
      const auto self = h::current_task();
      std::size_t others = 0;
      for (auto& one : h::all_tasks())
        if (one != self) {
          ++others;
          one.cancel();
        }
      if (others == 0) co_return;
      co_await h::sleep(h::duration(second));
    }
  }

  h::task<> perform(const node& n) {
    auto& seen = courses_[static_cast<std::size_t>(n.id)];
    seen.ran = true;
    try {
      co_await by_verb(n);
    } catch (...) {
      end(seen, how_of_current());
      throw;
    }
    end(seen, how::value);
  }
  void end(observed& seen, how was) const { seen = {true, true, now(), was}; }

  h::task<> by_verb(const node& n) {
    switch (n.what) {
      case verb::stuck: return stuck(n);
      case verb::thread: return thread(n);
      case verb::sequence: return sequence(n);
      case verb::generator: return generated(n);
      case verb::fork: return fork(n);
      case verb::each: return each(n);
      case verb::gather: return gather(n);
      case verb::settled: return settled(n);
      case verb::group: return group(n);
      case verb::timeout: return timeout(n);
      case verb::wait_for: return wait_for(n);
      case verb::shield: return shield(n);
      case verb::spawn: return spawn(n);
      case verb::spawn_cancel: return spawn_cancel(n);
      case verb::wait: return wait(n);
      default: return leaf(n);
    }
  }

  static h::task<> leaf(const node& n) {
    bool cancelled = false;
    try {
      co_await h::sleep(h::duration(n.lasts));
    } catch (const h::cancelled_error&) {
      if (n.what == verb::swallows) co_return;
      if (n.what == verb::converts) throw child_error();
      if (n.what != verb::cleans) throw;
      cancelled = true;
    }
    if (cancelled) {
      co_await h::sleep(h::duration(n.cleanup));
      throw h::cancelled_error();
    }
    if (n.what == verb::fails) throw child_error();
  }

  h::task<> stuck(const node& n) {
    auto& p = *waits_.emplace_back(std::make_unique<never_ready>());
    switch (n.flavour % 9) {
      case 0: co_await p.event.wait(); break;
      case 1: co_await p.future; break;
      case 2: co_await p.taken.lock(); break;
      case 3: co_await p.none.acquire(); break;
      case 4: (void)co_await p.empty.get(); break;
      case 5: {
        co_await p.condition.lock();
        std::exception_ptr cancelled;
        try {
          co_await p.condition.wait();
        } catch (...) { cancelled = std::current_exception(); }
        p.condition.unlock();
        if (cancelled) std::rethrow_exception(cancelled);
        break;
      }
      case 6: co_await p.latch.wait(); break;
      case 7: {
        auto other = h::create_task(waits_for(p.event));
        co_await other;
        break;
      }
      default: co_await h::sleep(h::duration(never)); break;
    }
  }
  static h::task<> waits_for(h::event& e) { co_await e.wait(); }

  static h::task<> thread(const node& n) {
    const h::duration lasts(n.lasts);
    auto job = h::to_thread([lasts] { t::block_for(lasts); });
    co_await std::move(job);
  }

  h::task<> sequence(const node& n) {
    for (const auto& child : n.below) co_await perform(*child);
  }
  h::async_generator<int> steps(const node& n) {
    for (const auto& child : n.below) {
      co_await perform(*child);
      co_yield child->id;
    }
  }
  h::task<> generated(const node& n) {
    auto items = steps(n);
    while (auto* item = co_await items.next()) (void)*item;
  }

  std::vector<h::task<>> children(const node& n, std::size_t count) {
    std::vector<h::task<>> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(perform(*n.below[i]));
    return all;
  }
  h::task<> fork(const node& n) {
    if (n.below.size() == 2 && n.flavour % 2) {
      co_await h::fork_join(perform(*n.below[0]), perform(*n.below[1]));
    } else {
      auto join = h::fork_join(children(n, n.below.size()));
      co_await join;
    }
  }
  h::task<> each(const node& n) {
    auto loop = h::parallel_for_each(
        n.below, 1, [this](const std::unique_ptr<node>& child) { return perform(*child); });
    co_await std::move(loop);
  }
  h::task<> gather(const node& n) {
    auto all = h::gather(children(n, n.below.size()));
    co_await all;
  }
  h::task<> settled(const node& n) {
    auto all = h::gather_settled(children(n, n.below.size()));
    (void)co_await all;
  }
  h::task<> group(const node& n) {
    auto block = h::with_task_group([this, &n](h::task_group& g) -> h::task<> {
      for (std::size_t i = 0; i + 1 < n.below.size(); ++i) g.create_task(perform(*n.below[i]));
      co_await perform(*n.below.back());
    });
    co_await std::move(block);
  }
  h::task<> timeout(const node& n) {
    auto block = h::timeout(h::duration(n.lasts), [this, &n] { return perform(*n.below[0]); });
    co_await std::move(block);
  }
  h::task<> wait_for(const node& n) {
    auto limited = h::wait_for(perform(*n.below[0]), h::duration(n.lasts));
    co_await std::move(limited);
  }
  h::task<> shield(const node& n) {
    auto kept = h::shield(perform(*n.below[0]));
    co_await kept;
  }
  h::task<> spawn(const node& n) {
    auto child = h::create_task(perform(*n.below[0]));
    co_await child;
  }
  h::task<> spawn_cancel(const node& n) {
    auto child = h::create_task(perform(*n.below[0]));
    const h::duration lasts(n.lasts);
    auto canceller = h::create_task([child, lasts]() -> h::task<> {
      co_await h::sleep(lasts);
      child.cancel();
    });
    co_await child;
  }
  h::task<> wait(const node& n) {
    std::vector<h::task_handle<void>> all;
    for (const auto& child : n.below) all.push_back(h::create_task(perform(*child)));
    auto end = h::wait(all);
    (void)co_await std::move(end);
  }

  const program& program_;
  std::vector<observed> courses_;
  std::vector<std::unique_ptr<never_ready>> waits_;
  h::time_point began_{};
  std::uint32_t cancelled_ = 0;
  moment end_ = 0;
  how how_ = how::value;
};

/// Runs `p` under the schedule of `number`, and gives what was seen to `judge`.
template <class Judge>
void simulate(std::uint64_t number, const program& p, Judge judge) {
  const h::options o{.loops = 1 + static_cast<unsigned>(number % 3),
                     .exception_handler = [](const h::error_context&) {},
                     .threads = 64};
  auto run = std::make_unique<performance>(p);
  try {
    (void)t::simulate(number, o, [&run] { return run->run(); });
  } catch (...) {
    (void)
        run.release();  // a program that is stuck is left as it stands, and so is what it waits in
    throw;
  }
  run->check_ends();
  judge(*run);
}

/// Runs program `number` under the schedule of the same number. False: the promises leave open what
/// it does, and only its end is looked at. Throws where it does otherwise than it should.
inline bool try_program(std::uint64_t number) {
  const program p = generator(number).make();
  const reference expected(p);
  if (expected.end().at == never || expected.may_never_end()) return false;
  simulate(number, p, [&expected](const performance& run) {
    if (!expected.is_open()) run.compare(expected);
  });
  return !expected.is_open();
}

/// The same for a crowded program, of which no reference says what it does: what began has ended,
/// and no request is lost.
inline void try_crowded(std::uint64_t number) {
  const program p = generator(number, true).make();
  simulate(number, p, [](const performance&) {});
}

}  // namespace random_program
