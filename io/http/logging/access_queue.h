// SPDX-License-Identifier: MIT
// Internal to io.
// The queue between a server's loops and the sink of its access log, with the thread that empties
// it.
//
// Problem   A loop must not wait for the sink, and waking a thread for each request costs a system
//           call each.
// Chosen    The thread swaps the whole queue out under the lock, and works on it without. While
//           requests come, it gathers for 10 ms at a time. It sleeps without a time only when
//           nothing has come; so at most one entry in 10 ms wakes it.
// Promised  Entries that wait and those in the thread's hands are at most `queue_limit` together.
//           Each entry is given to the sink, or counted as dropped.
#pragma once

#include <heddle/io/http/access_entry.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace heddle::http::detail {

/// Where entries end. Used by the thread of one queue.
class access_sink {
 public:
  access_sink() = default;
  access_sink(const access_sink&) = delete;
  access_sink& operator=(const access_sink&) = delete;
  virtual ~access_sink() = default;

  virtual void take(const access_entry& e) = 0;
  /// Nothing more waits now. Says how many of the entries taken before were lost.
  virtual std::uint64_t settle() { return 0; }
  /// What it writes to is to be opened anew.
  virtual void reopen() {}
};

class access_queue {
 public:
  access_queue(std::unique_ptr<access_sink> to, const access_log_options& o);
  access_queue(const access_queue&) = delete;
  access_queue& operator=(const access_queue&) = delete;
  /// Waits until the sink has been given all.
  ~access_queue();

  void add(access_entry e) noexcept;
  void drop() noexcept;
  /// Blocks until the sink has been given all that was added before.
  void flush();
  /// Before the next entry is given to the sink, the sink is to open its file anew.
  void reopen() noexcept;
  [[nodiscard]] std::uint64_t dropped() const noexcept;

  const access_log_options options;

 private:
  void work() noexcept;
  void gather(std::unique_lock<std::mutex>& held);
  void give(std::vector<access_entry>& batch, bool reopens) noexcept;

  mutable std::mutex lock_;
  // Under lock_, all down to `ending_`.
  std::condition_variable wanted_;  // the thread waits here
  std::condition_variable given_;   // flush() waits here
  std::vector<access_entry> waiting_;
  std::size_t in_hand_ = 0;    // of the entries that the thread works on
  std::uint64_t added_ = 0;    // entries that had room
  std::uint64_t done_ = 0;     // of these, given to the sink and settled
  std::uint64_t dropped_ = 0;  // in all
  std::uint64_t untold_ = 0;   // of these, not told by an entry yet
  std::size_t flushing_ = 0;   // threads that wait in flush()
  bool sleeping_ = false;      // the thread sleeps until it is notified
  bool reopening_ = false;
  bool ending_ = false;

  std::unique_ptr<access_sink> sink_;  // the thread's
  std::thread thread_;
};

}  // namespace heddle::http::detail
