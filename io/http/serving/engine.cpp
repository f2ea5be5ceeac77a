// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/engine.h>

#include <heddle/core/errors.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/to_thread.h>

#include <malloc.h>

#include <algorithm>
#include <memory>

namespace heddle::http::detail {

using heddle::detail::relaxed;
using heddle::detail::seq_cst;

namespace {

// What a stopping server gives a new connection for its first request, which may be under way.
constexpr auto fresh_time = std::chrono::milliseconds(200);
// A burst that held so much leaves the allocator with memory that it would keep for itself.
constexpr std::size_t burst = 64 * 1024 * 1024;

/// For a connection that was accepted when the server had just been destroyed.
task<> hang_up(connection c) {
  c.writer.close();
  co_return;
}

}  // namespace

bool is_cancelled_itself() noexcept {
  const any_task self = current_task();
  return !self.valid() || self.cancelling() > 0;
}

const handler::waiting* engine::answer_at_once(exchange& x) {
  const handler* h = routes.find(x.parser.message(), x.answer);
  if (h == nullptr) return nullptr;
  if (h->waiting_) return &h->waiting_;
  std::exception_ptr failure;
  try {
    x.answer = h->direct_(x.parser.message());
  } catch (...) { failure = std::current_exception(); }
  if (failure) answer_failure(x, failure);
  return nullptr;
}

void engine::answer_failure(exchange& x, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const fatal_error&) { throw; } catch (const cancelled_error&) {
    if (is_cancelled_itself()) throw;
  } catch (const status_error& e) {
    x.answer = response::error(e.status(), e.what());
    return;
  } catch (...) {}
  const auto& r = x.parser.message();
  x.answer = response::error(500);
  report("unhandled exception in the handler of " + printable(r.method.text()) + " " +
             printable(r.path),
         failure);
}

void engine::refuse(std::string& out, int status, std::string_view reason) {
  reply_to to;
  to.keep_alive = false;
  write_response(out, response::error(status, reason), to);
}

void engine::write_answer(exchange& x, const reply_to& to) {
  const auto earlier = x.out.size();
  try {
    write_response(x.out, x.answer, to);
  } catch (const bad_value&) {
    x.out.resize(earlier);
    report("a handler's response cannot be sent", std::current_exception());
    write_response(x.out, response::error(500), to);
  }
}

void engine::report(std::string message, const std::exception_ptr& error) {
  error_context what;
  what.message = std::move(message);
  what.error = error;
  current_runtime().report(what);
}

void engine::hold(std::size_t before, std::size_t now) noexcept {
  const auto all = held_.fetch_add(now - before, relaxed) + (now - before);  // wraps, and back
  if (now > before) {
    if (all > peak_.load(relaxed)) peak_.store(all, relaxed);
  } else if (peak_.load(relaxed) > burst && all < burst / 16 &&
             peak_.exchange(0, relaxed) > burst) {
    give_memory_back();
  }
}

// Freed blocks between blocks in use stay with the process until the allocator is asked. That takes
// some milliseconds a gigabyte, so it is done on another thread.
void engine::give_memory_back() noexcept {
  try {
    create_task(to_thread([] { (void)::malloc_trim(0); }));
  } catch (const std::exception&) {  // then it stays
  }
}

// --- start and stop ---

task<> engine::start(std::string host, port_number port) {
  if (started) heddle::detail::throw_usage("this server was started already");
  started = true;
  for (unsigned i = current_runtime().loop_count(); i > 0; --i)
    counters_.push_back(std::make_unique<counters>());
  heddle::server_options o;
  o.backlog = options.backlog;
  o.reuse_port = options.reuse_port;
  // Weak: the listener keeps this callable, and the engine the listener.
  auto on_connection = [weak = weak_from_this()](connection c) {
    auto self = weak.lock();
    return self ? converse(std::move(self), std::move(c)) : hang_up(std::move(c));
  };
  task<heddle::server> work =
      start_server(std::move(on_connection), std::move(host), port, std::move(o));
  listener = co_await work;
}

// The grace is over. Without memory for all of it, it is tried again a moment later.
void engine::end_grace(const std::weak_ptr<engine>& weak) {
  const auto self = weak.lock();
  if (!self) return;
  bool again = false;
  try {
    self->watching.cancel_all();
  } catch (const std::bad_alloc&) { again = true; }
  try {
    self->listener.abort_clients();
  } catch (const std::bad_alloc&) { again = true; }
  if (again)
    (void)current_loop().call_later(std::chrono::milliseconds(100), [weak] { end_grace(weak); });
}

task<> engine::stop(duration grace) {
  stopping_.store(true, seq_cst);  // protocol EXPIRE
  if (!listener.valid()) co_return;
  listener.close();
  const auto by = saturating_add(clock::now(), duration(fresh_time));
  struct caller {
    watch& w;
    explicit caller(watch& from) : w(from) { w.stops(true); }
    ~caller() { w.stops(false); }
  } here(watching);
  watching.dismiss_idle(by.time_since_epoch().count());
  auto late = current_loop().call_later(grace, [weak = weak_from_this()] { end_grace(weak); });
  task<> closed = listener.wait_closed();
  co_await closed;
  late.cancel();
}

server_stats engine::stats() const {
  server_stats sum;
  for (const auto& one : counters_) {
    sum.requests += one->requests.load(relaxed);
    sum.refused += one->refused.load(relaxed);
    for (std::size_t i = 0; i < latency_histogram::size; ++i)
      sum.latency.counts[i] += one->latency[i].load(relaxed);
  }
  const auto now = watching.count();
  sum.connections = now.open;
  sum.working = now.working;
  return sum;
}

}  // namespace heddle::http::detail
