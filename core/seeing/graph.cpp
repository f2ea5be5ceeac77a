// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/graph.h>

namespace heddle::detail::seeing {
namespace {

std::size_t hash_of(address record) noexcept {
  return static_cast<std::size_t>((record / 32) * 0x9e3779b97f4a7c15u >> 20);
}

}  // namespace

std::uint32_t wait_graph::find(address record) const noexcept {
  for (std::size_t i = hash_of(record) % room_.places;; i = (i + 1) % room_.places) {
    const std::uint32_t at = room_.table[i];
    if (at == 0) return none;
    if (room_.nodes[at - 1].record == record) return at - 1;
  }
}

std::uint32_t wait_graph::node_of(address record) noexcept {
  std::size_t i = hash_of(record) % room_.places;
  for (; room_.table[i] != 0; i = (i + 1) % room_.places)
    if (room_.nodes[room_.table[i] - 1].record == record) return room_.table[i] - 1;
  if (node_count_ == room_.most_nodes) return none;
  auto& n = room_.nodes[node_count_];
  n = {};
  n.record = record;
  n.first_edge = none;
  room_.table[i] = static_cast<std::uint32_t>(++node_count_);
  return room_.table[i] - 1;
}

void wait_graph::add_edge(std::uint32_t from, address record, because why, bool exact) noexcept {
  if (from == none || record == 0 || edge_count_ == room_.most_edges) return;
  auto& e = room_.edges[edge_count_];
  e = {record, none, room_.nodes[from].first_edge, why, exact};
  room_.nodes[from].first_edge = static_cast<std::uint32_t>(edge_count_++);
}

bool wait_graph::add(const task_view& task, task_reader& from) noexcept {
  const auto at = node_of(task.at);
  if (at == none) return false;
  room_.nodes[at].number = task.number;
  room_.nodes[at].generation = task.generation;
  room_.nodes[at].gives_up_in = task.gives_up_in;
  if (task.is_strand)
    add_edge(node_of(task.below != 0 ? task.below : task.task), task.at, because::strand, true);
  if (task.what != doing::waits) return true;
  // A task whose strands have locked something without a record of their own stands for them too:
  // then it is not certain which of them holds the lock.
  if (task.owner != 0 && !task.owner_ended)
    add_edge(at, task.owner, because::holds, !task.owner_has_strands);
  if (task.target != 0) add_edge(at, task.target, because::awaited, true);
  struct context {
    wait_graph* graph;
    std::uint32_t at;
    bool exact;
  } c{this, at, !task.one_is_enough};
  from.each_member(
      task,
      [](void* to, address member) {
        auto& here = *static_cast<context*>(to);
        here.graph->add_edge(here.at, member, because::member, here.exact);
      },
      &c);
  return true;
}

void wait_graph::add_likely(address from, address to) noexcept {
  add_edge(find(from), to, because::mentions, false);
}

void wait_graph::link() noexcept {
  for (std::size_t i = 0; i < edge_count_; ++i) {
    auto& e = room_.edges[i];
    e.to = find(e.record);
    // A record that only others have named is no task that was seen.
    if (e.to != none && room_.nodes[e.to].number == 0) e.to = none;
  }
}

// Tarjan's strongly connected components, without recursion: tasks may await each other a million
// deep. `above` is the node that the search came from.
std::size_t wait_graph::find_circles(bool likely) noexcept {
  seen_ = 0;
  stack_ = none;
  for (std::size_t i = 0; i < node_count_; ++i) room_.nodes[i].seen = 0;
  for (std::size_t i = 0; i < node_count_; ++i) {
    const auto& n = room_.nodes[i];
    if (n.seen == 0 && n.first_edge != none && !(likely && n.circle != 0))
      search_from(static_cast<std::uint32_t>(i), likely);
  }
  if (!likely) exact_circles_ = circles_;
  return circles_;
}

void wait_graph::search_from(std::uint32_t root, bool likely) noexcept {
  auto* nodes = room_.nodes;
  const auto enter = [&](std::uint32_t i, std::uint32_t above) {
    auto& n = nodes[i];
    n.seen = n.low = ++seen_;
    n.above = above;
    n.edge = n.first_edge;
    n.below_on_stack = stack_;
    n.on_stack = true;
    stack_ = i;
  };
  enter(root, none);
  for (std::uint32_t here = root; here != none;) {
    auto& n = nodes[here];
    if (n.edge != none) {
      const auto& e = room_.edges[n.edge];
      n.edge = e.next;
      if (!counts(e, likely)) continue;
      auto& other = nodes[e.to];
      if (other.seen == 0) {
        enter(e.to, here);
        here = e.to;
      } else if (other.on_stack && other.seen < n.low) {
        n.low = other.seen;
      }
      continue;
    }
    if (n.low == n.seen) close(here, likely);
    here = n.above;
    if (here != none && n.low < nodes[here].low) nodes[here].low = n.low;
  }
}

// The nodes on the stack down to `top` reach each other.
void wait_graph::close(std::uint32_t top, bool likely) noexcept {
  auto* nodes = room_.nodes;
  bool is_circle = stack_ != top;
  if (!is_circle)
    each_edge(top,
              [&](const edge& e) { is_circle = is_circle || (e.to == top && counts(e, likely)); });
  if (is_circle) ++circles_;
  for (;;) {
    auto& n = nodes[stack_];
    const bool last = stack_ == top;
    stack_ = n.below_on_stack;
    n.on_stack = false;
    if (is_circle) n.circle = static_cast<std::uint32_t>(circles_);
    if (last) return;
  }
}

// A search in breadth, from the oldest task of the circle back to it. The queue is a list through
// below_on_stack, which no other search uses now.
std::size_t wait_graph::way_round(std::size_t number, std::uint32_t* to,
                                  std::size_t most) noexcept {
  auto* nodes = room_.nodes;
  const bool likely = number > exact_circles_;
  std::uint32_t start = none;
  for (std::size_t i = 0; i < node_count_; ++i) {
    nodes[i].from = none;
    nodes[i].below_on_stack = none;
    if (nodes[i].circle == number && (start == none || nodes[i].number < nodes[start].number))
      start = static_cast<std::uint32_t>(i);
  }
  if (start == none) return 0;
  std::uint32_t last = start, end = none;
  for (std::uint32_t here = start; here != none && end == none; here = nodes[here].below_on_stack)
    each_edge(here, [&](const edge& e) {
      if (end != none || !counts(e, likely) || nodes[e.to].circle != number) return;
      if (e.to == start) {
        end = here;
      } else if (nodes[e.to].from == none) {
        nodes[e.to].from = here;
        nodes[last].below_on_stack = e.to;
        last = e.to;
      }
    });
  std::size_t n = 0;
  for (std::uint32_t at = end; at != none; at = nodes[at].from) ++n;
  std::size_t place = n;
  for (std::uint32_t at = end; at != none; at = nodes[at].from)
    if (--place < most) to[place] = at;
  return n < most ? n : most;
}

const wait_graph::edge* wait_graph::between(std::uint32_t from, std::uint32_t to) const noexcept {
  const edge* best = nullptr;
  each_edge(from, [&](const edge& e) {
    if (e.to == to && (!best || (e.exact && !best->exact))) best = &e;
  });
  return best;
}

}  // namespace heddle::detail::seeing
