// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/introspect.h>

#include <heddle/core/errors.h>
#include <heddle/core/seeing/places.h>
#include <heddle/core/task.h>

#include <coroutine>
#include <source_location>

namespace heddle::detail {

const char* state_of(const task_record& t) noexcept {
  const auto w = t.state().load();
  switch (word::state(w)) {
    case task_state::active: return "running or ready";
    case task_state::leaf: return "waiting";
    case task_state::forwarding:
    case task_state::frozen: return "waiting for a task or future";
    default: break;
  }
  switch (word::result(w)) {
    case outcome::cancelled: return "cancelled";
    case outcome::error: return "failed";
    default: return "done";
  }
}

std::string number_and_name(world& w, const task_record& t) {
  std::string text = "task " + std::to_string(w.number_of(t));
  if (auto* x = t.extra_if_any(); x && !x->name.empty()) text += " \"" + x->name + "\"";
  return text;
}

std::string wait_of(world& w, task_record& t) {
  switch (word::state(t.state().load())) {
    case task_state::leaf: return std::string("waits in ") + t.wait()->name();
    case task_state::forwarding:
    case task_state::frozen: {
      eventual* target = t.wait()->target();
      if (!target) return std::string("waits in ") + t.wait()->name();
      switch (target->what()) {
        case kind::task: return "awaits " + number_and_name(w, static_cast<task_record&>(*target));
        case kind::future: return "awaits a future";
        case kind::gathering: return "awaits a gather";
        default: return "awaits a strand";
      }
    }
    case task_state::active:
      return "is ready or running, or waits for strands (if it stands in no queue, its wake-up was "
             "lost)";
    default: return "has ended";
  }
}

namespace {

/// " at FILE:LINE", of the innermost frame whose function is not the library's; of the innermost of
/// all if there is none. Nothing runs meanwhile, so the frames may be walked.
HEDDLE_COLD std::string place_of(task_record& t) {
  const auto state = word::state(t.state().load());
  if (state == task_state::active || state == task_state::done) return {};
  std::source_location where = t.place(), first = where;
  auto frame = std::coroutine_handle<>::from_address(t.frame());
  while (where.line() != 0) {
    char name[256];
    seeing::short_writer to(name);
    seeing::put_plain_function(to, where.function_name());
    if (!to.text().starts_with("heddle::")) break;
    const promise_base& p = promise_base::of(frame);
    if (!p.end.is_call()) {
      where = first;
      break;
    }
    where = p.end.place();
    frame = p.continuation;
  }
  if (where.line() == 0) return {};
  std::string text = " at ";
  text += where.file_name();
  text += ':';
  return text += std::to_string(where.line());
}

}  // namespace

std::string who_waits_for_what(world& w, bool (*knows)(const world& w, const task_record& t)) {
  std::vector<std::pair<std::uint64_t, std::string>> lines;
  task_record::scan([&](task_record& r) {
    if (r.done() || (r.what() != kind::task && r.what() != kind::strand)) return;
    task_record& root = r.root();
    if (!knows(w, root)) return;
    std::string line = number_and_name(w, root) + " " + wait_of(w, r) + place_of(r);
    if (r.what() == kind::strand)
      line = "a strand of " + line;
    else
      line += created_at(r.made());
    lines.emplace_back(w.number_of(root), std::move(line));
  });
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (auto& [number, line] : lines) text += "\n  " + line;
  return text;
}

}  // namespace heddle::detail
