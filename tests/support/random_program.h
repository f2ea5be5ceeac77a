// SPDX-License-Identifier: MIT
// Structured programs at random: what nests in what, how long each part lasts, and how it takes a
// cancellation.
//
// A program is a tree. Its leaves wait; its inner nodes are the verbs that start, limit, join and
// cancel what is below them. Equal numbers make equal programs. support/random_reference.h says
// what a program has to do, support/random_run.h runs it on heddle.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace random_program {

/// Nanoseconds since the program began.
using moment = std::int64_t;
inline constexpr moment never = std::int64_t{8'000'000'000'000'000'000};
inline constexpr moment second = 1'000'000'000;

enum class verb : std::uint8_t {
  nap,       // sleeps, yields a value
  stuck,     // waits for what never comes, in one of several primitives
  fails,     // sleeps, then throws
  cleans,    // sleeps; a cancellation is passed on after a second sleep
  converts,  // sleeps; a cancellation becomes an error
  swallows,  // sleeps; a cancellation ends it with a value
  thread,    // a job of to_thread
  sequence,
  generator,  // a sequence whose steps come from an async generator
  fork,
  each,  // parallel_for_each
  gather,
  settled,
  group,  // children, the last one is the body
  timeout,
  wait_for,
  shield,
  spawn,         // create_task, and await the handle
  spawn_cancel,  // the same, and another task cancels it
  wait,
};
inline constexpr int leaf_verbs = 7;

inline const char* name_of(verb v) {
  static constexpr const char* names[] = {
      "nap",     "stuck",    "fails",  "cleans", "converts",     "swallows", "thread",
      "seq",     "gen",      "fork",   "each",   "gather",       "settled",  "group",
      "timeout", "wait_for", "shield", "spawn",  "spawn_cancel", "wait"};
  return names[static_cast<int>(v)];
}

struct node {
  verb what = verb::nap;
  int id = 0;
  std::uint32_t flavour = 0;  // which of several equal ways
  moment lasts = 0;           // a leaf's sleep, a limit, when a canceller comes
  moment cleanup = 0;
  std::vector<std::unique_ptr<node>> below;
};

struct program {
  std::unique_ptr<node> root;
  int nodes = 0;
  /// The whole is cancelled at these moments, as long as it has not ended.
  std::vector<moment> cancels;
};

/// splitmix64: the program depends on its number alone, and not on the library's own choices.
class dice {
 public:
  explicit dice(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint32_t below(std::uint32_t bound) noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<std::uint32_t>(((z ^ (z >> 31)) >> 32) * bound >> 32);
  }
  /// A time that no other is likely to equal: from 10 s to 3 years, so that a few microseconds of
  /// work do not matter.
  moment lasts() noexcept {
    return 10 * second + (static_cast<moment>(below(100'000'000)) * second) + below(1'000'000'000);
  }

 private:
  std::uint64_t state_;
};

/// Makes a program of some ten nodes. `crowded`: everything happens within a few milliseconds, much
/// of it at the same moment.
class generator {
 public:
  explicit generator(std::uint64_t seed, bool crowded = false) : dice_(seed), crowded_(crowded) {}

  program make() {
    program p;
    budget_ = 4 + static_cast<int>(dice_.below(12));
    p.root = any(0);
    p.nodes = next_id_;
    const moment apart = crowded_ ? second : 100'000'000 * second + 12'345'678'901;
    moment at = lasts();
    for (int i = 0; i < 24; ++i, at += apart) p.cancels.push_back(at);
    return p;
  }

 private:
  std::unique_ptr<node> fresh(verb v) {
    auto n = std::make_unique<node>();
    // What swallows the one cancellation of a group may then wait for ever, and does in asyncio as
    // well.
    n->what = crowded_ && v == verb::swallows ? verb::nap : v;
    n->id = next_id_++;
    n->flavour = dice_.below(1u << 16);
    n->lasts = lasts();
    n->cleanup = lasts();
    return n;
  }
  moment lasts() { return crowded_ ? 1'000'000 * dice_.below(4) : dice_.lasts(); }
  std::unique_ptr<node> leaf() {
    static constexpr verb kinds[] = {verb::nap,      verb::nap,   verb::nap,    verb::stuck,
                                     verb::stuck,    verb::fails, verb::cleans, verb::converts,
                                     verb::swallows, verb::thread};
    return fresh(kinds[dice_.below(std::size(kinds))]);
  }
  std::unique_ptr<node> any(int depth) {
    --budget_;
    if (budget_ <= 0 || depth > 6 || (depth > 0 && dice_.below(4) == 0)) return leaf();
    auto n = fresh(
        static_cast<verb>(leaf_verbs + dice_.below(static_cast<int>(verb::wait) + 1 - leaf_verbs)));
    for (auto count = children_of(n->what); count > 0; --count) n->below.push_back(any(depth + 1));
    return n;
  }
  std::uint32_t children_of(verb v) {
    switch (v) {
      case verb::timeout:
      case verb::wait_for:
      case verb::shield:
      case verb::spawn:
      case verb::spawn_cancel: return 1;
      case verb::each:
      case verb::sequence:
      case verb::generator: return 2;
      default: return 2 + dice_.below(2);
    }
  }

  dice dice_;
  const bool crowded_;
  int budget_ = 0;
  int next_id_ = 0;
};

/// "timeout#3 120s(fork#4(nap#5 40s, stuck#6))"
inline void describe(const node& n, std::string& to) {
  to += std::string(name_of(n.what)) + "#" + std::to_string(n.id);
  if (n.what != verb::stuck && (n.below.empty() || n.what == verb::timeout ||
                                n.what == verb::wait_for || n.what == verb::spawn_cancel))
    to += " " + std::to_string(n.lasts / second) + "s";
  if (n.what == verb::cleans) to += "+" + std::to_string(n.cleanup / second) + "s";
  if (n.below.empty()) return;
  to += "(";
  for (std::size_t i = 0; i < n.below.size(); ++i) {
    if (i) to += ", ";
    describe(*n.below[i], to);
  }
  to += ")";
}

}  // namespace random_program
