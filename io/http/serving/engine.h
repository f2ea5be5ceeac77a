// SPDX-License-Identifier: MIT
// Internal to io.
// What works inside http::server: what its connections share. Not a public header.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/checked.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/http/server.h>
#include <heddle/io/http/serving/routes.h>
#include <heddle/io/http/serving/watch.h>
#include <heddle/io/server.h>
#include <heddle/sched/runtime/drivers.h>

#include <algorithm>
#include <array>
#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace heddle::http::detail {

/// What a request needs while it is worked on. An idle connection has none.
struct exchange {
  explicit exchange(const limits& l) : parser(l) {}

  request_parser parser;
  response answer;
  std::string out;  // answers not sent yet
};

/// True if somebody has cancelled the running task itself. A task that awaited another one that was
/// cancelled gets a cancelled_error too, and that is an error like any other.
[[nodiscard]] bool is_cancelled_itself() noexcept;

/// What a server holds: the engine is shared with its connections.
struct engine_handle {
  std::shared_ptr<engine> shared;
};

class engine : public std::enable_shared_from_this<engine> {
 public:
  explicit engine(server_options o) : options(std::move(o)), watching(*this) {}

  [[nodiscard]] task<> start(std::string host, port_number port);
  [[nodiscard]] task<> stop(duration grace);
  static void end_grace(const std::weak_ptr<engine>& weak);
  [[nodiscard]] server_stats stats() const;
  [[nodiscard]] bool stopping() const noexcept { return stopping_.load(heddle::detail::acquire); }
  /// The same for protocol EXPIRE, see slot.
  [[nodiscard]] bool is_told_to_stop() const noexcept {
    return stopping_.load(heddle::detail::seq_cst);
  }

  /// Calls a handler that need not wait. Otherwise returns it, for the caller to await.
  [[nodiscard]] const handler::waiting* answer_at_once(exchange& x);
  /// The answer for a handler that failed. Throws its own cancellation and fatal errors on.
  static void answer_failure(exchange& x, const std::exception_ptr& failure);
  static void write_answer(exchange& x, const reply_to& to);
  static void refuse(std::string& out, int status, std::string_view reason);
  static void report(std::string message, const std::exception_ptr& error);
  /// From a loop's thread.
  void count(unsigned requests, unsigned refused) noexcept;
  void count_latency(unsigned requests, duration each) noexcept;

  /// A connection held `before` bytes of bodies and answers and now holds `now`.
  void hold(std::size_t before, std::size_t now) noexcept;
  [[nodiscard]] bool is_full() const noexcept {
    return held_.load(heddle::detail::relaxed) > options.max_held_bytes;
  }

  const server_options options;
  route_table routes;
  heddle::server listener;
  watch watching;
  bool started = false;

 private:
  /// What one loop has counted; only that loop's thread writes it.
  struct alignas(64) counters {
    atomic<std::uint64_t> requests{0};
    atomic<std::uint64_t> refused{0};
    std::array<atomic<std::uint64_t>, latency_histogram::size> latency{};
  };

  void give_memory_back() noexcept;

  std::vector<std::unique_ptr<counters>> counters_;  // by loop
  atomic<bool> stopping_{false};
  atomic<std::size_t> held_{0};
  atomic<std::size_t> peak_{0};  // of held_, since memory was given back to the system
};

inline void slot::file_if_earlier(duration::rep deadline) {
  if (deadline < filed_.load(heddle::detail::seq_cst)) [[unlikely]]  // protocol EXPIRE
    engine_.watching.file(*this, deadline);
}

inline bool slot::wait(phase p, time_point until, bool partial) {
  const auto deadline = until.time_since_epoch().count();
  deadline_.store(deadline, heddle::detail::relaxed);
  partial_.store(partial, heddle::detail::relaxed);
  left_.store(unknown, heddle::detail::relaxed);
  phase_.store(p, heddle::detail::seq_cst);  // protocol EXPIRE
  file_if_earlier(deadline);
  if (partial || p == phase::writing || !engine_.is_told_to_stop()) [[likely]]
    return true;
  return waits_while_stopping(p);
}

inline void engine::count(unsigned requests, unsigned refused) noexcept {
  auto& mine = *counters_[heddle::detail::current_loop_index()];
  heddle::detail::bump<std::uint64_t>(mine.requests, requests);
  if (refused > 0) heddle::detail::bump<std::uint64_t>(mine.refused, refused);
}

inline void engine::count_latency(unsigned requests, duration each) noexcept {
  auto& mine = *counters_[heddle::detail::current_loop_index()];
  const auto ns = static_cast<std::uint64_t>(std::max(each, duration::zero()).count());
  heddle::detail::bump<std::uint64_t>(mine.latency[latency_histogram::bucket(ns)], requests);
}

/// One connection's task. Keeps the engine alive.
[[nodiscard]] task<> converse(std::shared_ptr<engine> self, connection c);

}  // namespace heddle::http::detail
