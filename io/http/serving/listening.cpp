// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/listening.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/serving/conversation.h>
#include <heddle/io/server.h>
#include <heddle/io/stream.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/wait_for.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <utility>

namespace heddle::http::detail {
namespace {

// Whoever can connect can fail at TLS, or at a PROXY header, as often as he likes. So at most one
// such failure in this time is reported, unless the site says otherwise.
constexpr auto report_every = std::chrono::seconds(1);
// Without memory to end the grace, it is tried again after this time.
constexpr auto again_after = std::chrono::milliseconds(100);

/// For a connection that was accepted when the server had just been destroyed.
task<> hang_up(connection c) {
  c.writer.close();
  co_return;
}

/// The time to clean up is over: resets every connection. Their handlers are waited for still.
void reset_all(const std::weak_ptr<engine>& weak) {
  const auto e = weak.lock();
  if (!e) return;
  if (e->listeners.empty()) e->watching.reset_all();
  try {
    for (auto& l : e->listeners) l.abort_clients();
  } catch (const std::bad_alloc&) {
    (void)current_loop().call_later(again_after, [weak] { reset_all(weak); });
  }
}

/// The grace is over: cancels every handler, once. A second cancellation would end what handlers do
/// to clean up. What has not ended in cleanup_time is reset.
void end_grace(const std::weak_ptr<engine>& weak) {
  const auto e = weak.lock();
  if (!e || e->grace_ended.exchange(true, heddle::detail::relaxed)) return;
  try {
    e->watching.cancel_all();
  } catch (const std::bad_alloc&) {
    e->grace_ended.store(false, heddle::detail::relaxed);
    (void)current_loop().call_later(again_after, [weak] { end_grace(weak); });
    return;
  }
  try {
    (void)current_loop().call_later(e->options.cleanup_time.get(), [weak] { reset_all(weak); });
  } catch (const std::bad_alloc&) { reset_all(weak); }
}

/// It accepts connections still.
bool is_open(const engine& e) noexcept {
  return std::ranges::any_of(e.listeners, [](const auto& l) { return l.is_serving(); });
}

/// What stop() begins with. A cancellation ends the notice; it is returned, to be thrown when the
/// server has been told to stop.
task<std::exception_ptr> give_notice(engine& e) {
  e.announce_stop();
  const duration time = e.options.stop_notice.get();
  if (time <= duration::zero() || !is_open(e)) co_return nullptr;
  try {
    auto hurried = e.hurried.wait();
    auto waiting = wait_for(hurried, time);
    (void)co_await std::move(waiting);
  } catch (const timeout_error&) {  // as usual
  } catch (const cancelled_error&) { co_return std::current_exception(); }
  co_return nullptr;
}

}  // namespace

void begin(engine& e) {
  if (e.started) heddle::detail::throw_usage("this server was started already");
  e.started = true;
  e.get_ready();
  e.counted.start(current_runtime().loop_count());
}

task<> end_talks(engine& e, std::vector<task_handle<>> talks, duration grace) {
  e.announce_stop();
  e.watching.begin_stopping();
  e.watching.dismiss_idle();
  e.leaving.announce();
  auto late = current_loop().call_later(grace, [weak = e.weak_from_this()] { end_grace(weak); });
  for (auto& talk : talks) {
    try {
      co_await talk;
    } catch (const cancelled_error&) {  // by the end of the grace, or this task is, and waits on
    }
  }
  late.cancel();
}

namespace {

heddle::server_options options_of(const engine& e, const site& at) {
  heddle::server_options o;
  if (at.options()) {
    o = *at.options();
  } else {
    o.backlog = e.options.backlog;
    o.reuse_port = e.options.reuse_port;
    o.handshake_limit = e.options.handshake_limit;
  }
  if (at.tls()) o.tls = at.tls();
  if (e.options.wait_when_full && o.max_connections == 0) {
    o.max_connections = e.options.max_connections;
    o.if_full = when_full::wait;
  }
  if (o.report_every.get() == duration::zero()) o.report_every = report_every;
  o.start_serving = true;
  return o;
}

task<heddle::server> open_site(engine& e, const site& at) {
  heddle::server_options o = options_of(e, at);
  // Weak, for the engine keeps the listener, and the listener keeps this callable.
  auto on_connection = [weak = e.weak_from_this(), secure = bool(o.tls)](connection c) {
    auto self = weak.lock();
    return self ? converse(std::move(self), std::move(c), secure) : hang_up(std::move(c));
  };
  switch (at.what()) {
    case site::kind::tcp:
      return start_server(std::move(on_connection), at.where(), at.port(), std::move(o));
    case site::kind::unix_socket:
      return start_unix_server(std::move(on_connection), at.where(), std::move(o));
    case site::kind::given:
      return start_server_on(std::move(on_connection), at.sockets(), std::move(o));
    case site::kind::given_unix: break;
  }
  return start_unix_server_on(std::move(on_connection), at.sockets().front(), std::move(o));
}

}  // namespace

task<> start_listening(engine& e, std::string host, port_number port) {
  std::vector<site> one{site::tcp(std::move(host), port)};
  one.front().tls(e.options.tls);
  return start_listening(e, std::move(one));
}

task<> start_listening(engine& e, std::vector<site> sites) {
  begin(e);
  if (sites.empty()) throw bad_value("a server listens at one site at least");
  std::exception_ptr failure;
  try {
    for (const auto& at : sites) {
      task<heddle::server> work = open_site(e, at);
      e.listeners.push_back(co_await work);
    }
  } catch (...) { failure = std::current_exception(); }
  if (!failure) co_return;
  for (auto& l : e.listeners) l.close();
  std::rethrow_exception(failure);
}

task<> stop_listening(engine& e, duration grace) {
  task<std::exception_ptr> notice = give_notice(e);
  const std::exception_ptr cancelled = co_await notice;
  e.watching.begin_stopping();
  if (e.listeners.empty()) co_return;
  for (auto& l : e.listeners) l.close();
  struct caller {
    watch& w;
    explicit caller(watch& from) : w(from) { w.waits_in_stop(true); }
    caller(const caller&) = delete;
    ~caller() { w.waits_in_stop(false); }
  } const here(e.watching);
  e.watching.dismiss_idle();
  e.leaving.announce();
  if (e.hurried.is_set()) grace = duration::zero();
  auto late = current_loop().call_later(grace, [weak = e.weak_from_this()] { end_grace(weak); });
  if (cancelled) std::rethrow_exception(cancelled);
  for (auto& l : e.listeners) {
    task<> closed = l.wait_closed();
    co_await closed;
  }
  late.cancel();
}

void hurry(engine& e) {
  if (!e.is_stopping()) {
    for (auto& l : e.listeners) l.abort_clients();
    return;
  }
  e.hurried.set();
  if (e.watching.is_stopping()) end_grace(e.weak_from_this());
}

}  // namespace heddle::http::detail
