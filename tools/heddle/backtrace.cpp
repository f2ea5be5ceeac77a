// SPDX-License-Identifier: MIT
#include "backtrace.h"

#include "chain.h"
#include "target.h"

#include <heddle/core/checked.h>
#include <heddle/core/seeing/report.h>

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tool {
namespace {

using seeing::output;
using seeing::sight;
using seeing::task_view;

std::string id_of(const task_view& t) {
  char text[40];
  seeing::short_writer id(text);
  seeing::put_id(id, t.number, t.generation);
  return text;
}

/// By its id, with or without the "#", or by its whole name.
bool is_meant(const options& o, const task_view& t) {
  const auto id = id_of(t);
  return o.task == id || "#" + o.task == id || o.task == t.name;
}

/// "7f00,1a" as numbers; what is none is left out.
std::vector<address> words_in(std::string_view text) {
  std::vector<address> found;
  while (!text.empty()) {
    const auto n = std::min(text.find(','), text.size());
    std::uint64_t value = 0;
    if (heddle::detail::parse_digits(text.substr(0, n), ~std::uint64_t{0}, value, 16))
      found.push_back(value);
    text.remove_prefix(std::min(n + 1, text.size()));
  }
  return found;
}

void put_address(output& to, address value) {
  char text[24];
  seeing::short_writer number(text);
  number.hexadecimal(value);
  to.put(number.text());
}

void put_head(output& to, const task_view& t, sight& from) {
  char text[256];
  if (t.name[0] != 0) to.escaped(t.name, 60), to.put(' ');
  to.put(id_of(t));
  to.put("  ");
  seeing::short_writer does(text);
  seeing::put_doing(does, t, from.loops());
  to.escaped(does.text(), 200);
  if (t.made_line != 0) {
    to.put("  made at ");
    to.escaped(t.made_file, 200);
    to.put(':');
    to.number(t.made_line);
  }
  to.put('\n');
}

/// A recursion stands in one line, however deep.
void put_frames(output& to, const std::vector<frame>& chain, sight& from) {
  for (std::size_t i = 0; i < chain.size();) {
    std::size_t same = i + 1;
    while (same < chain.size() && chain[same].resume == chain[i].resume &&
           chain[same].place == chain[i].place)
      ++same;
    to.put('#');
    to.number(i);
    to.column(4);
    to.escaped(from.names().frame({chain[i].resume, chain[i].place, 1}), 160);
    if (same - i > 1) {
      to.put(" x ");
      to.number(same - i);
    }
    to.put("  (frame ");
    put_address(to, chain[i].at);
    to.put(")\n");
    i = same;
  }
}

void put_json(output& to, const task_view& t, const std::vector<frame>& chain, sight& from) {
  char text[256];
  to.put("{\"id\": ");
  to.json(id_of(t));
  to.put(", \"name\": ");
  to.json(t.name);
  to.put(", \"does\": ");
  seeing::short_writer does(text);
  seeing::put_doing(does, t, from.loops());
  to.json(does.text());
  to.put(", \"frames\": [");
  for (std::size_t i = 0; i < chain.size(); ++i) {
    to.put(i == 0 ? "{\"function\": " : ", {\"function\": ");
    const seeing::frame_run run{chain[i].resume, chain[i].place, 1};
    to.json(from.names().function(run));
    if (const auto* place = from.names().place(run)) {
      to.put(", \"file\": ");
      to.json(place->file);
      to.put(", \"line\": ");
      to.number(place->line);
    }
    for (const auto& [key, value] : {std::pair(", \"frame\": \"", chain[i].at),
                                     std::pair("\", \"resume\": \"", chain[i].resume)}) {
      to.put(key);
      put_address(to, value);
    }
    to.put("\"}");
  }
  to.put("]}\n");
}

void put(output& to, const options& o, const task_view& t, const std::vector<frame>& chain,
         sight& from) {
  if (o.json) return put_json(to, t, chain, from);
  put_head(to, t, from);
  put_frames(to, chain, from);
}

/// The task that the thread runs; what is not a loop's thread, or runs none, is told.
int print_running(const options& o, target& t) {
  sight& s = t.see();
  const seeing::loop_view* loop = nullptr;
  for (std::size_t i = 0; i < s.loops().size(); ++i)
    if (std::to_string(s.loops()[i].thread) == o.thread) loop = &s.loops()[i];
  const auto view = std::make_unique<task_view>();
  if (!loop || loop->current == 0 || !s.tasks().look_at(loop->current, *view)) {
    std::fprintf(stderr, "heddle: thread %s %s\n", o.thread.c_str(),
                 loop ? "is a loop, and runs no task just now" : "is no loop of heddle");
    return nothing;
  }
  const auto chain = chain_among(s, loop->current, words_in(o.words));
  output to(STDOUT_FILENO);
  put(to, o, *view, chain, s);
  return good;
}

struct search {
  const options& o;
  std::vector<task_view> found = {};
};

int print_frames(const options& o, target& t) {
  if (!o.thread.empty()) return print_running(o, t);
  sight& s = t.see();
  search all{o};
  const bool whole = s.tasks().each(
      [](void* c, const task_view& view) {
        auto& here = *static_cast<search*>(c);
        if (is_meant(here.o, view)) here.found.push_back(view);
        return true;
      },
      &all);
  if (!whole)
    if (const int r = t.broke_off(); r != good) return r;
  output to(STDOUT_FILENO);
  for (const auto& view : all.found) {
    std::uint64_t resume = 0;
    (void)s.what().load(s.what().mem(), view.at, s.what().at().resume, resume);
    constexpr std::uint64_t tags = 3;
    std::vector<frame> chain;
    if (view.what == seeing::doing::waits || view.what == seeing::doing::not_started)
      chain =
          chain_from(s, view.at, resume & ~tags, false, view.runs != 0 ? view.frames[0].place : 0);
    put(to, o, view, chain, s);
  }
  to.flush();
  if (!all.found.empty()) return good;
  std::fprintf(stderr, "heddle: there is no task %s\n", o.task.c_str());
  return nothing;
}

}  // namespace

int backtrace(const options& o) {
  if (o.task.empty() && o.thread.empty()) {
    std::fputs("heddle: bt of which task?\nheddle bt PROCESS TASK; heddle ps lists them.\n",
               stderr);
    return usage;
  }
  return for_each_target(o, &print_frames);
}

}  // namespace tool
