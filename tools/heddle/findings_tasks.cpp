// SPDX-License-Identifier: MIT
// What is wrong with tasks: circles, locks that nobody will unlock, queues that nobody takes from,
// futures that nobody will set, cancellations that are swallowed, errors that nobody asks for.
#include "findings.h"

#include <heddle/core/record/eventual.h>
#include <heddle/core/seeing/report.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_set>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

constexpr std::size_t most_named = 3;

/// "lobby>games, games>lobby and 3 more".
std::string names_of(examined& e, const std::vector<std::uint64_t>& records) {
  std::string text;
  std::size_t n = 0;
  for (const auto record : records) {
    task_view task;
    if (n++ >= most_named || !e.from.tasks().look_at(record, task)) continue;
    text += (text.empty() ? "" : n == records.size() ? " and " : ", ") + name_of(task);
  }
  if (n > most_named) text += " and " + std::to_string(n - most_named) + " more";
  return text;
}

std::string hexadecimal(std::uint64_t value) {
  char text[32];
  short_writer some(text);
  some.hexadecimal(value);
  return text;
}

void find_deadlocks(examined& e) {
  for (const auto& c : e.all.all()) {
    if (c.ends || c.records.empty()) continue;
    finding f;
    f.what = (c.likely ? "LIKELY DEADLOCK of " : "DEADLOCK of ") + names_of(e, c.records) +
             (c.records.size() == 1 ? ", which waits for itself" : "") + " (heddle why " + c.name +
             ")";
    for (const auto record : c.records) {
      task_view task;
      if (f.evidence.size() == 8 || !e.from.tasks().look_at(record, task)) break;
      f.evidence.push_back(name_of(task) + " waits in " + task.waits_in + " at " +
                           place_of(task, e.from));
    }
    f.advice = "take the locks in one order everywhere, or put a timeout around one of the waits";
    e.found.push_back(std::move(f));
  }
}

/// Tasks that wait at both looks, by what they wait in.
struct crowd {
  std::vector<std::uint64_t> records;
  task_view first;
};
using crowds = std::map<std::uint64_t, crowd>;

crowds gather(examined& e, bool (*fits)(const task_view& task),
              std::uint64_t (*key)(const task_view& task)) {
  struct context {
    examined& e;
    bool (*fits)(const task_view& task);
    std::uint64_t (*key)(const task_view& task);
    crowds all = {};
  } c{e, fits, key};
  (void)e.from.tasks().each(
      [](void* p, const task_view& task) {
        auto& here = *static_cast<context*>(p);
        if (!here.fits(task) || !waits_on(here.e.before, here.e.now, task.at)) return true;
        auto& one = here.all[here.key(task)];
        if (one.records.empty()) one.first = task;
        one.records.push_back(task.at);
        return true;
      },
      &c);
  return std::move(c.all);
}

std::uint64_t object_of(const task_view& task) { return task.object; }

bool is_orphaned(const task_view& task) {
  return task.what == doing::waits && task.is_locked && task.owner_number != 0 && task.owner_ended;
}

void find_orphaned_locks(examined& e) {
  for (const auto& [object, c] : gather(e, &is_orphaned, &object_of)) {
    char text[40];
    short_writer id(text);
    put_id(id, c.first.owner_number, c.first.owner_generation);
    finding f;
    f.what = std::string(c.first.waits_in) + " " + hexadecimal(object) + " was left locked by " +
             text + ", which has ended; " + std::to_string(c.records.size()) +
             (c.records.size() == 1 ? " task waits" : " tasks wait") + " for it";
    f.evidence.push_back(names_of(e, c.records) + " at " + place_of(c.first, e.from));
    f.advice = "lock by scoped_lock(): its guard unlocks on every way out, also by an exception";
    e.found.push_back(std::move(f));
  }
}

bool waits_to_put(const task_view& task) {
  return task.what == doing::waits && std::strncmp(task.waits_in, "queue.put", 9) == 0;
}

