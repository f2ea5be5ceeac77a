// SPDX-License-Identifier: MIT
#include "forest.h"

#include <algorithm>
#include <string_view>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

constexpr std::size_t no_node = ~std::size_t{0};
constexpr std::size_t most_also = 8;      // other awaiters that are named
constexpr std::size_t most_indent = 240;  // bytes; what is deeper stands no further to the right

std::string chain_of(const task_view& task, symbols& names, bool all) {
  std::string chain;
  for (std::size_t i = 0; i < task.runs; ++i) {
    const char* name = names.function(task.frames[i].resume);
    // Of a chain that is the library's alone, the outermost call tells most.
    if (!all && is_of_library(name) && (i + 1 < task.runs || !chain.empty())) continue;
    if (!chain.empty()) chain += " < ";
    if (task.more_runs && i + 1 == task.runs) chain += "... < ";
    chain += name;
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
  marks_.assign(nodes_.size(), mark::unseen);
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
