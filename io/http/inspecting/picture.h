// SPDX-License-Identifier: MIT
// Internal to io.
// The tasks of this process as its own reader sees them (core/seeing), and which waits for which.
#pragma once

#include <heddle/core/seeing/sight.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace heddle::http::detail {

struct seen_task {
  std::string id;    // "#132.4"
  std::string name;  // as its maker chose it: anything may stand in it
  std::string state;
  std::string does;  // "queue.get 0/4"
  std::string at;    // a function
  std::string made;  // "chat.cpp:58", or empty
  bool is_strand = false;
  std::uint64_t number = 0;
  std::uint64_t record = 0;
  std::uint64_t parent = 0;                 // strands: the record that they were forked under
  std::vector<std::uint64_t> awaited = {};  // records, also of what is no task
  bool awaits_one = false;                  // the first of `awaited` is all that it waits for
  std::uint64_t holder = 0;                 // the record that holds the lock that it waits for
  bool holder_is_exact = false;             // else the holder may be a strand of that task
};

/// Places in picture::tasks.
struct wait_edge {
  std::size_t from = 0;
  std::size_t to = 0;
  bool is_only = false;  // `from` goes on when `to` ends, or unlocks, and not before
  bool is_lock = false;  // `to` holds the lock that `from` waits for
};

struct wait_circle {
  std::vector<std::size_t> tasks = {};  // each waits for the next one, the last for the first
  bool is_deadlock = false;             // by edges that are the only ones of their tasks
};

/// A task in the order of the tree: each stands under the first task that awaits it. Locks make no
/// tree.
struct tree_line {
  std::size_t task = 0;
  std::size_t depth = 0;
  bool closes = false;                 // it stands further up already: a circle
  std::vector<std::size_t> also = {};  // others that wait for it
};

struct picture {
  std::vector<seen_task> tasks = {};  // in the order of their numbers
  std::vector<wait_edge> edges = {};
  std::vector<wait_circle> circles = {};
  std::uint64_t left_out = 0;  // tasks beyond the limit
  bool is_whole = true;        // false: the list of records could not be read to its end
};

/// Looks at all tasks, and keeps the first `most`. Not for a loop: a microsecond or two for each
/// task. Throws std::bad_alloc.
[[nodiscard]] picture take_picture(heddle::detail::seeing::sight& from, std::size_t most);
[[nodiscard]] std::vector<tree_line> tree_of(const picture& all);

}  // namespace heddle::http::detail
