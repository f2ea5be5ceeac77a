// SPDX-License-Identifier: MIT
// What works inside http::server: routes, the conversation on one connection, and the watch over
// deadlines.
#pragma once

#include <heddle/core/atomic.h>
#include <heddle/core/checked.h>
#include <heddle/io/http_server.h>
#include <heddle/io/http_writer.h>
#include <heddle/io/server.h>
#include <heddle/sched/loop.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace heddle::http::detail {

using heddle::detail::atomic;

/// What a request needs while it is worked on. An idle connection has none.
struct exchange {
  explicit exchange(const limits& l) : parser(l) {}

  request_parser parser;
  response answer;
  std::string out;  // answers not sent yet
};

/// Handlers by path and method.
class route_table {
 public:
  void add(method m, std::string path, handler h, bool is_prefix);
  /// The handler for the request, or nullptr with the answer (404, 405) in `answer`.
  const handler* find(const request& r, response& answer) const;

 private:
  using methods = std::vector<std::pair<method, handler>>;
  struct path_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };
  const methods* find_path(std::string_view path) const;

  std::unordered_map<std::string, methods, path_hash, std::equal_to<>> exact_;
  std::vector<std::pair<std::string, methods>> prefixes_;  // longest first
};

enum class phase : std::uint8_t { busy, reading, writing, expired };

/// A connection as the watch over deadlines sees it. A connection that waits for its peer says so
/// and until when; the watch ends the wait by ending the connection. Protocol EXPIRE:
//
//   wait()    deadline_, partial_ plain; phase_ = reading | writing   seq_cst   then looks at
//   armed_ and stopping_ sweep()   armed_ = none                                           seq_cst
//    then looks at every phase_ (stop() likewise with stopping_):
//             whichever is second sees the other, so that no deadline is missed
//   back()    phase_ -> busy by exchange                              acq_rel   one of these two is
//   first, and so decides expire()  reading | writing -> expired by compare-exchange        acq_rel
//     who ends the connection
class slot {
 public:
  slot(engine& e, stream_writer& writer);
  slot(const slot&) = delete;
  slot& operator=(const slot&) = delete;
  ~slot();

  /// The connection is going to wait. `partial`: for the rest of a request. False: do not, the
  /// server is stopping and this is no new connection, whose first request may be under way.
  [[nodiscard]] bool wait(phase p, time_point until, bool partial);
  /// A request has come.
  void used() noexcept { fresh_.store(false, heddle::detail::relaxed); }
  /// The wait is over. False: it took too long; the connection was ended.
  [[nodiscard]] bool back() noexcept {
    return phase_.exchange(phase::busy, heddle::detail::acq_rel) != phase::expired;
  }

  [[nodiscard]] engine& owner() const noexcept { return engine_; }

 private:
  friend class engine;

  engine& engine_;
  stream_writer& writer_;
  slot* previous_ = nullptr;  // links: under the engine's mutex
  slot* next_ = nullptr;
  atomic<duration::rep> deadline_{0};
  atomic<phase> phase_{phase::busy};
  atomic<bool> partial_{false};
  atomic<bool> fresh_{true};  // it has asked nothing yet
};

class engine;

/// What a server holds: the engine is shared with its connections.
struct engine_handle {
  std::shared_ptr<engine> shared;
};

class engine : public std::enable_shared_from_this<engine> {
 public:
  explicit engine(server_options o) : options(std::move(o)) {}
  ~engine() { timer_.cancel(); }

  static task<> serve(std::shared_ptr<engine> self, connection c);
  static task<> hang_up(connection c);
  [[nodiscard]] task<> start(std::string host, port_number port);
  [[nodiscard]] task<> stop(duration grace);
  [[nodiscard]] server_stats stats() const;
  [[nodiscard]] bool stopping() const noexcept { return stopping_.load(heddle::detail::acquire); }

  const server_options options;
  route_table routes;
  heddle::server listener;
  bool started = false;

 private:
  friend class slot;

  /// What one loop has counted; only that loop's thread writes it.
  struct alignas(64) counters {
    atomic<std::uint64_t> requests{0};
    atomic<std::uint64_t> refused{0};
    std::array<atomic<std::uint64_t>, latency_histogram::size> latency{};
  };

  const handler::waiting* answer_at_once(exchange& x);
  void answer_failure(exchange& x, const std::exception_ptr& failure);
  void refuse(exchange& x);
  void write_answer(exchange& x, const reply_to& to);
  static task<bool> drain(connection& c, slot& s);
  static task<bool> stream_answer(connection& c, slot& s, exchange& x, const reply_to& to);
  static task<> linger(connection& c, slot& s);
  time_point deadline_of(const exchange* x, time_point began, time_point now) const;
  void count(unsigned requests, unsigned refused) noexcept;
  void count_latency(unsigned requests, duration each) noexcept;

  void enter(slot& s);
  void leave(slot& s) noexcept;
  void arm(duration::rep deadline);
  void sweep();
  void expire(slot& s, phase was) noexcept;
  void dismiss(slot& s) noexcept;

  std::vector<std::unique_ptr<counters>> counters_;  // by loop
  atomic<bool> stopping_{false};
  atomic<duration::rep> armed_{duration::max().count()};  // when the next sweep comes

  mutable std::mutex
      mutex_;  // guards the list, the timer, and a slot's connection while expire() works on it
  slot* first_ = nullptr;
  callback_handle timer_;
};

}  // namespace heddle::http::detail
