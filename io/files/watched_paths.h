// SPDX-License-Identifier: MIT
// Internal to io.
// The kernel's queue of changes (inotify), and which directory each of its numbers stands for.
//
// Problem   The kernel names a directory by the number of its watch, and never tells a whole path.
//           A move is two events with one cookie, perhaps apart, perhaps without the second. A
//           directory that comes new is not watched before we say so, and by then files may be in
//           it. The queue has an end, and what does not fit is lost.
// Chosen    A map from numbers to paths, which moves and removals change in the order of the queue.
//           The first half of a move holds up what comes behind it, for move_limit. A new
//           directory is watched first, and looked into then: so a name in it is told by the look,
//           by the kernel, or by both. `told_` holds what the look has told, until the queue was
//           found empty: then no event is left that is older than the look.
// Rejected  fanotify, which needs privileges for a tree. A watch of the file itself: that ends when
//           an editor puts a new file in its place, and tells nothing while others have it open.
// Costs     A watch of the kernel and a path for each directory.
//   Tested by  tests/conformance/io/file_watch.cpp
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/file_status.h>
#include <heddle/io/reactor/reactor.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

struct inotify_event;

namespace heddle::detail {

/// What a change is, without the words of the public header.
enum class path_change : std::uint8_t { created, modified, attributes, moved, removed, overflow };

struct path_event {
  path_change change = path_change::overflow;
  bool is_directory = false;
  std::string path;
  std::string from;
};

/// Belongs to one task, or to the job that this task waits for.
class watched_paths {
 public:
  /// Blocks. Throws as heddle::watch.
  watched_paths(std::string path, bool tree, duration move_limit);
  watched_paths(const watched_paths&) = delete;
  ~watched_paths();

  /// On a loop, once. Throws std::system_error, std::bad_alloc.
  void begin(reactor& home);
  [[nodiscard]] io_source& source() const noexcept { return *source_; }
  [[nodiscard]] source_name name() const noexcept { return name_; }

  // --- these do not block ---

  /// The next event, unless it still waits for the second half of its move.
  [[nodiscard]] std::optional<path_event> take();
  /// Reads what the kernel has queued. False: nothing.
  bool fetch();
  /// True: call look() on a file thread before take().
  [[nodiscard]] bool wants_look() const noexcept { return looks_ != 0 || lost_; }
  /// The queue is empty: a move whose time has passed becomes a removal. How long the first event
  /// waits still. Zero: take() has one. max(): there is none.
  [[nodiscard]] duration settle_moves();
  /// No event will come any more.
  [[nodiscard]] bool is_over() const noexcept { return over_ && ready_.empty(); }

  // --- blocks ---

  /// Watches the directories that came new, and tells what is in them. After an overflow: all.
  void look();

 private:
  struct entry {
    path_event event;
    std::uint32_t cookie = 0;  // not 0: the first half of a move; removed, if no second comes
    time_point since = {};
    bool hidden = false;  // the first half of a move of a name that is not watched
    bool looks = false;   // a directory that is not watched yet
  };

  void open_root(bool tree);
  [[nodiscard]] std::string path_of(int watch, const std::string& name) const;
  [[nodiscard]] bool wanted(const std::string& name) const noexcept {
    return only_.empty() || name == only_;
  }
  int add(const std::string& path, bool is_root);
  void add_below(const std::string& path, std::deque<entry>* told);
  void take_event(const inotify_event& e, const char* text);
  void take_own(unsigned what);
  void take_named(int watch, unsigned what, std::uint32_t cookie, std::string name);
  void push(path_change change, std::string path, bool is_directory);
  void came(std::string path, std::uint32_t cookie, bool is_directory, bool is_wanted);
  void pair(entry& first, std::string path, bool is_directory);
  [[nodiscard]] bool rename_below(const std::string& from, const std::string& to);
  void forget_below(const std::string& path);
  void watch_all_again();

  const std::string given_;  // as the user spells it
  const duration move_limit_;
  bool tree_ = false;
  bool over_ = false;
  bool lost_ = false;      // an overflow: directories may be unknown
  int root_ = -1;          // the watch of the directory that was given, or of the file's
  std::string only_;       // a file: its name
  std::size_t looks_ = 0;  // entries that wait for look()
  std::unordered_map<int, std::string> directories_;
  std::deque<entry> ready_;
  std::set<std::string> told_;
  std::unique_ptr<char[]> room_;
  fd queue_;
  io_source* source_ = nullptr;
  source_name name_;
};

}  // namespace heddle::detail
