// SPDX-License-Identifier: MIT
#include "reasons.h"

#include "numbers.h"
#include "sockets.h"
#include "threads.h"

#include <heddle/core/seeing/report.h>
#include <heddle/core/seeing/stalls.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

constexpr std::size_t most_likely = 8;
constexpr std::size_t most_indent = 40;  // columns
constexpr auto second_look = std::chrono::seconds(1);

std::string time_text(std::uint64_t nanoseconds) {
  char text[32];
  short_writer some(text);
  put_time(some, nanoseconds);
  return text;
}

std::string name_of(const task_view& task) {
  return id_of(task) + " " + (task.is_strand ? "(strand)" : task.name[0] != 0 ? task.name : "-");
}

bool is_nowhere(const task_view& task, const loops_view& loops) {
  return task.what == doing::active && task.strands == 0 && !loops.runs(task.at) &&
         !loops.find(task.at);
}

}  // namespace

void reasons::line(std::size_t depth, const std::string& text) {
  for (std::size_t i = 0; i < std::min(2 * depth, most_indent); ++i) to_.put(' ');
  to_.escaped(text, 300);
  to_.put('\n');
}

void reasons::put(std::uint64_t record) {
  if (put_circles_of(record)) return;
  std::vector<step> left{{record, 0, ""}};
  told_.clear();
  while (!left.empty() && told_.size() < most_told) {
    const step s = std::move(left.back());
    left.pop_back();
    std::vector<step> next;
    put_one(s, next);
    left.insert(left.end(), next.rbegin(), next.rend());
  }
  if (!left.empty()) line(0, "... and " + std::to_string(left.size()) + " more");
}

bool reasons::put_circles_of(std::uint64_t record) {
  bool any = false;
  for (const auto& c : all_.all()) {
    if (std::find(c.records.begin(), c.records.end(), record) == c.records.end()) continue;
    put_circle(to_, from_, all_.graph(), c.number);
    any = true;
  }
  return any;
}

void reasons::put_one(const step& s, std::vector<step>& next) {
  task_view task;
  if (!from_.tasks().look_at(s.record, task)) return line(s.depth, s.how + "a task that has ended");
  for (std::size_t i = 0; i < std::min(2 * s.depth, most_indent); ++i) to_.put(' ');
  to_.put(s.how);
  put_id_and_name(to_, task);
  if (!told_.insert(s.record).second) {
    to_.put("  (told above)\n");
    return;
  }
  to_.put("  ");
  put_wait(to_, task, from_);
  if (task.gives_up_in != 0) {
    to_.put("; gives up in ");
    to_.put(time_text(task.gives_up_in));
  }
  to_.put('\n');
  put_own_reason(task, s.depth + 1);
  if (const auto at = all_.graph().find(s.record); at != wait_graph::none) {
    std::vector<const wait_graph::edge*> edges;
    all_.graph().each_edge(at, [&](const wait_graph::edge& e) {
      if (e.to != wait_graph::none && e.why != because::mentions) edges.push_back(&e);
    });
    for (auto e = edges.rbegin(); e != edges.rend(); ++e)
      next.push_back({(*e)->record, s.depth + 1,
                      std::string((*e)->exact ? "" : "likely ") + relation((*e)->why)});
  }
  put_likely(task, s.depth + 1, next);
}

void reasons::put_own_reason(const task_view& task, std::size_t depth) {
  if (task.what != doing::waits) return put_active(task, depth);
  if (task.is_locked && task.owner_number == 0)
    line(depth, "locked outside of tasks: by a callback, or by another thread");
  if (task.is_locked && task.owner_number != 0 && task.owner_ended) {
    char text[40];
    short_writer id(text);
    put_id(id, task.owner_number, task.owner_generation);
    line(depth, "locked by " + std::string(text) + ", which has ended: nobody will unlock it");
  }
  if (std::strncmp(task.waits_in, "to_thread", 9) == 0) put_threads(depth);
  if (std::strstr(task.waits_in, "descriptor ")) put_descriptor(task, depth);
  if (task.gives_up_in == 0 && std::strncmp(task.waits_in, "sleep", 5) == 0)
    line(depth, "goes on by itself");
}

// Who else could go on, of what has no owner.
void reasons::put_likely(const task_view& task, std::size_t depth, std::vector<step>& next) {
  if (ownerless(task) == 0) return;
  const auto some = likely_.of(task);
  std::size_t n = 0;
  for (const auto& m : some) {
    if (n++ == most_likely) {
      line(depth, "and " + std::to_string(some.size() - most_likely) + " more");
      break;
    }
    next.push_back(
        {m.record, depth,
         m.left_over ? "likely, since it waited there before: " : "likely in the hands of "});
  }
  if (task.target != 0 && ownerless(task) == task.target) {
    if (some.empty()) put_future(task, depth);
  } else if (some.empty()) {
    line(depth, "no frame of another task points at it: nobody is seen who could end the wait");
  }
}

