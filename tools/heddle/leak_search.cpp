// SPDX-License-Identifier: MIT
#include "leak_search.h"

#include "chain.h"

#include <heddle/core/record/eventual.h>
#include <heddle/core/seeing/report.h>

#include <algorithm>
#include <cstring>

namespace tool {
namespace {

using seeing::doing;
using seeing::task_view;

constexpr std::uint64_t tags = 3;

/// Only another task or a thread that has the object can end these waits.
bool is_for_others(const std::string& kind) {
  static const char* const kinds[] = {"mutex",     "shared_mutex", "event",   "semaphore",
                                      "latch",     "condition",    "barrier", "queue.get",
                                      "queue.put", "queue.join",   "await",   "gather"};
  return std::find(std::begin(kinds), std::end(kinds), kind) != std::end(kinds);
}

std::string kind_of(const task_view& t) {
  const std::string text = t.waits_in;
  return text.substr(0, text.find_first_of(" ,"));
}

std::string chain_of(const task_view& t, seeing::symbols& names) {
  std::string chain;
  for (std::size_t i = 0; i < t.runs; ++i) {
    const char* name = names.function(t.frames[i].resume);
    if (seeing::is_of_library(name) && i + 1 < t.runs) continue;
    chain += (chain.empty() ? "" : " < ") + std::string(name);
  }
  return chain;
}

std::string place_of(const task_view& t) {
  if (t.made_line == 0) return "-";
  const char* slash = std::strrchr(t.made_file, '/');
  return std::string(slash ? slash + 1 : t.made_file) + ":" + std::to_string(t.made_line);
}

}  // namespace

bool leak_search::read_tasks(target& of) {
  struct context {
    leak_search& all;
    target& from;
  } c{*this, of};
  return of.see().tasks().each(
      [](void* to, const task_view& t) {
        auto& here = *static_cast<context*>(to);
        here.all.add(t, here.from);
        return true;
      },
      &c);
}

void leak_search::add(const task_view& task, target& of) {
  auto& s = of.see();
  const auto& program = s.what();
  const auto& at = program.at();
  std::uint64_t resume = 0, extra = 0, scope = 0;
  (void)program.load(program.mem(), task.at, at.resume, resume);
  (void)program.load(program.mem(), task.at, at.extra, extra);
  if ((extra & 1) == 0 && extra != 0 && at.innermost.size != 0)
    (void)program.load(program.mem(), extra, at.innermost, scope);
  in_records_.push_back({task.at + at.extra.at, task.at + at.record.size});
  if (task.what != doing::waits) {
    first_frames_.push_back(resume & ~tags);
    return;
  }
  waiting_task t;
  t.record = task.at;
  t.word = task.word;
  t.wait = task.wait;
  char text[256];
  seeing::short_writer id(text);
  seeing::put_id(id, task.number, task.generation);
  t.id = text;
  t.name = task.name;
  seeing::short_writer does(text);
  seeing::put_doing(does, task, s.loops());
  t.does = text;
  t.kind = kind_of(task);
  t.chain = chain_of(task, s.names());
  t.made = place_of(task);
  for (const auto& f : chain_from(s, task.at, resume & ~tags, false)) t.frames.push_back(f.at);
  // A block with a deadline around it wakes it, or it has been asked to end.
  t.lives = !is_for_others(t.kind) || scope != 0 || t.frames.empty() || at.waiter.size == 0 ||
            heddle::detail::word::requests(task.word) != 0;
  if (task.target != 0) t.awaits.push_back(task.target);
  // A gathering is ended by its children, whose records lead to it.
  if (task.target_kind == static_cast<std::uint8_t>(heddle::detail::kind::gathering) &&
      t.kind == "await")
    t.lives = true;
  s.tasks().each_member(
      task,
      [](void* to, address member) { static_cast<std::vector<address>*>(to)->push_back(member); },
      &t.awaits);
  if (t.awaits.empty()) {
    const bool in_queue = t.kind == "queue.get" || t.kind == "queue.put";
    address object = 0;
    if (program.mem().get(task.wait + (in_queue ? at.turn.size : at.waiter.size), object))
      t.waits_for.push_back(object);
  }
  by_record_[t.record] = tasks_.size();
  tasks_.push_back(std::move(t));
}

void leak_search::own_frames() {
  for (std::size_t i = 0; i < tasks_.size(); ++i)
    for (const address f : tasks_[i].frames)
      if (auto* b = memory_.block_at(f)) b->owner = static_cast<std::int64_t>(i);
}

void leak_search::visit(address word) {
  auto* b = memory_.block_at(word);
  if (!b || b->is_reached) return;
  if (b->owner >= 0 && !tasks_[static_cast<std::size_t>(b->owner)].lives) {
    pointed_.insert(word);
    return;
  }
  b->is_reached = true;
  if (!b->is_opaque) reached_.push_back(b);
}

void leak_search::scan(range r) {
  memory_.each_word(r, [this](address word) { visit(word); });
}

void leak_search::drain() {
  while (!reached_.empty()) {
    const heap_block b = *reached_.back();
    reached_.pop_back();
    scan({b.begin, b.told_end});
  }
}

/// What is in no block stands in variables, on a stack, or where nothing is understood. A record
/// that is asked for here is of a task that does not wait.
bool leak_search::is_reached(address at) {
  const auto* b = memory_.block_at(at);
  if (!b || b->is_opaque) return true;
  if (b->owner < 0) return b->is_reached;
  if (tasks_[static_cast<std::size_t>(b->owner)].lives) return true;
  // In a frame: something that lives has to point at the object, or shortly in front of it, where
  // the object may begin that this is a part of.
  constexpr address in_front = 128, behind = 32;
  auto from = pointed_.upper_bound(std::max(b->begin, at - std::min(at, in_front)));
  return from != pointed_.end() && *from <= at + behind && *from < b->end;
}

bool leak_search::is_awake(const waiting_task& t) {
  for (const address a : t.awaits) {
    const auto known = by_record_.find(a);
    if (known != by_record_.end() ? tasks_[known->second].lives : is_reached(a)) return true;
  }
  return std::any_of(t.waits_for.begin(), t.waits_for.end(),
                     [&](address a) { return is_reached(a); });
}

void leak_search::revive(waiting_task& t) {
  t.lives = true;
  for (const address f : t.frames) visit(f);
  drain();
}

std::string leak_search::where(const waiting_task& t) {
  if (!t.awaits.empty()) {
    const auto known = by_record_.find(t.awaits[0]);
    return known != by_record_.end() ? "which waits itself" : "nobody has its promise";
  }
  const auto* b = t.waits_for.empty() ? nullptr : memory_.block_at(t.waits_for[0]);
  if (!b || b->owner < 0) return "nobody points at it";
  const auto& owner = tasks_[static_cast<std::size_t>(b->owner)];
  return owner.record == t.record ? "only its own frame has it"
                                  : "only a frame of " + owner.id + " has it";
}

bool leak_search::look(target& of) {
  if (!memory_.take(of)) return false;
  own_frames();
  for (const auto& r : memory_.roots()) scan(r);
  for (const auto& r : in_records_) scan(r);
  for (const address f : first_frames_) visit(f);
  if (const auto* core = of.core())
    for (const auto& thread : core->threads())
      for (const auto r : thread.registers) visit(r);
  for (auto& t : tasks_)
    if (t.lives)
      for (const address f : t.frames) visit(f);
  drain();
  for (bool changed = true; changed;) {
    changed = false;
    for (auto& t : tasks_)
      if (!t.lives && is_awake(t)) {
        revive(t);
        changed = true;
      }
  }
  return true;
}

}  // namespace tool
