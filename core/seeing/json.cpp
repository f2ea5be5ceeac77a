// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/json.h>

#include <heddle/core/seeing/report.h>

namespace heddle::detail::seeing {
namespace {

void put_flag(output& to, std::string_view key, bool value) noexcept {
  put_json_key(to, key);
  to.put(value ? "true" : "false");
}

const char* state_of(const task_view& task, const loops_view& loops) noexcept {
  switch (task.what) {
    case doing::waits: return "waits";
    case doing::not_started:
      return loops.runs(task.at) ? "running" : task.strands != 0 ? "active" : "not started";
    case doing::moving: return "moving";
    case doing::active: break;
  }
  return loops.runs(task.at) ? "running" : loops.find(task.at) ? "ready" : "active";
}

}  // namespace

void put_json_key(output& to, std::string_view key) noexcept {
  to.json(key);
  to.put(": ");
}

void put_json_text(output& to, std::string_view key, std::string_view text) noexcept {
  put_json_key(to, key);
  to.json(text);
}

void put_json_number(output& to, std::string_view key, std::uint64_t value) noexcept {
  put_json_key(to, key);
  to.number(value);
}

void put_json_id(output& to, std::string_view key, std::uint64_t number,
                 std::uint32_t generation) noexcept {
  put_json_key(to, key);
  if (number == 0) return to.put("null");
  char text[40];
  short_writer id(text);
  put_id(id, number, generation);
  to.json(id.text());
}

void put_json_head(output& to, const sight& from, std::string_view command) noexcept {
  to.put('{');
  put_json_number(to, "schema", json_schema);
  to.put(", ");
  put_json_number(to, "process", static_cast<std::uint64_t>(from.process()));
  to.put(", ");
  put_json_text(to, "command", command);
  to.put(",\n \"loops\": [");
  for (std::size_t i = 0; i < from.loops().size(); ++i) {
    const auto& l = from.loops()[i];
    to.put(i == 0 ? "\n  {" : ",\n  {");
    put_json_number(to, "runtime", l.runtime);
    to.put(", ");
    put_json_number(to, "number", l.number);
    to.put(", ");
    put_json_number(to, "thread", static_cast<std::uint64_t>(l.thread));
    to.put(", ");
    put_json_text(to, "reactor", l.driver);
    to.put(", ");
    put_flag(to, "parked", l.parked);
    to.put(", ");
    put_json_number(to, "steps", l.steps);
    to.put(", ");
    put_json_number(to, "ready", l.ready);
    to.put(", ");
    put_json_number(to, "timers", l.timers);
    to.put('}');
  }
  to.put("],\n \"tasks\": [");
}

void put_json_task(output& to, const task_view& task, sight& from, bool first) noexcept {
  char text[256];
  to.put(first ? "\n  {" : ",\n  {");
  put_json_id(to, "id", task.number, task.generation);
  to.put(", ");
  put_json_text(to, "kind", task.is_strand ? "strand" : "task");
  to.put(", ");
  put_json_text(to, "name", task.name);
  to.put(", ");
  put_json_text(to, "state", state_of(task, from.loops()));
  to.put(", ");
  short_writer does(text);
  put_doing(does, task, from.loops());
  put_json_text(to, "does", does.text());
  to.put(", ");
  put_json_id(to, "awaits", task.target_number, task.target_generation);
  to.put(", ");
  put_flag(to, "pinned", task.is_pinned);
  to.put(", ");
  put_json_number(to, "cancel_requests", word::requests(task.word));
  to.put(", ");
  put_json_number(to, "depth", task.depth);
  to.put(", \"since_ms\": ");
  if (task.since_known)
    to.number(task.since / 1'000'000);
  else
    to.put("null");
  to.put(", \"frames\": [");
  for (std::size_t i = 0; i < task.runs; ++i) {
    to.put(i == 0 ? "{" : ", {");
    put_json_text(to, "function", from.names().function(task.frames[i]));
    if (const auto* p = from.names().place(task.frames[i])) {
      to.put(", ");
      put_json_text(to, "file", p->file);
      to.put(", ");
      put_json_number(to, "line", p->line);
    }
    to.put(", ");
    put_json_number(to, "count", task.frames[i].count);
    to.put('}');
  }
  to.put("], \"made\": ");
  if (task.made_line == 0) {
    to.put("null");
  } else {
    to.put('{');
    put_json_text(to, "file", task.made_file);
    to.put(", ");
    put_json_number(to, "line", task.made_line);
    to.put(", ");
    put_json_text(to, "function", task.made_function);
    to.put('}');
  }
  to.put(", ");
  put_json_id(to, "made_by", task.by_number, task.by_generation);
  to.put('}');
}

void put_json_end(output& to) noexcept { to.put("]}\n"); }

}  // namespace heddle::detail::seeing
