// SPDX-License-Identifier: MIT
// Internal to core.
// Who waits for whom: tasks as nodes, and circles among them.
//
// An edge is exact if the task cannot go on before the other one has done something that the reader
// knows for certain: it holds the lock, it is the target, it is a member that all have to end, or a
// strand below. A likely edge was found by a pointer in a frame, or leads to one of several that
// are enough. Only a circle of exact edges is a deadlock.
//
// The room comes from the caller, so that a program can use this on itself without malloc.
#pragma once

#include <heddle/core/seeing/tasks.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

enum class because : std::uint8_t {
  holds,    // it holds the lock
  awaited,  // it is the target
  member,   // of a gather, a group, a wait
  strand,   // a strand below
  mentions  // its frame points at what is waited in
};

class wait_graph {
 public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  struct node {
    address record;
    std::uint64_t number;
    std::uint32_t generation;
    std::uint32_t first_edge;
    std::uint32_t circle;  // its number from 1, if it stands in one; 0: in none
    std::uint64_t gives_up_in;
    // For the search.
    std::uint32_t seen, low, above, edge, below_on_stack, from;
    bool on_stack;
  };
  struct edge {
    address record;  // where it leads to; link() makes a node's number of it
    std::uint32_t to;
    std::uint32_t next;  // of the same node
    because why;
    bool exact;
  };
  /// Zeroed memory. `places`: a power of two, twice the nodes or more.
  struct room {
    node* nodes;
    std::size_t most_nodes;
    edge* edges;
    std::size_t most_edges;
    std::uint32_t* table;
    std::size_t places;
  };

  explicit wait_graph(const room& in) noexcept : room_(in) {}
  wait_graph(const wait_graph&) = delete;

  /// False: there is no room, and the task is left out.
  bool add(const task_view& task, task_reader& from) noexcept;
  /// A likely edge between two records.
  void add_likely(address from, address to) noexcept;
  /// After all were added, and again after likely edges were added.
  void link() noexcept;
  /// Numbers the circles of exact edges, or, `likely`, those that need likely edges too and hold
  /// no task that stands in one already. Returns how many there are now.
  std::size_t find_circles(bool likely) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return node_count_; }
  [[nodiscard]] const node& at(std::size_t i) const noexcept { return room_.nodes[i]; }
  [[nodiscard]] std::uint32_t find(address record) const noexcept;
  [[nodiscard]] std::size_t circles() const noexcept { return circles_; }
  /// The circles from this number on need likely edges.
  [[nodiscard]] std::size_t exact_circles() const noexcept { return exact_circles_; }
  /// The shortest way round circle `number`, from its oldest task. Returns how many nodes it has.
  std::size_t way_round(std::size_t number, std::uint32_t* to, std::size_t most) noexcept;
  /// The edge from node `from` to node `to`, or nullptr.
  [[nodiscard]] const edge* between(std::uint32_t from, std::uint32_t to) const noexcept;
  template <class F>
  void each_edge(std::uint32_t of, F&& see) const {
    for (std::uint32_t e = room_.nodes[of].first_edge; e != none; e = room_.edges[e].next)
      see(room_.edges[e]);
  }

 private:
  void add_edge(std::uint32_t from, address record, because why, bool exact) noexcept;
  [[nodiscard]] std::uint32_t node_of(address record) noexcept;
  void search_from(std::uint32_t root, bool likely) noexcept;
  void close(std::uint32_t top, bool likely) noexcept;
  [[nodiscard]] bool counts(const edge& e, bool likely) const noexcept {
    return e.to != none && (likely || e.exact) &&
           (!likely || room_.nodes[e.to].circle == 0 || room_.nodes[e.to].circle > exact_circles_);
  }

  room room_;
  std::size_t node_count_ = 0;
  std::size_t edge_count_ = 0;
  std::size_t circles_ = 0;
  std::size_t exact_circles_ = 0;
  std::uint32_t seen_ = 0;
  std::uint32_t stack_ = none;
};

}  // namespace heddle::detail::seeing
