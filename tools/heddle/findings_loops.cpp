// SPDX-License-Identifier: MIT
// What is wrong with loops and threads: steps that do not end, timers that come late, queues that
// grow, a pool that is full.
#include "findings.h"
#include "threads.h"

#include <heddle/core/seeing/report.h>
#include <heddle/core/seeing/stalls.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

constexpr std::uint64_t late = 100'000'000;  // ns, at both looks
constexpr std::uint64_t grown = 1000;        // tasks ready

std::string loop_name(const loop_view& l) {
  return "loop " + std::to_string(l.number) + " (thread " + std::to_string(l.thread) + ")";
}

std::string time_text(std::uint64_t nanoseconds) {
  char text[32];
  short_writer some(text);
  put_time(some, nanoseconds);
  return text;
}

constexpr std::uint64_t worked_on = 5'000'000;  // ns of processor time in one step
constexpr std::uint64_t mostly = 500'000'000;   // ns of processor time between the looks

std::uint64_t worked(const examined& e, std::size_t i) {
  return e.now.worked[i] - e.before.worked[i];
}

/// True: what the loop runs keeps it. False: it waits for a processor, which is no fault of its
/// own: a step that had one would be through.
bool is_busy(const examined& e, std::size_t i) {
  // A loop that runs no task may just look for one.
  return (e.before.blocked[i] && e.now.blocked[i]) ||
         worked(e, i) >= (e.now.loops[i].current != 0 ? worked_on : mostly);
}

bool is_hogged(const examined& e, std::size_t i) {
  const auto& before = e.before.loops[i];
  const auto& now = e.now.loops[i];
  return before.at == now.at && before.steps == now.steps && !before.parked && !now.parked &&
         before.current == now.current && is_busy(e, i);
}

void find_hogged(examined& e, const loop_view& l) {
  finding f;
  task_view task;
  const bool by_task = l.current != 0 && e.from.tasks().look_at(l.current, task);
  f.what = loop_name(l) + " is hogged by " + (by_task ? name_of(task) : "a callback") +
           ": one step for a second or more";
  f.evidence.push_back("its thread " + doing_of(thread_of(e.from.living(), l.thread)));
  if (by_task && task.made_line != 0) f.evidence.push_back(place_of(task, e.from));
  f.advice = "co_await h::to_thread(...) for what computes long or blocks";
  e.found.push_back(std::move(f));
}

// Of what stands still, no second look tells that a step lasts. The watch's table does.
void find_kept(examined& e) {
  const auto table = std::make_unique<stalls_view>();
  if (!table->load(e.from.what())) return;
  for (const auto& l : e.now.loops) {
    const auto* stall = table->lasting(l.at);
    if (!stall) continue;
    char text[1024];
    short_writer task(text);
    put_stalled(task, *stall);
    finding f;
    f.what = loop_name(l) + " is hogged by " + std::string(task.text()) + ": one step for " +
             time_text(stall->lasted) + " so far";
    short_writer stack(text);
    put_stack(stack, *stall, e.from.names(), false);
    if (stack.size() != 0) f.evidence.emplace_back(stack.text());
    f.advice = "co_await h::to_thread(...) for what computes long or blocks";
    e.found.push_back(std::move(f));
  }
}

bool is_queued_job(const std::string& does) { return does.rfind("to_thread, queued", 0) == 0; }

void find_full_pool(examined& e) {
  std::size_t queued = 0, running = 0;
  for (const auto& [record, now] : e.now.tasks) {
    if (now.does.rfind("to_thread, running", 0) == 0) ++running;
    const auto before = e.before.tasks.find(record);
    if (is_queued_job(now.does) && before != e.before.tasks.end() &&
        before->second.wait == now.wait && before->second.word == now.word &&
        is_queued_job(before->second.does))
      ++queued;
  }
  if (queued == 0) return;
  finding f;
  f.what = "the thread pool is full: " + std::to_string(queued) +
           (queued == 1 ? " job waits" : " jobs wait") + " for a thread" +
           (e.stands_still ? "" : " for a second or more");
  f.evidence.push_back(std::to_string(running) + " tasks await jobs that run");
  std::size_t told = 0;
  const auto threads = e.stands_still ? std::vector<thread>() : threads_of(e.from.living());
  for (const auto& t : threads)
    if (t.name == "heddle-pool" && told++ < 5)
      f.evidence.push_back("thread " + std::to_string(t.number) + " " + doing_of(t));
  f.advice = "options.threads, or fewer jobs that block at once: a semaphore around them";
  e.found.push_back(std::move(f));
}

}  // namespace

void look_at_loops(examined& e) {
  if (e.stands_still) find_kept(e);
  const auto n = std::min(e.before.loops.size(), e.now.loops.size());
  for (std::size_t i = 0; i < n; ++i) {
    const auto& before = e.before.loops[i];
    const auto& now = e.now.loops[i];
    if (is_hogged(e, i)) find_hogged(e, now);
    if (e.before.timer_lag[i] > late && e.now.timer_lag[i] > late &&
        (is_hogged(e, i) || worked(e, i) >= mostly))
      e.found.push_back(
          {"timers of " + loop_name(now) + " are late, by " + time_text(e.now.timer_lag[i]),
           {std::to_string(now.timers) + " timers are armed there"},
           "shorter steps on that loop, or more loops (options.loops)"});
    if (before.at == now.at && now.ready > before.ready + grown && now.ready > 2 * before.ready)
      e.found.push_back({"the queue of " + loop_name(now) +
                             " grows: " + std::to_string(before.ready) + " ready, a second later " +
                             std::to_string(now.ready),
                         {std::to_string(now.steps - before.steps) + " steps in that second"},
                         "make tasks no faster than they end: a bounded queue or a semaphore"});
  }
  find_full_pool(e);
}

}  // namespace tool
