// SPDX-License-Identifier: MIT
#include <heddle/sched/simulation/circles.h>

#include <heddle/core/seeing/circle.h>
#include <heddle/core/seeing/graph.h>
#include <heddle/core/seeing/sight.h>
#include <heddle/sched/runtime/introspect.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace heddle::detail {

using namespace seeing;

namespace {

constexpr std::size_t most_nodes = 4096;
constexpr std::size_t most_edges = 4 * most_nodes;
constexpr std::size_t table_places = 4 * most_nodes;
constexpr std::size_t most_told = 50;

task_record& record_at(address at) noexcept { return *reinterpret_cast<task_record*>(at); }

std::string line_of(world& w, sight& from, const wait_graph& graph,
                    const std::vector<std::uint32_t>& way) {
  std::string text =
      "\n  DEADLOCK of " + std::to_string(way.size()) + (way.size() == 1 ? " task: " : " tasks: ");
  for (std::size_t i = 0; i < way.size(); ++i) {
    task_view task;
    auto& record = record_at(graph.at(way[i]).record);
    if (!from.tasks().look_at(graph.at(way[i]).record, task)) return {};
    const auto* e = graph.between(way[i], way[(i + 1) % way.size()]);
    text += number_and_name(w, record.root()) + (i == 0 ? " waits in " : ", which waits in ") +
            task.waits_in + ", " + (e ? relation(e->why) : "");
  }
  return text + number_and_name(w, record_at(graph.at(way.front()).record).root());
}

}  // namespace

std::string circles_of(world& w, bool (*knows)(const world& w, const task_record& t)) {
  const auto from = std::make_unique<sight>(0);
  if (from->open() != opening::good) return {};
  std::vector<wait_graph::node> nodes(most_nodes);
  std::vector<wait_graph::edge> edges(most_edges);
  std::vector<std::uint32_t> table(table_places);
  wait_graph graph(
      {nodes.data(), most_nodes, edges.data(), most_edges, table.data(), table_places});
  struct context {
    world& w;
    bool (*knows)(const world& w, const task_record& t);
    wait_graph& graph;
    sight& from;
  } c{w, knows, graph, *from};
  (void)from->tasks().each(
      [](void* p, const task_view& task) {
        auto& here = *static_cast<context*>(p);
        if (!here.knows(here.w, record_at(task.at).root())) return true;
        return here.graph.add(task, here.from.tasks());
      },
      &c);
  graph.link();
  std::vector<std::string> lines;
  for (std::size_t i = 1, n = graph.find_circles(false); i <= n; ++i) {
    std::vector<std::uint32_t> way(most_told);
    way.resize(graph.way_round(i, way.data(), way.size()));
    if (way.empty()) continue;
    // From the task with the lowest number of the world: where records stand no seed decides.
    const auto number = [&](std::uint32_t node) {
      return w.number_of(record_at(graph.at(node).record).root());
    };
    std::rotate(way.begin(),
                std::min_element(way.begin(), way.end(),
                                 [&](auto a, auto b) { return number(a) < number(b); }),
                way.end());
    lines.push_back(line_of(w, *from, graph, way));
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const auto& line : lines) text += line;
  return text;
}

}  // namespace heddle::detail
