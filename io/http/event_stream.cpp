// SPDX-License-Identifier: MIT
// Server-sent events as the body of a response.
#include <heddle/core/errors.h>
#include <heddle/io/http/events.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/message.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/wait_many.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace heddle::http {
namespace {

using source = async_generator<sse_event>;

task<std::optional<sse_event>> next_of(std::shared_ptr<source> from) {
  auto asking = from->next();
  sse_event* const event = co_await std::move(asking);
  if (event == nullptr) co_return std::nullopt;
  co_return std::move(*event);
}

/// The source, and the task that waits for its next event.
struct event_stream {
  std::shared_ptr<source> from;
  std::vector<task_handle<std::optional<sse_event>>> waiting;  // one, or none
};

/// Sends events until the source ends.
task<> pump(event_stream& s, duration keep_alive, body_writer& out) {
  for (;;) {
    if (s.waiting.empty()) s.waiting.push_back(create_task(next_of(s.from)));
    auto waiting = wait(s.waiting, wait_until::all_completed, keep_alive);
    (void)co_await std::move(waiting);
    std::string text;
    if (!s.waiting.front().done()) {
      text = sse_comment("");
    } else {
      const std::optional<sse_event> event = co_await s.waiting.front();
      s.waiting.clear();
      if (!event) co_return;
      text = event->text();
    }
    task<> sending = out.write(text);
    co_await sending;
  }
}

/// Ends the source: what it waits for is cancelled, and its cleanup runs.
task<> end(event_stream& s) {
  for (auto& task : s.waiting) {
    task.cancel();
    try {
      (void)co_await task;
    } catch (const cancelled_error&) {  // as it was told
    } catch (const std::exception&) {   // the client has no way to hear of it
    }
  }
  s.waiting.clear();
  auto closing = s.from->aclose();
  co_await std::move(closing);
}

task<> send_events(std::shared_ptr<source> from, duration keep_alive, body_writer& out) {
  event_stream s{std::move(from), {}};
  std::exception_ptr failure;
  bool stopped = !out.end_when_stopping();
  if (!stopped) {
    try {
      task<> work = pump(s, keep_alive, out);
      co_await work;
    } catch (const cancelled_error&) {
      stopped = out.is_stopping();
      if (!stopped) failure = std::current_exception();
    } catch (...) { failure = std::current_exception(); }
    // The server has cancelled this task so that the stream ends. The task goes on, and ends it.
    if (stopped) (void)current_task().uncancel();
  }
  task<> ending = end(s);
  co_await ending;
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

response response::events(async_generator<sse_event> from) {
  return events(std::move(from), std::chrono::seconds(15));
}

response response::events(async_generator<sse_event> from, any_duration keep_alive) {
  if (keep_alive.get() <= duration::zero())
    throw bad_value("events: the time between two signs of life is to be positive");
  response r;
  r.content_type = "text/event-stream";
  r.headers.add("Cache-Control", "no-store");
  r.headers.add("X-Accel-Buffering", "no");  // nginx would keep events back
  auto shared = std::make_shared<source>(std::move(from));
  r.stream.write = [shared, keep_alive](body_writer& out) {
    return send_events(shared, keep_alive.get(), out);
  };
  return r;
}

}  // namespace heddle::http