/// True: the task, or one that it waits for, or is likely to, moved between the looks, or is ended
/// by a timer, a descriptor or a job.
bool may_go_on(examined& e, std::uint64_t record) {
  std::vector<std::uint64_t> left{record};
  std::unordered_set<std::uint64_t> seen{record};
  while (!left.empty()) {
    const auto here = left.back();
    left.pop_back();
    task_view task;
    if (!e.from.tasks().look_at(here, task) || task.what != doing::waits || !task.ended_by_tasks ||
        task.gives_up_in != 0 || !waits_on(e.before, e.now, here))
      return true;
    for (const auto& m : e.likely_ones.of(task))
      if (seen.insert(m.record).second) left.push_back(m.record);
    const auto at = e.all.graph().find(here);
    if (at == wait_graph::none) continue;
    e.all.graph().each_edge(at, [&](const wait_graph::edge& edge) {
      if (edge.exact && edge.to != wait_graph::none && seen.insert(edge.record).second)
        left.push_back(edge.record);
    });
  }
  return false;
}

/// True: a task is seen that could end the wait, and does not stand still itself.
bool somebody_acts(examined& e, const task_view& waiter) {
  const auto some = e.likely_ones.of(waiter);
  return std::any_of(some.begin(), some.end(),
                     [&](const mention& m) { return may_go_on(e, m.record); });
}

/// A task that runs or is ready may be the one that takes: its frames are not known.
bool somebody_moves(const examined& e) {
  return std::any_of(e.now.tasks.begin(), e.now.tasks.end(),
                     [](const auto& one) { return one.second.wait == 0; });
}

void find_full_queues(examined& e) {
  const bool may_be_taken_from = e.stands_still && somebody_moves(e);
  for (const auto& [object, c] : gather(e, &waits_to_put, &object_of)) {
    if (somebody_acts(e, c.first)) continue;
    const auto takers = e.likely_ones.of(c.first);
    if (takers.empty() && may_be_taken_from) continue;
    finding f;
    f.what = std::string(c.first.waits_in) + ": a full queue, " + hexadecimal(object) + "; " +
             std::to_string(c.records.size()) +
             (c.records.size() == 1 ? " task waits" : " tasks wait") + " for room" +
             (e.stands_still ? "" : ", and nothing was taken from it meanwhile");
    f.evidence.push_back(names_of(e, c.records) + " at " + place_of(c.first, e.from));
    if (takers.empty()) {
      f.evidence.push_back("no frame of another task points at the queue: no taker is seen");
    } else {
      std::vector<std::uint64_t> records;
      for (const auto& m : takers) records.push_back(m.record);
      f.evidence.push_back("likely takers, which wait too: " + names_of(e, records));
    }
    f.advice = "see that a task takes from it as long as others put, or shut it down (shutdown())";
    e.found.push_back(std::move(f));
  }
}

// Where a frame points at the promise somebody may set it, and where a static, a stack or a block
// of the heap that is in use does.
void find_lost_promises(examined& e) {
  for (const auto& [future, records] : e.likely_ones.futures()) {
    task_view task;
    held by;
    if (records.empty() || !waits_on(e.before, e.now, records.front()) ||
        !e.from.tasks().look_at(records.front(), task) || task.target != future ||
        !e.likely_ones.of(task).empty() || !e.likely_ones.holder_of(e.from, future, by) ||
        by.by != holder::nobody)
      continue;
    finding f;
    f.what = "a lost promise: " + names_of(e, records) +
             (records.size() == 1 ? " awaits" : " await") + " a future that nobody is seen to set";
    f.evidence.push_back("at " + place_of(task, e.from));
    f.evidence.push_back(
        "no frame, stack, static or block of the heap in use points at its promise");
    f.advice =
        "keep the promise where it will be set, or destroy it: then the future fails with "
        "broken_promise";
    e.found.push_back(std::move(f));
  }
}

