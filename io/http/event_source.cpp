// SPDX-License-Identifier: MIT
#include <heddle/io/http/event_source.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/content_type.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/session.h>
#include <heddle/sched/sleep.h>

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

namespace heddle::http {
namespace {

/// What makes a try fail, and is worth another one: connections break, clocks run out.
bool is_weather(const std::exception& e) noexcept {
  return dynamic_cast<const std::system_error*>(&e) != nullptr ||
         dynamic_cast<const timeout_error*>(&e) != nullptr;
}

/// A request for events, which asks for none that came already.
task<event_answer> ask(session& by, std::string url, std::string last_id) {
  auto request = by.at(std::move(url));
  request.header("Accept", "text/event-stream").header("Cache-Control", "no-store");
  if (!last_id.empty()) request.header("Last-Event-ID", last_id);
  request.timeout(std::nullopt).check_status(false);
  auto opening = request.open();
  client_stream r = co_await opening;
  event_answer a;
  a.status = r.status;
  a.content_type = r.headers.get("content-type").value_or("");
  a.body = std::move(r.body);
  co_return a;
}

event_source::opener opener_of(session& by, std::string url) {
  (void)by.at(url);  // tells now what is wrong with it
  return
      [&by, url = std::move(url)](std::string last_id) { return ask(by, url, std::move(last_id)); };
}

}  // namespace

event_source::event_source(opener open) : event_source(std::move(open), event_source_options{}) {}

event_source::event_source(opener open, event_source_options options)
    : open_(std::move(open)), options_(options), retry_(options.retry.get()) {
  if (!open_) throw bad_value("an event_source has nothing that opens it");
  if (retry_.count() < 0) throw bad_value("the retry of an event_source is negative");
}

event_source::event_source(session& by, std::string url)
    : event_source(opener_of(by, std::move(url))) {}

event_source::event_source(session& by, std::string url, event_source_options options)
    : event_source(opener_of(by, std::move(url)), options) {}

std::chrono::nanoseconds event_source::pause() const noexcept {
  const std::chrono::nanoseconds most = std::max(options_.most_retry.get(), options_.retry.get());
  auto wait = std::min(most, retry_);
  for (std::size_t i = 1; i < failures_ && wait < most; ++i) wait = std::min(most, wait * 2);
  return wait;
}

/// A try has failed, or a connection has broken.
void event_source::lost(const std::exception_ptr& why) {
  if (++failures_ >= std::max<std::size_t>(options_.tries, 1)) std::rethrow_exception(why);
}

/// One try. False: the server has no more events. `fatal_` is set before an error that another try
/// would only meet again.
task<bool> event_source::try_once() {
  task<event_answer> opening = open_(last_id_);
  event_answer answer = co_await opening;
  ++connections_;
  if (answer.status == 204) co_return false;
  if (answer.status != 200) {
    fatal_ = answer.status < 500;
    throw http_error(errc::status,
                     "the events were answered with the status " + std::to_string(answer.status));
  }
  const auto type = content_type::parse(answer.content_type);
  if (!type || type->type != "text/event-stream") {
    fatal_ = true;
    throw payload_error("the answer is no event stream but \"" + printable(answer.content_type) +
                        "\"");
  }
  events_.emplace(std::move(answer.body), options_.max_event);
  events_->resume(last_id_);
  co_return true;
}

/// Tries until there is a connection. False: the server has no more events.
task<bool> event_source::connect() {
  for (;;) {
    if (waits_) co_await sleep(pause());
    waits_ = true;
    fatal_ = false;
    std::exception_ptr why;
    try {
      task<bool> trying = try_once();
      const bool open = co_await trying;
      co_return open;
    } catch (const std::exception& e) {
      if (fatal_ || !is_weather(e)) throw;
      why = std::current_exception();
    }
    lost(why);
  }
}

task<std::optional<sse_event>> event_source::next() {
  while (!ended_) {
    if (!events_) {
      task<bool> connecting = connect();
      const bool open = co_await connecting;
      if (!open) break;
    }
    std::exception_ptr why;
    try {
      task<std::optional<sse_event>> reading = events_->next();
      auto event = co_await reading;
      if (const auto said = events_->retry()) retry_ = to_duration(*said);
      last_id_ = events_->last_id();
      if (event) {
        failures_ = 0;
        co_return event;
      }
    } catch (const http_error& e) {
      if (e.code() == errc::body_too_large) throw;
      why = std::current_exception();
    } catch (const std::exception& e) {
      if (!is_weather(e)) throw;
      why = std::current_exception();
    }
    last_id_ = events_->last_id();
    events_.reset();
    if (why) lost(why);
  }
  ended_ = true;
  co_return std::nullopt;
}

}  // namespace heddle::http
