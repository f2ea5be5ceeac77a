// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/engine.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/message/write_at.h>
#include <heddle/io/http/serving/app_scope.h>
#include <heddle/io/http/serving/client.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/to_thread.h>

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <new>
#include <type_traits>

namespace heddle::http::detail {

using heddle::detail::relaxed;

// A burst that held so much leaves the allocator with memory that it would keep for itself.
static constexpr std::size_t burst = 64 * 1024 * 1024;

/// Has the handler make its answer in the place of the last one. Assigning an answer would move
/// what it holds, and drop what was there, piece by piece.
static void call_into(response& answer, const handler::direct& handle, request& r) {
  static_assert(std::is_nothrow_default_constructible_v<response>);
  std::destroy_at(&answer);
  try {
    ::new (&answer) response(handle(r));
  } catch (...) {
    ::new (&answer) response();
    throw;
  }
}

bool is_cancelled_itself() noexcept {
  const any_task self = current_task();
  return !self.valid() || self.cancelling() > 0;
}

std::shared_ptr<engine> engine::make(server_options o) {
  auto made = std::make_shared<engine>(only_make(), std::move(o));
  made->watching.belongs_to(made);
  return made;
}

server_stats engine::stats() const {
  server_stats sum;
  counted.add_to(sum);
  const auto now = watching.count();
  sum.connections = now.open;
  sum.working = now.working;
  sum.waiting = admitted.waiting();
  return sum;
}

void engine::get_ready() {
  for (const auto& time :
       {options.max_request_wait, options.retry_after, options.stop_notice, options.cleanup_time})
    if (time.get() < duration::zero()) throw bad_value("a time of server_options is negative");
  const auto whole = std::chrono::ceil<std::chrono::seconds>(options.retry_after.get());
  retry_after_ = std::to_string(whole.count());
  if (!options.server_name.empty()) headers().add("Server", options.server_name);  // may throw
  trusted = read_trusted(options.trusted_proxies);
  parse_limits_.body_bytes = std::max(options.limits.body_bytes, routes.largest_body());
}

bool engine::choose(exchange& x) const {
  x.scope.chosen = true;
  return routes.find(x.parser.message(), x.scope, x.answer) != nullptr;
}

void engine::prepare(exchange& x) const {
  auto& r = x.parser.message();
  const app_scope* const scope = x.scope.target ? x.scope.app() : routes.app_of(r);
  try {
    if (scope != nullptr) scope->prepare(r, x.answer);
    return;
  } catch (const fatal_error&) { throw; } catch (...) {
    x.answer = response::error(500);
    report("on_prepare has failed for " + printable(r.path), std::current_exception());
  }
}

const handler::waiting* engine::answer_at_once(exchange& x) {
  if (!x.scope.chosen && !choose(x)) return nullptr;
  if (x.scope.target == nullptr) return nullptr;
  const handler& h = x.scope.target->answer;
  if (h.waiting_) return &h.waiting_;
  std::exception_ptr failure;
  try {
    call_into(x.answer, h.direct_, x.parser.message());
  } catch (...) { failure = std::current_exception(); }
  if (failure) answer_failure(x, failure);
  return nullptr;
}

void engine::answer_failure(exchange& x, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const fatal_error&) { throw; } catch (const cancelled_error&) {
    if (is_cancelled_itself()) throw;
  } catch (...) {}
  auto& r = x.parser.message();
  try {
    if (auto answer = answer_to(x.scope.app(), failure, r)) {
      x.answer = std::move(*answer);
      return;
    }
    x.answer = refusal(x.scope.app(), r, 500, {});
  } catch (const std::exception&) {  // what answers for errors has failed
    x.answer = response::error(500);
  }
  report("unhandled exception in the handler of " + printable(r.method.text()) + " " +
             printable(r.path),
         failure);
}

void engine::write_answer(exchange& x, const reply_to& to, time_point now) {
  const auto earlier = x.out.size();
  try {
    write_response_at(x.out, x.answer, to, now);
  } catch (const bad_value&) {
    x.out.resize(earlier);
    report("a handler's response cannot be sent", std::current_exception());
    x.answer = response::error(500);
    write_response(x.out, x.answer, to);
  }
}

void engine::report(std::string message, const std::exception_ptr& error) {
  error_context what;
  what.message = std::move(message);
  what.error = error;
  current_runtime().report(what);
}

void engine::hold(std::size_t before, std::size_t now) noexcept {
  // The difference may be negative. It wraps, and the sum wraps back.
  const auto all = held_.fetch_add(now - before, relaxed) + (now - before);
  if (now > before) {
    if (all > peak_.load(relaxed)) peak_.store(all, relaxed);
  } else if (peak_.load(relaxed) > burst && all < burst / 16 &&
             peak_.exchange(0, relaxed) > burst) {
    give_memory_back();
  }
}

// Freed blocks that lie between blocks in use stay with the process until the allocator is asked to
// give them back. That takes some milliseconds a gigabyte, so another thread does it.
void engine::give_memory_back() noexcept {
  try {
    create_task(to_thread([] { (void)::malloc_trim(0); }));
  } catch (const std::exception&) {  // then the memory stays
  }
}

}  // namespace heddle::http::detail
