// SPDX-License-Identifier: MIT
// Internal to io.
// What the connections of one http::server share: its routes, its counts, the watch, and the bound
// on what they hold together.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/io/http/forwarded.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/http/options.h>
#include <heddle/io/http/server_stats.h>
#include <heddle/io/http/serving/admission.h>
#include <heddle/io/http/serving/application.h>
#include <heddle/io/http/serving/counters.h>
#include <heddle/io/http/serving/known_servers.h>
#include <heddle/io/http/serving/request_scope.h>
#include <heddle/io/http/serving/routes.h>
#include <heddle/io/http/serving/seat.h>
#include <heddle/io/http/serving/watch.h>
#include <heddle/io/server.h>
#include <heddle/sched/runtime/drivers.h>
#include <heddle/sync/event.h>

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http::detail {

/// What a request needs while it is worked on. An idle connection has none.
struct exchange {
  explicit exchange(const limits& l) : parser(l) { parser.message().scope.lead_to(&scope); }

  request_parser parser;
  request_scope scope;
  response answer;
  std::string out;    // answers that are not sent yet
  std::string piece;  // of the body, in the hands of the handler
};

/// True if the running task itself was cancelled. A task gets a cancelled_error also when it awaits
/// another task that was cancelled, and that is an error like any other.
[[nodiscard]] bool is_cancelled_itself() noexcept;

/// Kept alive by the server and by each connection.
/// Thread-safety  options and routes are constant once the server has started; the rest is for any
///                loop.
class engine : public std::enable_shared_from_this<engine> {
 public:
  /// The only way to make one.
  [[nodiscard]] static std::shared_ptr<engine> make(server_options o);

  [[nodiscard]] server_stats stats() const;

  /// Finds what answers the request of `x`, once. False: there is no handler, and the answer stands
  /// in `x`.
  bool choose(exchange& x) const;
  /// Calls what is to see the answer in `x` before it leaves. If that fails, the answer is 500, and
  /// the failure is reported.
  void prepare(exchange& x) const;
  /// Calls a handler that need not wait. A handler that may wait is returned, for the caller to
  /// await.
  [[nodiscard]] const handler::waiting* answer_at_once(exchange& x);
  /// The limits with which heads are parsed: the largest body that some route takes is let pass.
  [[nodiscard]] const limits& parse_limits() const noexcept { return parse_limits_; }
  /// The routes and the application are complete. Throws bad_value for an option out of its range.
  void get_ready();
  /// Puts the answer for a handler that failed into `x`. If the failure is fatal, or the
  /// cancellation of the calling task itself, it is thrown on.
  static void answer_failure(exchange& x, const std::exception_ptr& failure);
  /// Appends the answer. One that cannot be sent is reported, and 500 takes its place.
  /// `now` as for write_response_at().
  static void write_answer(exchange& x, const reply_to& to, time_point now = {});
  static void report(std::string message, const std::exception_ptr& error);
  /// Adds Retry-After to an answer that sheds load.
  void add_retry_after(response& r) const { r.headers.set("Retry-After", retry_after_); }

  /// stop() begins.
  void announce_stop() noexcept {
    // pairs with is_stopping()
    stop_began_.store(true, heddle::detail::release);
  }
  /// stop() has begun. The watch says so only behind server_options::stop_notice.
  [[nodiscard]] bool is_stopping() const noexcept {
    // pairs with announce_stop()
    return stop_began_.load(heddle::detail::acquire);
  }

  /// A connection held `before` bytes of bodies and answers, and holds `now` from now on.
  void hold(std::size_t before, std::size_t now) noexcept;
  [[nodiscard]] bool is_full() const noexcept {
    return held_.load(heddle::detail::relaxed) > options.max_held_bytes;
  }

  const server_options options;
  route_table routes;
  application app;
  trusted_proxies trusted;
  std::vector<heddle::server> listeners;  // one a site
  counters counted;
  watch watching;
  departures leaving;
  admission admitted;
  heddle::event hurried;  // the notice of a stop, and the grace behind it, are over now
  atomic<bool> grace_ended{false};
  bool started = false;
  /// There is an access log.
  const bool has_log;

 private:
  struct only_make {
    explicit only_make() = default;
  };

 public:
  engine(only_make, server_options o)
      : options(std::move(o)),
        watching(options, counted),
        admitted(options),
        has_log(static_cast<bool>(options.access_log)),
        parse_limits_(options.limits) {}

 private:
  static void give_memory_back() noexcept;

  limits parse_limits_;
  std::string retry_after_;
  atomic<bool> stop_began_{false};
  atomic<std::size_t> held_{0};
  atomic<std::size_t> peak_{0};  // of held_, since memory was given back to the system
  // The last member, so that it goes first: it reads what the others have counted.
  known_server known_{[](const void* e) { return static_cast<const engine*>(e)->stats(); }, this};
};

}  // namespace heddle::http::detail
