// SPDX-License-Identifier: MIT
// What a server tells of each request when its answer is complete: for operators, not for programs.
//
//   http::server_options o;
//   o.access_log = http::access_log::to_file("access.log", http::access_format::combined);
//
// Problem   A log that is slow (a full disk, a pipe that nobody reads) must not delay answers. What
//           a client sends must not forge a line.
// Chosen    The loops put entries into a bounded queue. One thread of the log gives them to its
//           sink. When the queue is full, entries are dropped and counted, and the next entry says
//           how many. Texts of clients are cut when they are noted, and escaped when they are
//           written.
// Costs     On: a lock, the clock, and the copies of six short texts a request. Off: a test of a
//           flag.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/http/access_entry.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace heddle::http {

namespace detail {
class access_queue;
}

enum class access_format : std::uint8_t { combined, json };

/// A line, with its end. combined: what nginx and Apache call so, in UTC. A control character, a
/// quote, a backslash and each byte that is not ASCII stand as "\\x0a" there. json: an object with
/// all fields of the entry, "time" in seconds. Bytes that are not ASCII stand as "\\u00e4", by
/// their number. In both a line holds one entry, whatever a client has sent. If entries were lost
/// before, a line of its own says so first: "# 7 requests are not in this log", {"dropped":7}.
[[nodiscard]] std::string access_line(const access_entry& e, access_format how);

/// A handle. Copies share one log. An empty one is off.
/// Lifetime  When the last copy is gone, the sink is given what waits, and is not called again: the
///           destructor waits for that. A server keeps a copy.
/// Thread-safety  any number of threads at once
class access_log {
 public:
  /// Called by the log's thread, one entry at a time, in the order in which they came. If it
  /// throws, its entry counts as dropped.
  using sink = std::function<void(const access_entry&)>;

  access_log() noexcept = default;
  /// Throws  bad_value for an empty sink; std::system_error if the thread cannot be started
  explicit access_log(sink to);
  access_log(sink to, access_log_options options);
  /// Appends lines to a file, which is made with the rights 0644. Lines that cannot be written
  /// count as dropped. Throws std::system_error, which names the file, if it cannot be opened.
  [[nodiscard]] static access_log to_file(const std::string& path, access_format how);
  [[nodiscard]] static access_log to_file(const std::string& path, access_format how,
                                          access_log_options options);

  explicit operator bool() const noexcept { return static_cast<bool>(queue_); }

  /// Puts the entry into the queue, or drops it. Never waits for the sink.
  void add(access_entry e) const noexcept;
  /// Waits until the sink has been given all that was added before.
  /// Cancel  the wait ends, nothing else
  [[nodiscard]] task<> flush() const;
  /// Counts an entry that could not be made, as if it had been dropped.
  void drop() const noexcept;
  /// For to_file(), when another program has renamed the file: the next entries, and those that
  /// wait, go into a new one. If the new one cannot be opened, the old one is kept. Does not wait.
  void reopen() const noexcept;
  /// Entries that were dropped until now.
  [[nodiscard]] std::uint64_t dropped() const noexcept;
  [[nodiscard]] std::size_t text_limit() const noexcept;

 private:
  std::shared_ptr<detail::access_queue> queue_;
};

}  // namespace heddle::http
