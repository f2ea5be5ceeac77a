// SPDX-License-Identifier: MIT
#include "forest.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

constexpr std::size_t no_node = ~std::size_t{0};
constexpr std::size_t most_also = 8;      // other awaiters that are named
constexpr std::size_t most_indent = 240;  // bytes; what is deeper stands no further to the right

std::string chain_of(const task_view& task, symbols& names, bool all) {
  std::string chain;
  for (std::size_t i = 0; i < task.runs; ++i) {
    // Of a chain that is the library's alone, the outermost call tells most.
    if (!all && is_of_library(names.function(task.frames[i])) &&
        (i + 1 < task.runs || !chain.empty()))
      continue;
    if (!chain.empty()) chain += " < ";
    if (task.more_runs && i + 1 == task.runs) chain += "... < ";
    chain += names.frame(task.frames[i]);
    if (task.frames[i].count > 1) chain += " x " + std::to_string(task.frames[i].count);
  }
  return chain;
}

}  // namespace

void forest::add(const task_view& task, sight& from, bool all_frames) {
  node n;
  char text[256];
  short_writer id(text);
  put_id(id, task.number, task.generation);
  n.id = text;
  n.name = task.name;
  short_writer does(text);
  put_doing(does, task, from.loops());
  n.does = text;
  n.chain = chain_of(task, from.names(), all_frames);
  n.is_strand = task.is_strand;
  n.record = task.at;
  if (task.by_number != 0) {
    n.by = task.by;
    short_writer by(text);
    put_id(by, task.by_number, task.by_generation);
    n.by_id = text;
  }
  if (task.target != 0) n.awaited.push_back(task.target);
  from.tasks().each_member(
      task,
      [](void* to, address member) {
        static_cast<std::vector<std::uint64_t>*>(to)->push_back(member);
      },
      &n.awaited);
  if (task.is_strand) strands_[task.below != 0 ? task.below : task.task].push_back(task.at);
  nodes_.push_back(std::move(n));
}

void forest::link() {
  // The records are read from the newest to the oldest; people begin with the oldest.
  std::reverse(nodes_.begin(), nodes_.end());
  std::unordered_map<std::uint64_t, std::size_t> place;
  for (std::size_t i = 0; i < nodes_.size(); ++i) place[nodes_[i].record] = i;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    auto targets = std::move(nodes_[i].awaited);
    if (const auto own = strands_.find(nodes_[i].record); own != strands_.end())
      targets.insert(targets.end(), own->second.begin(), own->second.end());
    for (const auto record : targets) {
      const auto at = place.find(record);
      if (at == place.end()) continue;
      auto& above = nodes_[at->second].above;
      if (!above.empty() && above.back() == i) continue;  // it is named twice
      nodes_[i].below.push_back(at->second);
      above.push_back(i);
    }
  }
  link_makers(place);
  marks_.assign(nodes_.size(), mark::unseen);
}

// A task may await the one that made it. Under its maker it would close a circle that is none.
void forest::link_makers(const std::unordered_map<std::uint64_t, std::size_t>& place) {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    auto& n = nodes_[i];
    if (!n.above.empty() || n.by_id.empty()) continue;
    const auto at = place.find(n.by);
    n.maker_lives = at != place.end() && nodes_[at->second].id == n.by_id;
    if (!n.maker_lives || is_above(i, at->second)) continue;
    nodes_[at->second].below.push_back(i);
    n.above.push_back(at->second);
  }
}

/// True: `lower` is below `upper`, or too much is above `lower` to tell.
bool forest::is_above(std::size_t upper, std::size_t lower) const {
  constexpr std::size_t most = 4096;
  std::vector<std::size_t> all{lower};
  std::unordered_set<std::size_t> seen{lower};
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] == upper || all.size() > most) return true;
    for (const auto other : nodes_[all[i]].above)
      if (seen.insert(other).second) all.push_back(other);
  }
  return false;
}

void forest::put_line(output& to, const node& n, std::size_t under) const {
  if (n.is_strand)
    to.put("(strand) ");
  else if (!n.name.empty())
    to.escaped(n.name, 60), to.put(' ');
  to.put(n.id);
  to.put("  ");
  to.escaped(n.does, 200);
  if (!n.chain.empty()) {
    to.put("  ");
    to.escaped(n.chain, 2000);
  }
  if (n.above.empty() && !n.by_id.empty()) {
    to.put("  made by ");
    to.put(n.by_id);
    if (!n.maker_lives) to.put(" (ended)");
  }
  std::size_t told = 0;
  for (const auto other : n.above) {
    if (other == under) continue;
    if (told++ == most_also) {
      to.put(" and others");
      break;
    }
    to.put(told == 1 ? (under == no_node ? "  awaited by " : "  also awaited by ") : ", ");
    to.put(nodes_[other].id);
  }
  to.put('\n');
}

// With a path of its own, and not by recursion: tasks may await each other a million deep.
bool forest::put_from(output& to, std::size_t top) {
  bool circle = false;
  std::vector<step> path;
  put_line(to, nodes_[top], no_node);
  marks_[top] = mark::on_path;
  path.push_back({top});
  while (!path.empty()) {
    auto& here = path.back();
    const auto& below = nodes_[here.node].below;
    if (here.next == below.size()) {
      marks_[here.node] = mark::printed;
      path.pop_back();
      continue;
    }
    const std::size_t child = below[here.next++];
    const bool last = here.next == below.size();
    if (marks_[child] == mark::printed) continue;  // under another one, which it names
    to.put(here.indent);
    to.put(last ? "└─ " : "├─ ");
    if (marks_[child] == mark::on_path) {
      to.put(nodes_[child].id);
      to.put("  <- the circle closes\n");
      circle = true;
      continue;
    }
    put_line(to, nodes_[child], here.node);
    marks_[child] = mark::on_path;
    std::string indent = here.indent;
    if (indent.size() < most_indent) indent += last ? "   " : "│  ";
    path.push_back({child, 0, std::move(indent)});
  }
  return circle;
}

bool forest::put(output& to) {
  bool circle = false;
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i].above.empty()) circle = put_from(to, i) || circle;
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (marks_[i] == mark::unseen) circle = put_from(to, i) || circle;
  return circle;
}

}  // namespace tool
