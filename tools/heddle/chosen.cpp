// SPDX-License-Identifier: MIT
#include "chosen.h"

#include <string>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// "chat.cpp:21" means each file of that name, whatever its folder.
bool is_place(const char* file, std::uint32_t line, const std::string& text) {
  if (line == 0) return false;
  const std::string place = std::string(file) + ":" + std::to_string(line);
  return place == text || place.ends_with("/" + text);
}

bool waits_at(const task_view& task, symbols& names, const std::string& text) {
  for (std::size_t i = 0; i < task.runs; ++i) {
    if (holds(names.function(task.frames[i]), text)) return true;
    const auto* p = names.place(task.frames[i]);
    if (p && is_place(p->file, p->line, text)) return true;
  }
  return false;
}

bool is_on_loop(const task_view& task, const loops_view& loops, const std::string& number) {
  const loop_view* l = loops.runs(task.at);
  if (!l)
    if (const auto* q = loops.find(task.at)) l = &loops[q->loop];
  if (!l) l = loops.at(task.home);
  return l && std::to_string(l->number) == number;
}

}  // namespace

bool is_chosen(const options& o, const task_view& task, sight& from) {
  if (!o.name.empty() && !holds(task.name, o.name)) return false;
  if (!o.waiting.empty()) {
    char text[256];
    short_writer does(text);
    put_doing(does, task, from.loops());
    if (!holds(text, o.waiting)) return false;
  }
  if (!o.at.empty() && !is_place(task.made_file, task.made_line, o.at) &&
      !waits_at(task, from.names(), o.at))
    return false;
  if (o.older != 0 && (!task.since_known || task.since < o.older)) return false;
  return o.loop.empty() || is_on_loop(task, from.loops(), o.loop);
}

}  // namespace tool
