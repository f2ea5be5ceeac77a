// SPDX-License-Identifier: MIT
#include "circles.h"

#include <heddle/core/seeing/report.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

constexpr std::size_t most_told = 50;  // tasks of one circle
constexpr int further_looks = 2;
constexpr auto between_looks = std::chrono::milliseconds(20);

/// True: the edge from `task` to `next`, which was found before, is there now.
bool leads_to(const task_view& task, address next, because why, sight& from) {
  switch (why) {
    case because::holds: return task.owner == next && !task.owner_ended;
    case because::awaited: return task.target == next;
    case because::member: {
      struct context {
        address wanted;
        bool found = false;
      } c{next};
      from.tasks().each_member(
          task,
          [](void* to, address member) {
            auto& here = *static_cast<context*>(to);
            here.found = here.found || member == here.wanted;
          },
          &c);
      return c.found;
    }
    case because::strand:
    case because::mentions: return true;
  }
  return false;
}

}  // namespace

std::string id_of(const task_view& task) {
  char text[40];
  short_writer id(text);
  put_id(id, task.number, task.generation);
  return text;
}

std::uint64_t circles::records_of(sight& from) {
  // The newest chunk has the highest number.
  const auto& at = from.what().at();
  std::uint64_t newest = 0, number = 0;
  if (!from.what().mem().get(from.what().record_chunks(), newest) || newest == 0 ||
      !from.what().load(from.what().mem(), newest, at.chunk_number, number))
    return 0;
  const std::size_t each = (at.chunk.size - at.chunk_records.at) / at.record.size;
  return (std::min<std::uint64_t>(number, 1u << 20) + 1) * each;
}

bool circles::load(sight& from) {
  constexpr std::size_t spare = 4096;  // for records that come meanwhile
  const auto most = static_cast<std::size_t>(records_of(from)) + spare;
  std::size_t places = 1;
  while (places < 2 * most) places *= 2;
  const std::size_t most_edges = 8 * most;
  nodes_ = zeroed<wait_graph::node>(most);
  edges_ = zeroed<wait_graph::edge>(most_edges);
  table_ = zeroed<std::uint32_t>(places);
  if (!nodes_ || !edges_ || !table_) return false;
  graph_ = std::make_unique<wait_graph>(
      wait_graph::room{nodes_.get(), most, edges_.get(), most_edges, table_.get(), places});
  struct context {
    wait_graph& graph;
    sight& from;
  } c{*graph_, from};
  const bool whole = from.tasks().each(
      [](void* to, const task_view& task) {
        auto& here = *static_cast<context*>(to);
        (void)here.graph.add(task, here.from.tasks());
        return true;
      },
      &c);
  graph_->link();
  return whole;
}

bool circles::stands(sight& from, const std::vector<std::uint32_t>& way) {
  for (std::size_t i = 0; i < way.size(); ++i) {
    const auto here = way[i], next = way[(i + 1) % way.size()];
    const auto& n = graph_->at(here);
    const auto* e = graph_->between(here, next);
    task_view now;
    if (!e || !from.tasks().look_at(n.record, now) || now.generation != n.generation) return false;
    if (e->why != because::strand && now.what != doing::waits) return false;
    if (!leads_to(now, graph_->at(next).record, e->why, from)) return false;
  }
  return true;
}

// A likely circle has to go through a lock, or through two likely edges. With one such edge alone
// it would be told of each task that has made a queue, and awaits those that use the queue.
bool circles::is_sound(const std::vector<std::uint32_t>& way) const {
  std::size_t locks = 0, likely = 0;
  for (std::size_t i = 0; i < way.size(); ++i) {
    const auto* e = graph_->between(way[i], way[(i + 1) % way.size()]);
    if (!e) return false;
    locks += e->why == because::holds ? 1 : 0;
    likely += e->exact ? 0 : 1;
  }
  return likely == 0 || locks != 0 || likely > 1;
}

void circles::find(sight& from, bool likely) {
  all_.clear();
  if (!graph_) return;
  graph_->link();
  (void)graph_->find_circles(false);
  const std::size_t n = likely ? graph_->find_circles(true) : graph_->circles();
  struct candidate {
    std::size_t number;
    std::vector<std::uint32_t> way;
  };
  std::vector<candidate> found;
  for (std::size_t i = 1; i <= n; ++i) {
    std::vector<std::uint32_t> way(most_told);
    way.resize(graph_->way_round(i, way.data(), way.size()));
    if (!way.empty() && is_sound(way)) found.push_back({i, std::move(way)});
  }
  for (int look = 0; look < further_looks && !found.empty(); ++look) {
    std::this_thread::sleep_for(between_looks);
    std::erase_if(found, [&](const candidate& c) { return !stands(from, c.way); });
  }
  for (const auto& c : found) {
    circle one{c.number, c.number > graph_->exact_circles(), false, {}, {}};
    for (const auto node : c.way) {
      task_view task;
      if (!from.tasks().look_at(graph_->at(node).record, task)) continue;
      one.records.push_back(task.at);
      one.ends = one.ends || task.gives_up_in != 0;
      if (one.name.empty()) one.name = task.name[0] != 0 ? task.name : id_of(task);
    }
    all_.push_back(std::move(one));
  }
}

std::size_t circles::tasks_in_deadlocks() const {
  std::size_t n = 0;
  for (const auto& c : all_)
    if (!c.likely && !c.ends) n += c.records.size();
  return n;
}

std::string headline(const circles& c) {
  const auto n = c.tasks_in_deadlocks();
  if (n == 0) return {};
  const auto first = std::find_if(c.all().begin(), c.all().end(),
                                  [](const auto& one) { return !one.likely && !one.ends; });
  return "! " + std::to_string(n) + (n == 1 ? " task" : " tasks") + " in a deadlock: heddle why " +
         first->name;
}

}  // namespace tool
