// SPDX-License-Identifier: MIT
// A runtime ends in rounds: all its tasks are cancelled and awaited, until none is left
// (sched/runtime/shutdown.h). A task of the round that does not end holds close() up.
#include "endings.h"

#include <heddle/core/record/eventual.h>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

constexpr int most_runtimes = 64;
constexpr int most_joiners = 1000;
constexpr std::uint64_t in_round = 4;  // as core/record/eventual.h has it
constexpr std::uint64_t joiners_tags = 7;

struct group {
  std::uint64_t id = 0;
  ending what;
};

/// The runtimes that live.
std::vector<group> groups_of(sight& from) {
  const auto& p = from.what();
  const auto& at = p.at();
  std::vector<group> found;
  std::uint64_t here = 0;
  if (p.runtimes() == 0 || at.group_stopping.size == 0 || !p.mem().get(p.runtimes(), here))
    return found;
  for (int i = 0; here != 0 && i < most_runtimes; ++i) {
    group g;
    std::uint64_t stopping = 0, closed = 0;
    if (!p.load(p.mem(), here, at.group_id, g.id) ||
        !p.load(p.mem(), here, at.group_serial, g.what.runtime) ||
        !p.load(p.mem(), here, at.group_stopping, stopping) ||
        !p.load(p.mem(), here, at.group_closed, closed) ||
        !p.load(p.mem(), here, at.group_round_left, g.what.left))
      break;
    g.what.is_ending = stopping != 0 && closed == 0;
    if (closed == 0) found.push_back(std::move(g));
    if (!p.load(p.mem(), here, at.group_next, here)) break;
  }
  return found;
}

/// True: a thread in run waits for the end of the task.
bool is_awaited_by_run(sight& from, std::uint64_t record) {
  const auto& p = from.what();
  const auto& at = p.at();
  std::uint64_t wanted = 0, joiner = 0, fire = 0;
  if (p.run_joins() == 0 || !p.mem().get(p.run_joins(), wanted) ||
      !p.load(p.mem(), record, at.joiners, joiner))
    return false;
  joiner &= ~joiners_tags;
  for (int i = 0; joiner != 0 && i < most_joiners; ++i) {
    if (!p.load(p.mem(), joiner, at.join_fire, fire)) return false;
    if (fire == wanted) return true;
    if (!p.load(p.mem(), joiner, at.join_next, joiner)) return false;
  }
  return false;
}

void add_task(group& g, sight& from, std::uint64_t record) {
  std::uint64_t flags = 0;
  (void)from.what().load(from.what().mem(), record, from.what().at().flags, flags);
  if (g.what.is_ending ? (flags & in_round) != 0 : is_awaited_by_run(from, record))
    g.what.tasks.push_back(record);
  else
    ++g.what.others;
}

}  // namespace

bool means_ending(const std::string& task) { return task == "close" || task == "run"; }

std::vector<ending> endings_of(sight& from, bool run) {
  auto groups = groups_of(from);
  struct context {
    sight& from;
    std::vector<group>& groups;
  } c{from, groups};
  (void)from.tasks().each(
      [](void* to, const task_view& task) {
        auto& here = *static_cast<context*>(to);
        if (task.is_strand) return true;
        for (auto& g : here.groups)
          if (g.id == task.runtime) add_task(g, here.from, task.at);
        return true;
      },
      &c);
  std::vector<ending> found;
  for (auto& g : groups)
    if (g.what.is_ending || (run && !g.what.tasks.empty())) found.push_back(std::move(g.what));
  return found;
}

std::string headline(const ending& e) {
  const auto n = e.tasks.size();
  const std::string number = std::to_string(n) + (n == 1 ? " task" : " tasks");
  std::string text;
  if (!e.is_ending)
    text = "run() of runtime " + std::to_string(e.runtime) + " waits for " + number;
  else if (n != 0)
    text = "close() of runtime " + std::to_string(e.runtime) + " waits for " + number +
           " of its round, which " + (n == 1 ? "was" : "were") + " cancelled";
  else
    text = "close() of runtime " + std::to_string(e.runtime) +
           " has no task left in its round: it waits for jobs of to_thread, for a generator that "
           "closes, or for a thread inside a call of the runtime";
  if (e.is_ending && e.others != 0)
    text += "; " + std::to_string(e.others) + (e.others == 1 ? " more was" : " more were") +
            " started meanwhile";
  return text;
}

std::string progress_of(const task_view& task) {
  using namespace heddle::detail;
  if ((task.word & word::must) != 0)
    return "its cancellation is not delivered yet: that happens where it waits the next time";
  if ((task.word & word::interrupted) != 0)
    return "its cancellation has ended its wait, and is thrown at its next step";
  if (task.state() == task_state::forwarding || task.state() == task_state::frozen)
    return "its cancellation was passed on to what it awaits";
  if (task.what != doing::waits) return "it runs, or is ready, since it got its cancellation";
  return "it has got its cancellation: it cleans up here, or has caught cancelled_error and goes "
         "on";
}

}  // namespace tool
