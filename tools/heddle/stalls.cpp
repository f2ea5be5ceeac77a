// SPDX-License-Identifier: MIT
#include "stalls.h"

#include "processes.h"
#include "source_lines.h"
#include "target.h"

#include <heddle/core/seeing/json.h>
#include <heddle/core/seeing/report.h>
#include <heddle/core/seeing/stalls.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tool {
namespace {

using seeing::output;
using seeing::sight;
using seeing::stall_entry;
using seeing::stall_table;

std::uint64_t weight(const stall_entry& e) { return e.total + (e.loop != 0 ? e.lasted : 0); }

/// The heaviest first.
std::vector<const stall_entry*> sorted(const stall_table& table) {
  std::vector<const stall_entry*> all;
  for (const auto& e : table.entries)
    if (e.key != 0) all.push_back(&e);
  std::sort(all.begin(), all.end(), [](const stall_entry* a, const stall_entry* b) {
    return weight(*a) != weight(*b) ? weight(*a) > weight(*b) : a < b;
  });
  return all;
}

void put_length(output& to, std::uint64_t ns) {
  char text[32];
  seeing::short_writer length(text);
  seeing::put_length(length, ns);
  to.put(length.text());
}

void put_line(output& to, const stall_entry& e, seeing::symbols& names, bool all) {
  const std::string count = std::to_string(e.count);
  to.put(std::string(count.size() < 4 ? 4 - count.size() : 0, ' '));
  to.put(count);
  to.put(" x  longest ");
  put_length(to, e.longest);
  to.put("  total ");
  put_length(to, weight(e));
  to.column(42);
  char text[4096];
  seeing::short_writer task(text);
  seeing::put_stalled(task, e);
  to.escaped(task.text(), 200);
  seeing::short_writer stack(text);
  seeing::put_stack(stack, e, names, all);
  if (stack.size() != 0) to.put(": ");
  to.escaped(stack.text(), sizeof text);
  if (e.loop != 0) {
    to.put("  ! keeps loop ");
    to.number(e.loop_number);
    to.put(" for ");
    put_length(to, e.lasted);
  }
  to.put('\n');
}

/// A line for each function of the thread.
void put_functions(output& to, const stall_entry& e, sight& s, const source_lines& lines,
                   bool all) {
  for (std::uint32_t i = 0; i < e.frame_count; ++i) {
    const char* name = s.names().function(e.frames[i]);
    if (!all && seeing::is_of_library(name)) continue;
    to.put("        ");
    to.escaped(name, 120);
    to.column(48);
    to.escaped(lines.at(e.frames[i]), 200);
    to.put('\n');
  }
}

void put_text(output& to, target& t, const stall_table& table, const options& o) {
  sight& s = t.see();
  to.put(t.title());
  to.put("  ");
  to.escaped(t.command(), 15);
  if (table.limit == 0) {
    to.put("  nothing is watched (the stall limit is 0)");
  } else {
    to.put("  ");
    to.number(table.all);
    to.put(table.all == 1 ? " step" : " steps");
    to.put(" of more than ");
    put_length(to, table.limit);
  }
  to.put('\n');
  source_lines lines;
  if (o.lines)
    for (const auto& e : table.entries) lines.add(e.frames, e.frame_count);
  if (o.lines) lines.ask(s);
  for (const auto* e : sorted(table)) {
    put_line(to, *e, s.names(), o.all_frames);
    if (o.lines) put_functions(to, *e, s, lines, o.all_frames);
  }
  if (table.forgotten != 0) {
    to.number(table.forgotten);
    to.put(" more, of kinds that had the smallest sums and were forgotten\n");
  }
  if (table.standstills != 0) {
    to.put("the process stood still ");
    to.number(table.standstills);
    to.put(table.standstills == 1 ? " time, " : " times, at most ");
    put_length(to, table.longest_standstill);
    to.put(": it was stopped or suspended, or had no processor\n");
  }
}

/// The functions from the outermost to the innermost: those that await the task, then the thread's.
std::vector<std::string> outermost_first(const stall_entry& e, seeing::symbols& names, bool all) {
  std::vector<std::string> found;
  const auto add = [&](seeing::address at) {
    if (const char* name = names.function(at); all || !seeing::is_of_library(name))
      found.emplace_back(name);
  };
  for (std::uint32_t i = e.chain_count; i > (e.frame_count != 0 ? 1u : 0u); --i)
    add(e.chain[i - 1]);
  for (std::uint32_t i = e.frame_count; i > 0; --i) add(e.frames[i - 1]);
  if (e.call != 0) {
    const char* name = seeing::system_call_name(e.call - 1);
    found.push_back(name ? std::string("[") + name + "]"
                         : "[system call " + std::to_string(e.call - 1) + "]");
  }
  return found;
}

void put_folded(output& to, const stall_table& table, seeing::symbols& names, bool all) {
  for (const auto* e : sorted(table)) {
    const auto functions = outermost_first(*e, names, all);
    for (std::size_t i = 0; i < functions.size(); ++i) {
      if (i != 0) to.put(';');
      to.escaped(functions[i], 200);
    }
    if (functions.empty()) to.put("unknown");
    to.put(' ');
    to.number(std::max<std::uint64_t>(weight(*e) / 1'000'000, 1));
    to.put('\n');
  }
}

void put_json_stall(output& to, const stall_entry& e, seeing::symbols& names) {
  seeing::put_json_number(to, "count", e.count);
  to.put(", ");
  seeing::put_json_number(to, "longest_ns", e.longest);
  to.put(", ");
  seeing::put_json_number(to, "total_ns", weight(e));
  to.put(e.loop != 0 ? ", \"lasts\": true, " : ", \"lasts\": false, ");
  seeing::put_json_number(to, "loop", e.loop_number);
  to.put(", \"task\": ");
  if (e.number == 0) {
    to.put("null");
  } else {
    to.put('{');
    seeing::put_json_id(to, "id", e.number, e.generation);
    to.put(", ");
    seeing::put_json_text(to, "name", e.task);
    to.put('}');
  }
  to.put(", \"call\": ");
  if (e.call == 0) {
    to.put("null");
  } else {
    const char* name = seeing::system_call_name(e.call - 1);
    to.json(name ? name : std::to_string(e.call - 1));
  }
  to.put(", \"functions\": [");
  auto functions = outermost_first(e, names, true);
  for (std::size_t i = functions.size(); i > 0; --i) {
    if (i != functions.size()) to.put(", ");
    to.json(functions[i - 1]);
  }
  to.put(']');
}

void put_json(output& to, const target& t, const stall_table& table, sight& s) {
  to.put("{\"schema\": 1, ");
  seeing::put_json_number(to, "process", static_cast<std::uint64_t>(s.process()));
  to.put(", ");
  seeing::put_json_text(to, "command", t.command());
  to.put(", ");
  seeing::put_json_number(to, "limit_ns", table.limit);
  to.put(", ");
  seeing::put_json_number(to, "all", table.all);
  to.put(", ");
  seeing::put_json_number(to, "forgotten", table.forgotten);
  to.put(", ");
  seeing::put_json_number(to, "standstills", table.standstills);
  to.put(", ");
  seeing::put_json_number(to, "longest_standstill_ns", table.longest_standstill);
  to.put(", \"stalls\": [");
  bool first = true;
  for (const auto* e : sorted(table)) {
    to.put(std::exchange(first, false) ? "\n  {" : ",\n  {");
    put_json_stall(to, *e, s.names());
    to.put('}');
  }
  to.put("]}\n");
}

int list_stalls(const options& o, target& t) {
  sight& s = t.see();
  const auto view = std::make_unique<seeing::stalls_view>();
  if (!view->load(s.what()))
    return complain(s.process(), seeing::opening::incomplete,
                    "stalls of a shape that is known here");
  output to(STDOUT_FILENO);
  const auto& table = view->table();
  if (o.json)
    put_json(to, t, table, s);
  else if (o.folded)
    put_folded(to, table, s.names(), o.all_frames);
  else
    put_text(to, t, table, o);
  to.flush();
  return sorted(table).empty() ? nothing : good;
}

}  // namespace

int stalls(const options& o) { return for_each_target(o, &list_stalls); }

}  // namespace tool