// Asked, and delivered: the task has caught it, and waits in something else.
bool swallows(const task_view& task) {
  using namespace heddle::detail;
  return task.what == doing::waits && task.state() == task_state::leaf &&
         word::requests(task.word) != 0 && (task.word & (word::must | word::interrupted)) == 0;
}

void find_swallowed_cancels(examined& e) {
  for (const auto& [record, c] :
       gather(e, &swallows, [](const task_view& task) { return task.at; })) {
    finding f;
    f.what = name_of(c.first) + " was cancelled, and waits in " + c.first.waits_in + " since";
    f.evidence.push_back("at " + place_of(c.first, e.from));
    f.advice =
        "let cancelled_error leave the task when the cleaning up is done, or put a timeout "
        "around that";
    e.found.push_back(std::move(f));
  }
}

void find_lost_wake_ups(examined& e) {
  if (e.stands_still) return;
  for (const auto& [record, now] : e.now.tasks) {
    const auto before = e.before.tasks.find(record);
    if (!now.nowhere || before == e.before.tasks.end() || !before->second.nowhere ||
        before->second.word != now.word)
      continue;
    task_view task;
    if (!e.from.tasks().look_at(record, task) || task.word != now.word) continue;
    finding f;
    f.what = name_of(task) + " is ready but in no queue, twice, 1 s apart";
    f.evidence.push_back("it is told as: " + now.does);
    f.advice = "a bug of heddle, or of an awaiter of the program that did not schedule its task";
    e.found.push_back(std::move(f));
  }
}

/// Tasks that failed, whose error nobody has asked for, and which a handle still keeps.
void find_unasked_errors(examined& e) {
  constexpr std::uint8_t retrieved = 1;
  const auto& at = e.from.what().at();
  auto& mem = e.from.what().mem();
  const std::size_t size = at.record.size, bytes = at.chunk.size;
  std::vector<unsigned char> chunk(bytes);
  std::uint64_t where = 0;
  std::size_t count = 0;
  if (!mem.get(e.from.what().record_chunks(), where)) return;
  for (std::size_t n = 0; where != 0 && n < (1u << 20) && mem.read(where, chunk.data(), bytes);
       ++n) {
    for (std::size_t i = at.chunk_records.at; i + size <= bytes; i += size) {
      const auto field = [&](place p) { return number_in(chunk.data() + i + p.at, p.size); };
      using namespace heddle::detail;
      const auto w = field(at.word);
      if (field(at.refs) != 0 && field(at.kind) == static_cast<std::uint64_t>(kind::task) &&
          word::done(w) && word::result(w) == outcome::error && (field(at.flags) & retrieved) == 0)
        ++count;
    }
    where = number_in(chunk.data() + at.chunk_next.at, at.chunk_next.size);
  }
  if (count == 0) return;
  e.found.push_back({std::to_string(count) + (count == 1 ? " task has" : " tasks have") +
                         " failed, and nobody has asked for the error",
                     {"their handles are kept, so the errors are not reported either"},
                     "await the handles, or drop them: then the exception handler is told"});
}

}  // namespace

std::string name_of(const task_view& task) {
  return id_of(task) + (task.is_strand      ? " (strand)"
                        : task.name[0] != 0 ? std::string(" ") + task.name
                                            : std::string());
}

std::string place_of(const task_view& task, sight& from) {
  std::string text;
  {
    output to(
        [](void* all, std::string_view some) noexcept {
          static_cast<std::string*>(all)->append(some);
          return true;
        },
        &text);
    put_chain(to, task, from.names(), false);
  }
  if (task.made_line == 0) return text;
  const char* slash = std::strrchr(task.made_file, '/');
  return text + ", made at " + (slash ? slash + 1 : task.made_file) + ":" +
         std::to_string(task.made_line);
}

void look_at_tasks(examined& e) {
  find_deadlocks(e);
  find_orphaned_locks(e);
  find_full_queues(e);
  find_lost_promises(e);
  find_swallowed_cancels(e);
  find_lost_wake_ups(e);
  find_unasked_errors(e);
}

}  // namespace tool
