// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: which task awaits which.
#pragma once

#include <heddle/core/seeing/report.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace tool {

/// A task or strand, as text; whom it awaits, and who made it.
struct node {
  std::string id;
  std::string name;
  std::string does;
  std::string chain;
  bool is_strand = false;
  std::uint64_t record = 0;
  std::uint64_t by = 0;  // the record of the task that made it
  std::string by_id;     // empty: not known
  bool maker_lives = false;
  std::vector<std::uint64_t> awaited;  // records, until link() has made numbers of them
  std::vector<std::size_t> below;      // nodes that this one awaits
  std::vector<std::size_t> above;      // nodes that await this one
};

/// All tasks of a program. Each stands under the first that awaits it, and one that nobody awaits
/// under the task that made it. Those that await each other in a circle have no top: one of them is
/// taken.
class forest {
 public:
  void add(const heddle::detail::seeing::task_view& task, heddle::detail::seeing::sight& from,
           bool all_frames);
  /// After all were added.
  void link();
  /// Prints them; true: there is a circle.
  bool put(heddle::detail::seeing::output& to);

  [[nodiscard]] std::size_t size() const { return nodes_.size(); }

 private:
  struct step {
    std::size_t node;
    std::size_t next = 0;     // the place in `below` to go on with
    std::string indent = {};  // of those below
  };
  enum class mark : unsigned char { unseen, on_path, printed };

  void link_makers(const std::unordered_map<std::uint64_t, std::size_t>& place);
  [[nodiscard]] bool is_above(std::size_t upper, std::size_t lower) const;
  bool put_from(heddle::detail::seeing::output& to, std::size_t top);
  void put_line(heddle::detail::seeing::output& to, const node& n, std::size_t under) const;

  std::vector<node> nodes_;
  std::vector<mark> marks_;
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> strands_;
};

}  // namespace tool
