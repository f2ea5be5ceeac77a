// SPDX-License-Identifier: MIT
// The word against a model, exhaustively; and under threads.
#include <heddle/core/record/word.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace {

using namespace heddle::detail;

/// What design says of a word, in plain variables. It shares no code with task_word.
struct model {
  task_state state = task_state::active;
  bool must = false, interrupted = false, notified = false, again = false;
  unsigned requests = 0;
  outcome how = outcome::none;

  auto key() const { return std::tie(state, must, interrupted, notified, again, requests, how); }
  friend bool operator<(const model& a, const model& b) { return a.key() < b.key(); }

  on_cancel cancel() {
    switch (state) {
      case task_state::done: return on_cancel::no;
      case task_state::active: ++requests, must = true; return on_cancel::pending;
      case task_state::leaf:
        ++requests, interrupted = true, state = task_state::active;
        return on_cancel::owe_leaf;
      case task_state::forwarding:
        ++requests, state = task_state::frozen;
        return on_cancel::owe_forwarding;
      case task_state::frozen: ++requests, again = true; return on_cancel::pending;
    }
    return on_cancel::no;
  }
  unsigned uncancel() {
    if (state != task_state::done && requests > 0 && --requests == 0) must = false;
    return requests;
  }
  bool deliver() {
    const bool due = must || interrupted;
    must = interrupted = false;
    return due;
  }
  bool begin(task_state s) {
    if (deliver()) {
      if (s == task_state::forwarding) state = task_state::frozen;
      return false;
    }
    state = s;
    return true;
  }
  on_wake claim() {
    switch (state) {
      case task_state::leaf:
      case task_state::forwarding: state = task_state::active; return on_wake::schedule;
      case task_state::frozen: notified = true; return on_wake::frozen;
      default: return on_wake::lost;
    }
  }
  on_thaw thaw() {
    if (again) return on_thaw::again;
    state = notified ? task_state::active : task_state::forwarding;
    return std::exchange(notified, false) ? on_thaw::schedule : on_thaw::waits_on;
  }
  outcome finish(outcome o) {
    how = o == outcome::value && must ? outcome::cancelled : o;
    must = false;
    state = task_state::done;
    return how;
  }
};

template <class Word>
struct operation {
  const char* name;
  std::function<bool(const model&)> legal;
  std::function<int(model&)> expected;
  std::function<int(Word&)> actual;
};

template <class Word>
const std::vector<operation<Word>>& operations() {
  static const auto active = [](const model& m) { return m.state == task_state::active; };
  static const auto frozen = [](const model& m) { return m.state == task_state::frozen; };
  static const auto always = [](const model&) { return true; };
  static const std::vector<operation<Word>> all = {
      {"cancel", [](const model& m) { return m.requests < 3; },
       [](model& m) { return int(m.cancel()); }, [](Word& w) { return int(w.cancel()); }},
      {"uncancel", always, [](model& m) { return int(m.uncancel()); },
       [](Word& w) { return int(w.uncancel()); }},
      {"begin_leaf", active, [](model& m) { return int(m.begin(task_state::leaf)); },
       [](Word& w) { return int(w.begin_leaf()); }},
      {"begin_forwarding", active, [](model& m) { return int(m.begin(task_state::forwarding)); },
       [](Word& w) { return int(w.begin_forwarding()); }},
      {"take_cancel", active, [](model& m) { return int(m.deliver()); },
       [](Word& w) { return int(w.take_cancel()); }},
      {"set_must", frozen, [](model& m) { return m.must = true, 0; },
       [](Word& w) { return w.set_must(), 0; }},
      {"claim", always, [](model& m) { return int(m.claim()); },
       [](Word& w) { return int(w.claim()); }},
      {"begin_round", frozen, [](model& m) { return m.again = false, 0; },
       [](Word& w) { return w.begin_round(), 0; }},
      {"thaw", frozen, [](model& m) { return int(m.thaw()); },
       [](Word& w) { return int(w.thaw()); }},
      {"finish value", active, [](model& m) { return int(m.finish(outcome::value)); },
       [](Word& w) { return int(w.finish(outcome::value)); }},
      {"finish error", active, [](model& m) { return int(m.finish(outcome::error)); },
       [](Word& w) { return int(w.finish(outcome::error)); }},
  };
  return all;
}

bool same(const model& m, std::uint64_t w) {
  return word::state(w) == m.state && ((w & word::must) != 0) == m.must &&
         ((w & word::interrupted) != 0) == m.interrupted &&
         ((w & word::notified) != 0) == m.notified && ((w & word::again) != 0) == m.again &&
         word::requests(w) == m.requests && word::result(w) == m.how;
}

/// Visits every state that up to three requests can reach, tries every operation there, and names
/// the first that differs from the model; empty if none does. `states` is how many there were.
template <class Word>
std::string first_difference(std::size_t& states) {
  using path = std::vector<const operation<Word>*>;
  std::map<model, path> seen{{model{}, {}}};
  std::vector<model> todo{model{}};
  while (!todo.empty()) {
    const model from = todo.back();
    todo.pop_back();
    const path way = seen[from];
    for (const auto& op : operations<Word>()) {
      if (!op.legal(from)) continue;
      Word w;
      w.reset();
      for (const auto* step : way) (void)step->actual(w);
      model m = from;
      const int expected = op.expected(m);
      const int actual = op.actual(w);
      if (expected != actual || !same(m, w.load())) {
        std::string text = op.name;
        for (const auto* step : way) text += std::string(" after ") + step->name;
        return text;
      }
      if (!seen.contains(m)) {
        auto longer = way;
        longer.push_back(&op);
        seen.emplace(m, longer);
        todo.push_back(m);
      }
    }
  }
  states = seen.size();
  return {};
}

