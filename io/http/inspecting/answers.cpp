// SPDX-License-Identifier: MIT
#include <heddle/io/http/inspecting/answers.h>

#include <heddle/core/seeing/json.h>
#include <heddle/core/seeing/stalls.h>
#include <heddle/io/http/inspecting/picture.h>
#include <heddle/sched/metrics.h>
#include <heddle/sched/stalls.h>

#include <nlohmann/json.hpp>

#include <fstream>
#include <memory>
#include <stdexcept>
#include <string_view>

namespace heddle::http::detail {

namespace seeing = heddle::detail::seeing;
using json = nlohmann::ordered_json;

namespace {

constexpr std::size_t most_also = 8;  // others that wait for a task, in a line of text

/// For the heap: it is large.
std::unique_ptr<seeing::sight> own_sight() {
  auto s = std::make_unique<seeing::sight>(0);
  switch (s->open()) {
    case seeing::opening::good: return s;
    case seeing::opening::refused:
      throw std::runtime_error("this process may not read its own memory");
    default: throw std::runtime_error("this process has no layout that its reader understands");
  }
}

double in_ms(std::uint64_t ns) { return static_cast<double>(ns) / 1e6; }

std::string own_command() {
  std::string name;
  std::ifstream in("/proc/self/comm");
  std::getline(in, name);
  return name;
}

/// Names may hold any bytes: those that are no UTF-8 are replaced.
std::string dumped(const json& j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

/// For a line of text: no name can end it, or move the cursor of a terminal.
void put_printable(std::string& to, std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte != 0x7f)
      to += c;
    else
      to += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  }
}

void put_line(std::string& to, const picture& all, const tree_line& line) {
  const auto& t = all.tasks[line.task];
  to.append(2 * line.depth, ' ');
  if (line.closes) {
    to += t.id + "  <- the circle closes\n";
    return;
  }
  if (t.is_strand) to += "(strand) ";
  if (!t.name.empty()) put_printable(to, t.name), to += ' ';
  to += t.id + "  ";
  put_printable(to, t.does);
  if (!t.at.empty()) to += "  ", put_printable(to, t.at);
  if (!t.made.empty()) to += "  made ", put_printable(to, t.made);
  for (std::size_t i = 0; i < line.also.size() && i < most_also; ++i)
    to += (i == 0 ? "  also awaited by " : ", ") + all.tasks[line.also[i]].id;
  if (line.also.size() > most_also) to += " and others";
  to += '\n';
}

json task_json(const seen_task& t) {
  return {{"id", t.id},     {"kind", t.is_strand ? "strand" : "task"},
          {"name", t.name}, {"state", t.state},
          {"does", t.does}, {"at", t.at},
          {"made", t.made}};
}

}  // namespace

std::string tasks_json(std::size_t most) {
  struct context {
    std::string text = {};
    std::unique_ptr<seeing::sight> from = own_sight();
    std::size_t most = 0;
    std::uint64_t count = 0;
    seeing::output* to = nullptr;
    bool failed = false;
  } c;
  c.most = most;
  seeing::output to(
      [](void* context_of, std::string_view piece) noexcept {
        auto& here = *static_cast<context*>(context_of);
        try {
          here.text += piece;
        } catch (const std::bad_alloc&) { here.failed = true; }
        return !here.failed;
      },
      &c);
  c.to = &to;
  (void)c.from->look_at_loops();
  seeing::put_json_head(to, *c.from, own_command());
  (void)c.from->tasks().each(
      [](void* context_of, const seeing::task_view& t) {
        auto& here = *static_cast<context*>(context_of);
        if (here.count++ < here.most)
          seeing::put_json_task(*here.to, t, *here.from, here.count == 1);
        return !here.failed;
      },
      &c);
  if (c.count > c.most) {
    to.put("],\n \"left_out\": ");
    to.number(c.count - c.most);
    to.put("}\n");
  } else {
    seeing::put_json_end(to);
  }
  to.flush();
  if (c.failed) throw std::bad_alloc();
  return std::move(c.text);
}

std::string graph_json(std::size_t most) {
  const auto all = take_picture(*own_sight(), most);
  json out = {{"schema", 1}};
  auto& tasks = out["tasks"] = json::array();
  for (const auto& t : all.tasks) tasks.push_back(task_json(t));
  auto& edges = out["edges"] = json::array();
  for (const auto& e : all.edges)
    edges.push_back({{"from", e.from}, {"to", e.to}, {"only", e.is_only}, {"lock", e.is_lock}});
  auto& circles = out["circles"] = json::array();
  for (const auto& c : all.circles)
    circles.push_back({{"tasks", c.tasks}, {"deadlock", c.is_deadlock}});
  out["left_out"] = all.left_out;
  out["whole"] = all.is_whole;
  return dumped(out);
}

std::string tree_text(std::size_t most) {
  const auto all = take_picture(*own_sight(), most);
  std::string text;
  for (const auto& line : tree_of(all)) put_line(text, all, line);
  if (all.left_out != 0) text += "and " + std::to_string(all.left_out) + " more\n";
  if (!all.is_whole) text += "the list of records could not be read to its end\n";
  return text;
}

std::string tree_json(std::size_t most) {
  const auto all = take_picture(*own_sight(), most);
  json out = {{"schema", 1}};
  auto& lines = out["lines"] = json::array();
  for (const auto& line : tree_of(all)) {
    auto one = task_json(all.tasks[line.task]);
    one["depth"] = line.depth;
    one["closes"] = line.closes;
    auto& also = one["also"] = json::array();
    for (const auto other : line.also) also.push_back(all.tasks[other].id);
    lines.push_back(std::move(one));
  }
  out["left_out"] = all.left_out;
  out["whole"] = all.is_whole;
  return dumped(out);
}

// The list is that of the watch; the histogram of the loops knows of steps below its limit too.
std::string stalls_json() {
  duration_histogram steps;
  for (const auto& r : measure_runtimes()) steps += r.step();
  const auto table = std::make_unique<seeing::stalls_view>();
  const bool is_watched = table->load(own_sight()->what()) && table->table().limit != 0;
  json out = {{"schema", 1}, {"watched", is_watched}};
  out["limit_ms"] = is_watched ? in_ms(table->table().limit) : 0.0;
  out["longest_step_ms"] = in_ms(static_cast<std::uint64_t>(steps.percentile(1).count()));
  auto& list = out["stalls"] = json::array();
  for (const auto& s : stalls())
    list.push_back({{"count", s.count},
                    {"longest_ms", in_ms(static_cast<std::uint64_t>(s.longest.count()))},
                    {"total_ms", in_ms(static_cast<std::uint64_t>(s.total.count()))},
                    {"task", s.task},
                    {"stack", s.where},
                    {"lasts", s.lasts}});
  return dumped(out);
}

}  // namespace heddle::http::detail
