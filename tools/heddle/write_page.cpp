// SPDX-License-Identifier: MIT
#include "trace_files.h"

#include "trace_html.h"

#include <string_view>

namespace tool {
namespace {

constexpr std::string_view place_of_data = "@DATA@";

void put_texts(file_writer& to, const timeline& t) {
  to.put("\"texts\":[");
  for (std::size_t i = 0; i < t.texts.size(); ++i) {
    if (i != 0) to.put(',');
    to.json(t.texts[i]);
  }
  to.put("],\n\"tracks\":[");
  for (std::size_t i = 0; i < t.tracks.size(); ++i) {
    const auto& track = t.tracks[i];
    to.put(i == 0 ? "[" : ",[");
    to.json(track.name);
    to.put(',');
    to.number(static_cast<int>(track.kind));
    to.put(',');
    to.number(track.thread);
    to.put(']');
  }
  to.put("],\n\"tasks\":[");
  for (std::size_t i = 0; i < t.tasks.size(); ++i) {
    const auto& task = t.tasks[i];
    to.put(i == 0 ? "[" : ",[");
    for (const auto& text : {task.id, task.name, task.function, made_at(task)}) {
      to.json(text);
      to.put(',');
    }
    to.json(task.by);
    to.put(']');
  }
  to.put(']');
}

// [track, begin, length, name, task, detail, kind], flat: times in ns from the beginning.
void put_items(file_writer& to, const timeline& t) {
  const auto index = [](std::uint32_t i) {
    return i == timeline::none ? std::int64_t{-1} : std::int64_t{i};
  };
  to.put(",\n\"items\":[");
  for (std::size_t k = 0; k < t.items.size(); ++k) {
    const auto& i = t.items[k];
    if (k != 0) to.put(k % 16 == 0 ? ",\n" : ",");
    to.number(i.on);
    for (const auto n : {i.begin - t.begin, i.end - i.begin, std::int64_t{i.name}, index(i.task),
                         index(i.detail), static_cast<std::int64_t>(i.kind)}) {
      to.put(',');
      to.number(n);
    }
  }
  to.put("],\n\"flows\":[");
  for (std::size_t k = 0; k < t.flows.size(); ++k) {
    if (k != 0) to.put(',');
    to.number(t.flows[k].from);
    to.put(',');
    to.number(t.flows[k].to);
  }
  to.put(']');
}

}  // namespace

void write_page(file_writer& to, const timeline& t) {
  const std::string_view page = embedded::trace_html;
  const auto at = page.find(place_of_data);
  to.put(page.substr(0, at));
  to.put("{\"process\":");
  to.number(t.process);
  to.put(",\"command\":");
  to.json(t.command);
  to.put(",\"length\":");
  to.number(t.end - t.begin);
  to.put(",\"all\":");
  to.put(t.all ? "true" : "false");
  to.put(",\"events\":");
  to.number(static_cast<std::int64_t>(t.events));
  to.put(",\"rate\":");
  to.number(t.loops.empty() ? 0 : static_cast<std::int64_t>(t.loops.front().rate));
  to.put(",\n");
  put_texts(to, t);
  put_items(to, t);
  to.put("}");
  if (at != std::string_view::npos) to.put(page.substr(at + place_of_data.size()));
}

}  // namespace tool