TEST(Word, EveryTransitionFromEveryReachableStateIsTheModels) {
  std::size_t states = 0;
  EXPECT_EQ(first_difference<task_word>(states), "");
  EXPECT_GT(states, 80u);
}

struct ignores_a_second_cancel : task_word {
  on_cancel cancel() noexcept {
    return word::state(load()) == task_state::frozen ? on_cancel::pending : task_word::cancel();
  }
};
struct forgets_that_a_frozen_task_was_notified : task_word {
  on_wake claim() noexcept {
    return word::state(load()) == task_state::frozen ? on_wake::frozen : task_word::claim();
  }
};
struct ends_well_in_spite_of_a_cancel : task_word {
  outcome finish(outcome how) noexcept {
    (void)take_cancel();
    return task_word::finish(how);
  }
};
struct waits_in_spite_of_a_cancel : task_word {
  bool begin_leaf() noexcept { return task_word::begin_leaf() || task_word::begin_leaf(); }
};

TEST(Word, TheModelNoticesPlantedFaults) {
  std::size_t states = 0;
  EXPECT_NE(first_difference<ignores_a_second_cancel>(states), "");
  EXPECT_NE(first_difference<forgets_that_a_frozen_task_was_notified>(states), "");
  EXPECT_NE(first_difference<ends_well_in_spite_of_a_cancel>(states), "");
  EXPECT_NE(first_difference<waits_in_spite_of_a_cancel>(states), "");
}

TEST(Word, AResetStartsANewGenerationWithNothingLeftOfTheOld) {
  task_word w;
  w.reset();
  const auto first = word::generation(w.load());
  (void)w.cancel();
  (void)w.finish(outcome::value);
  w.reset();
  EXPECT_EQ(word::generation(w.load()), first + 1);
  EXPECT_EQ(w.load() & ~word::generation_mask, 0u);
}

TEST(Word, RequestsSaturateAndNeverReachTheGeneration) {
  task_word w;
  w.reset();
  const auto generation = word::generation(w.load());
  for (int i = 0; i < 70'000; ++i) (void)w.cancel();
  EXPECT_EQ(word::requests(w.load()), 65535u);
  EXPECT_EQ(word::generation(w.load()), generation);
}

TEST(Word, OnlyOneOfTwoEndsOfAFutureWins) {
  task_word w;
  w.reset();
  EXPECT_TRUE(w.settle_once(outcome::value));
  EXPECT_FALSE(w.settle_once(outcome::cancelled));
  EXPECT_EQ(word::result(w.load()), outcome::value);
}

/// One task that suspends `rounds` times, against wakers and cancellers. Every wait must be won by
/// exactly one of them. Returns how many winners there were beside one a wait (0 if the word is
/// right). A round is a hand-over by yields. Beside programs that compute, each yield gives away a
/// turn of milliseconds, so there are fewer rounds then: as many as 20 s have room for.
template <class Word>
long surplus_winners(unsigned wakers, unsigned cancellers, int rounds) {
  Word w;
  w.reset();
  std::atomic<long> won{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < wakers; ++i)
    threads.emplace_back([&] {
      while (!over.load())
        if (w.claim() == on_wake::schedule)
          ++won;
        else
          std::this_thread::yield();
    });
  for (unsigned i = 0; i < cancellers; ++i)
    threads.emplace_back([&] {
      while (!over.load()) {
        if (w.cancel() == on_cancel::owe_leaf) ++won;
        (void)w.uncancel();
        std::this_thread::yield();
      }
    });
  long waits = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (int i = 0; i < rounds && std::chrono::steady_clock::now() < end; ++i) {
    if (!w.begin_leaf()) continue;
    ++waits;
    while (word::state(w.load()) == task_state::leaf) std::this_thread::yield();
    (void)w.take_cancel();
  }
  over = true;
  for (auto& t : threads) t.join();
  return won - waits;
}

/// Reads the word, dawdles, and believes what it read.
struct claims_what_it_saw : task_word {
  on_wake claim() noexcept {
    const bool waits = word::state(load()) == task_state::leaf;
    std::this_thread::yield();
    const auto owed = task_word::claim();
    return waits ? on_wake::schedule : owed;
  }
};

TEST(Word, EveryWaitHasExactlyOneWinner) {
  EXPECT_EQ(surplus_winners<task_word>(1, 0, 20'000), 0);
  EXPECT_EQ(surplus_winners<task_word>(1, 1, 20'000), 0);
  EXPECT_EQ(surplus_winners<task_word>(4, 4, 5'000), 0);
}

TEST(Word, TheCountOfWinnersNoticesAClaimThatIsNotAtomic) {
  long surplus = 0;
  for (int attempt = 0; attempt < 100 && surplus == 0; ++attempt)
    surplus = surplus_winners<claims_what_it_saw>(4, 4, 2'000);
  EXPECT_GT(surplus, 0);
}

}  // namespace
