// SPDX-License-Identifier: MIT
// Programs whose chains of awaits are known.
#include "programs.h"

#include <heddle/sched/async_generator.h>
#include <heddle/sched/fork_join.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

namespace inside {

using namespace std::chrono_literals;

namespace {

h::event& never() {
  static auto* const e = new h::event;
  return *e;
}
h::task<> for_ever() { co_await never().wait(); }

// --- two rooms that lock each other ---

struct room {
  h::mutex lock;
  h::event entered;
};
room& room_number(int i) {
  static auto* const rooms = new room[2];
  return rooms[i];
}

h::task<> copy_line(int to) { co_await room_number(to).lock.lock(); }
h::task<> forward(int from, int to) {
  co_await room_number(from).lock.lock();
  room_number(from).entered.set();
  co_await room_number(to).entered.wait();
  co_await copy_line(to);
}
h::task<> deliver(h::queue<int>& lines) { (void)co_await lines.get(); }

// --- a recursion ---

h::task<> recurse(int n) {
  if (n > 1)
    co_await recurse(n - 1);
  else
    co_await never().wait();
}

// --- generators ---

h::async_generator<int> numbers() {
  co_yield 1;
  co_await never().wait();
  co_yield 2;
}
h::task<> ask(h::async_generator<int>& from) {
  while (auto* n = co_await from.next()) (void)*n;
}
h::task<> consume() {
  auto from = numbers();
  co_await ask(from);
}

// --- strands ---

h::task<> leaf() { co_await never().wait(); }
h::task<> fork(int depth) {
  if (depth == 0) {
    co_await leaf();
    co_return;
  }
  co_await h::fork_join(fork(depth - 1), fork(depth - 1));
}

// --- a ring of awaits ---

h::task<> awaits(std::optional<h::task_handle<>>& target, h::event& begin) {
  co_await begin.wait();
  auto t = *target;
  co_await t;
}

// --- a tree of scopes ---

h::task<> inner() { co_await never().wait(); }
h::task<> middle() { co_await inner(); }
h::task<> awaits_task(h::task_handle<> t) { co_await t; }
h::task<> gathers() {
  std::vector<h::task<>> two;
  two.push_back(middle());
  two.push_back(middle());
  co_await h::gather(std::move(two));
}
h::task<> body_of_group(h::task_group& g) {
  g.create_task(middle());
  g.create_task(middle());
  co_return;
}
h::task<> groups() {
  auto block = h::with_task_group(body_of_group);
  co_await std::move(block);
}
h::task<> shields(h::task_handle<> t) {
  auto outer = h::shield(t);
  co_await outer;
}

}  // namespace

h::task<> chat(int) {
  static auto* const lines = new h::queue<int>(4);
  keep("lobby>games", forward(0, 1));
  keep("games>lobby", forward(1, 0));
  keep("deliver", deliver(*lines));
  co_await never().wait();
}

h::task<> deep(int n) {
  keep("deep", recurse(n));
  co_await never().wait();
}

h::task<> generators(int) {
  keep("consumer", consume());
  co_await never().wait();
}

h::task<> strands(int n) {
  keep("forker", fork(n));
  co_await never().wait();
}

h::task<> ring(int n) {
  auto* const targets =
      new std::vector<std::optional<h::task_handle<>>>(static_cast<std::size_t>(n));
  auto* const begin = new h::event;
  for (std::size_t i = 0; i < targets->size(); ++i) {
    keep("ring-" + std::to_string(i), awaits((*targets)[(i + 1) % targets->size()], *begin));
    (*targets)[i] = kept().back();
  }
  begin->set();
  co_await never().wait();
}

h::task<> tree(int) {
  keep("shared", middle());
  const auto shared = kept().back();
  keep("first", awaits_task(shared));
  keep("second", awaits_task(shared));
  keep("third", shields(shared));
  keep("gatherer", gathers());
  keep("grouper", groups());
  co_await never().wait();
}

h::task<> many(int n) {
  for (int i = 0; i < n; ++i) kept().push_back(h::create_task(for_ever()));
  keep("all are made", for_ever());
  co_await never().wait();
}

}  // namespace inside
