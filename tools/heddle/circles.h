// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: who waits for whom among all tasks of a program, and the circles.
#pragma once

#include <heddle/core/seeing/circle.h>
#include <heddle/core/seeing/graph.h>
#include <heddle/core/seeing/sight.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace tool {

namespace seeing = heddle::detail::seeing;

/// The graph of a whole program, with room for all of its tasks.
class circles {
 public:
  /// So many records there ever were at one time.
  [[nodiscard]] static std::uint64_t records_of(seeing::sight& from);
  /// Reads all tasks. False: the list of records could not be read to its end.
  bool load(seeing::sight& from);
  /// Adds likely edges: pairs of records.
  void add_likely(std::uint64_t from, std::uint64_t to) { graph_->add_likely(from, to); }
  /// Finds the circles. Each is looked at twice more, with 20 ms in between: what was read while
  /// the program ran on is not taken for a circle. Once for each load().
  void find(seeing::sight& from, bool likely);

  struct circle {
    std::size_t number;  // in the graph
    bool likely;
    bool ends;  // a time-out around one of its tasks ends it
    std::vector<std::uint64_t> records;
    std::string name;  // of its first task: its own, or its id
  };
  [[nodiscard]] const std::vector<circle>& all() const { return all_; }
  /// How many tasks stand in circles that nothing ends.
  [[nodiscard]] std::size_t tasks_in_deadlocks() const;
  [[nodiscard]] seeing::wait_graph& graph() { return *graph_; }

 private:
  struct freed {
    void operator()(void* p) const { std::free(p); }
  };
  template <class T>
  static std::unique_ptr<T, freed> zeroed(std::size_t n) {
    return std::unique_ptr<T, freed>(static_cast<T*>(std::calloc(n, sizeof(T))));
  }
  [[nodiscard]] bool is_sound(const std::vector<std::uint32_t>& way) const;
  bool stands(seeing::sight& from, const std::vector<std::uint32_t>& way);

  std::unique_ptr<seeing::wait_graph::node, freed> nodes_;
  std::unique_ptr<seeing::wait_graph::edge, freed> edges_;
  std::unique_ptr<std::uint32_t, freed> table_;
  std::unique_ptr<seeing::wait_graph> graph_;
  std::vector<circle> all_;
};

/// "! 2 tasks in a deadlock: heddle why lobby>games", or nothing.
[[nodiscard]] std::string headline(const circles& c);
/// The id of a task, and its name.
[[nodiscard]] std::string id_of(const seeing::task_view& task);

}  // namespace tool