void reasons::put_future(const task_view& task, std::size_t depth) {
  held by;
  if (!likely_.holder_of(from_, task.target, by))
    return line(depth, "no frame of another task points at its promise");
  char text[32];
  short_writer at(text);
  at.hexadecimal(by.at);
  switch (by.by) {
    case holder::nobody:
      return line(depth, "nobody is seen who could set it: nothing points at its promise");
    case holder::a_static:
      return line(depth, "a static of " + by.where + " points at it (" + text + ")");
    case holder::a_stack: return line(depth, by.where + " points at its promise");
    case holder::a_block:
      return line(depth, "its promise stands in " + by.where + " (" + text + ")");
  }
}

// The step that keeps the loop, with the stack that the watch has taken of it.
void reasons::put_step(const loop_view& l, std::size_t depth) {
  const auto table = std::make_unique<stalls_view>();
  const auto* step = table->load(from_.what()) ? table->lasting(l.at) : nullptr;
  if (!step) return;
  char text[1024];
  short_writer length(text);
  put_length(length, step->lasted);
  std::string said = "its step has taken " + std::string(length.text()) + " so far";
  short_writer stack(text);
  put_stack(stack, *step, from_.names(), all_frames_);
  if (stack.size() != 0) said += ": " + std::string(stack.text());
  line(depth, said);
}

// Ready: behind what, or nowhere at all.
void reasons::put_active(const task_view& task, std::size_t depth) {
  const auto& loops = from_.loops();
  if (const auto* l = loops.runs(task.at)) {
    if (l->thread != 0)
      line(depth, "its thread " + std::to_string(l->thread) + " " +
                      doing_of(thread_of(from_.living(), l->thread)));
    return put_step(*l, depth);
  }
  if (const auto* q = loops.find(task.at)) {
    const auto& l = loops[q->loop];
    task_view runs;
    std::string text = "loop " + std::to_string(l.number) + " (thread " + std::to_string(l.thread);
    if (l.current != 0 && from_.tasks().look_at(l.current, runs))
      text += ") runs " + name_of(runs);
    else
      text += l.parked ? ") is parked" : ") runs";
    line(depth, text + ", and " + doing_of(thread_of(from_.living(), l.thread)));
    return put_step(l, depth);
  }
  if (!is_nowhere(task, loops)) return;
  std::this_thread::sleep_for(second_look);
  task_view again;
  (void)from_.look_at_loops();
  if (from_.tasks().look_at(task.at, again) && again.word == task.word &&
      is_nowhere(again, from_.loops()))
    line(depth,
         "ready but in no queue, twice, 1 s apart: a bug of heddle, or of an awaiter that "
         "did not schedule its task");
}

void reasons::put_threads(std::size_t depth) {
  std::size_t told = 0;
  for (const auto& t : threads_of(from_.living())) {
    bool is_loop = false;
    for (std::size_t i = 0; i < from_.loops().size(); ++i)
      is_loop = is_loop || from_.loops()[i].thread == t.number;
    if (is_loop || t.number == from_.process()) continue;
    if (told++ < most_likely)
      line(depth, "thread " + std::to_string(t.number) + " (" + t.name + ") " + doing_of(t));
  }
  if (told > most_likely)
    line(depth, "and " + std::to_string(told - most_likely) + " threads more");
}

void reasons::put_descriptor(const task_view& task, std::size_t depth) {
  const auto number = number_at(std::strstr(task.waits_in, "descriptor ") + 11, 10);
  if (const auto text = describe_descriptor(from_.living(), number); !text.empty())
    line(depth, text);
}

bool leads_to_deadlock(circles& all, const std::vector<std::uint64_t>& tasks) {
  std::unordered_set<std::uint64_t> stuck;
  for (const auto& c : all.all())
    if (!c.likely && !c.ends) stuck.insert(c.records.begin(), c.records.end());
  std::unordered_set<std::uint64_t> seen(tasks.begin(), tasks.end());
  std::vector<std::uint64_t> left = tasks;
  while (!left.empty()) {
    const auto record = left.back();
    left.pop_back();
    if (stuck.contains(record)) return true;
    const auto at = all.graph().find(record);
    if (at == wait_graph::none) continue;
    all.graph().each_edge(at, [&](const wait_graph::edge& e) {
      if (e.exact && e.to != wait_graph::none && seen.insert(e.record).second)
        left.push_back(e.record);
    });
  }
  return false;
}

void put_json_edges(output& to, sight& from, const wait_graph& graph, std::uint64_t record,
                    bool& first) {
  const auto at = graph.find(record);
  task_view task, other;
  if (at == wait_graph::none || !from.tasks().look_at(record, task)) return;
  constexpr const char* names[] = {"holds", "awaited", "member", "strand", "mentions"};
  graph.each_edge(at, [&](const wait_graph::edge& e) {
    if (e.to == wait_graph::none || !from.tasks().look_at(e.record, other)) return;
    to.put(first ? "\n  {\"task\": " : ",\n  {\"task\": ");
    first = false;
    to.json(id_of(task));
    to.put(", \"for\": ");
    to.json(id_of(other));
    to.put(", \"because\": ");
    to.json(names[static_cast<std::size_t>(e.why)]);
    to.put(e.exact ? ", \"exact\": true}" : ", \"exact\": false}");
  });
}

}  // namespace tool
