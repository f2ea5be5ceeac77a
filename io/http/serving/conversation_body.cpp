// SPDX-License-Identifier: MIT
// The bodies of a connection: those of requests that are read while they arrive, those that nobody
// reads, and those of answers that are made while they are sent.
#include <heddle/core/errors.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/serving/conversation.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace heddle::http::detail {

namespace {

// So many bytes of a body that nobody has read are dropped, and the connection goes on. If more are
// to come, the connection ends: reading them would cost more than a new one.
constexpr std::size_t most_discarded = 256 * 1024;

[[noreturn]] void throw_refused(const parse_error& e) {
  throw payload_error(make_error_code(e.status == 413 ? errc::body_too_large : errc::broken_body),
                      "the body of the request: " + std::string(e.reason));
}

}  // namespace

/// Answers what is not to be served, and ends the connection. The middlewares of the whole
/// application run around the answer, except where the server is overloaded.
next conversation::refuse(int status, std::string_view reason) {
  auto& x = *x_;
  const auto* const to = status == 503 ? nullptr : e_.routes.refuser_of_all();
  e_.counted.count_refused();
  to_ = {};
  to_.server = e_.options.server_name;  // perhaps no request has come before
  to_.keep_alive = false;
  const auto& message = x.parser.message();
  auto answer = refusal(e_.routes.app_of_all(), message, status, reason);
  if (status == 503) {
    e_.counted.count_shed();
    e_.add_retry_after(answer);
  }
  if (to == nullptr) {
    x.answer = std::move(answer);
    if (e_.app.prepares) e_.prepare(x);
    engine::write_answer(x, to_);
    uncounted_.add(x.answer.status);
    ending_ = ending::close;
    if (e_.has_log && !message.target.empty()) note(x.answer.status, x.answer.body.size(), true);
    x.answer.clear();
    x.parser.next();  // its body is not kept while the connection lingers
    hold(0);
    return next::read;
  }
  to_.head = message.method == method::head;
  x.scope.renew();
  x.scope.chosen = x.scope.loaded = true;
  x.scope.target = to;
  x.scope.refused = std::move(answer);
  waiting_ = &handler_access::waiting(to->answer);
  return next::handler;
}

/// The parser wants more bytes, or has failed.
next conversation::unfinished() {
  auto& parser = x_->parser;
  if (discarding_) {
    discard();
    return is_open() ? next::go_on : next::read;
  }
  if (parser.failed()) return refuse(parser.error().status, parser.error().reason);
  if (!parser.head_done()) return next::go_on;
  if (!x_->scope.chosen && (e_.routes.looks_early() || parser.expects_continue())) {
    if (const next then = look_early(); then != next::go_on) return then;
    if (discarding_ || !is_open()) return is_open() ? next::go_on : next::read;
  }
  hold(parser.message().body.size());
  if (held_ != 0 && e_.is_full()) return refuse(503, "max_held_bytes is reached");
  if (!continued_ && is_open() && parser.expects_continue()) {
    x_->out += "HTTP/1.1 100 Continue\r\n\r\n";
    continued_ = true;
  }
  return next::go_on;
}

/// The head is complete, and the body is still to come. So a client that waits for "100 Continue"
/// is told before it sends the body that nobody wants it.
next conversation::look_early() {
  auto& x = *x_;
  to_ = reply_to(x.parser.message());
  to_.server = e_.options.server_name;
  if (e_.watching.is_stopping()) to_.keep_alive = false;
  if (!e_.choose(x)) return conclude();
  const route_target& to = *x.scope.target;
  if (e_.routes.looks_early()) {
    const auto most = to.body_limit.value_or(e_.options.limits.body_bytes);
    if (!x.parser.set_body_limit(most)) return refuse(413, "the body is too large");
  }
  if (!to.early) return next::go_on;
  waiting_ = &handler_access::waiting(to.answer);
  return next::handler;
}

/// There is an answer, and the rest of the body is unread. Decides whether the connection goes on.
void conversation::settle_body() noexcept {
  const auto& parser = x_->parser;
  const bool comes = !parser.expects_continue() || continued_;
  const auto left = parser.failed() ? std::nullopt : parser.declared_length();
  if (!is_open() || parser.failed() || !comes || left.value_or(0) > most_discarded)
    to_.keep_alive = false;
}

/// Drops what has come of a body that nobody reads.
void conversation::discard() {
  auto& x = *x_;
  x.parser.take_body(x.piece);
  discarded_ += std::exchange(x.piece, {}).size();
  if (x.parser.failed() || discarded_ > most_discarded) {
    ending_ = ending::close;
  } else if (!x.parser.done()) {
    return;
  }
  discarding_ = false;
  discarded_ = 0;
  began_ = arrived_;
  x.parser.next();
  if (e_.routes.looks_early()) x.parser.set_limits(e_.parse_limits());
}

bool conversation::limit_body(std::size_t bytes) {
  return x_->parser.done() ? x_->parser.message().body.size() <= bytes
                           : x_->parser.set_body_limit(bytes);
}

std::size_t conversation::body_limit() const noexcept { return x_->parser.body_limit(); }

void conversation::keep_body(std::size_t bytes) {
  hold(bytes);
  overfull_ = held_ != 0 && e_.is_full();
  if (overfull_) {
    e_.counted.count_shed();
    throw status_error(503, "max_held_bytes is reached");
  }
}

bool conversation::has_route(const request& like, std::string_view target) const {
  request other;
  other.method = like.method;
  other.target = target;
  if (!other.decode_target()) return false;
  if (const auto host = like.headers.get("host")) other.headers.add("Host", *host);
  request_scope scope;
  response answer;
  const auto* const found = e_.routes.find(other, scope, answer);
  return found != nullptr && !found->text.empty();
}

task<std::string_view> conversation::next_piece() {
  auto& x = *x_;
  for (;;) {
    x.parser.take_body(x.piece);
    if (!x.piece.empty()) co_return x.piece;
    if (x.parser.done()) co_return {};
    task<> more = read_more();
    co_await more;
  }
}

task<> conversation::read_whole() {
  auto& parser = x_->parser;
  while (!parser.done()) {
    task<> more = read_more();
    co_await more;
    keep_body(parser.message().body.size());
  }
}

/// A wait for the body is over. Throws if the body will not come.
void conversation::has_waited() {
  const auto then = watched_.back();
  if (then == after::go_on) {
    watched_.work(ends_with_client(), clock::now());
    return;
  }
  told_ = then == after::linger;
  ending_ = told_ ? ending::close : ending::gone;
  throw payload_error("the body of the request: nothing has come for body_timeout");
}

/// Takes more of the body from the connection, and waits for it if need be.
task<> conversation::read_more() {
  auto& parser = x_->parser;
  if (told_ || ending_ == ending::gone || ending_ == ending::eof)
    throw payload_error("the body of the request: the client has ended the connection");
  if (parser.failed()) throw_refused(parser.error());
  const auto bytes = c_.reader.buffered();
  if (!bytes.empty()) {
    const auto used = parser.feed(bytes);
    c_.reader.consume(used);
    if (parser.failed()) throw_refused(parser.error());
    co_return;
  }
  if (!continued_ && !responding_ && parser.expects_continue()) {
    x_->out += "HTTP/1.1 100 Continue\r\n\r\n";
    continued_ = true;
    flush();
  }
  (void)watched_.back();
  const auto by = saturating_add(clock::now(), e_.options.body_timeout);
  // A 408 behind the head of an answer would be taken for a part of that answer.
  if (!watched_.wait(phase::reading, by, !responding_)) {
    (void)watched_.back();
    ending_ = ending::eof;
    throw payload_error("the body of the request: the server stops");
  }
  bool more = false;
  std::exception_ptr broken;
  try {
    more = co_await c_.reader.fill();
  } catch (const std::system_error&) { broken = std::current_exception(); } catch (...) {
    has_waited();
    throw;
  }
  has_waited();
  if (more) co_return;
  ending_ = broken ? ending::gone : ending::eof;
  throw payload_error("the body of the request: the client has ended the connection");
}

task<> conversation::stream_body() {
  auto& x = *x_;
  const auto earlier = x.out.size();
  const bool ends = ends_with_client();
  body_writer w(c_.writer, x.out, watched_, ends);
  body_framing framing = body_framing::none;
  std::exception_ptr failure;
  responding_ = true;
  try {
    framing = write_head(x.out, x.answer, to_, x.answer.stream.length);
    if (framing != body_framing::none) {
      w.chunked_ = framing == body_framing::chunked;
      w.counted_ = framing == body_framing::length;
      w.left_ = x.answer.stream.length.value_or(0);
      watched_.work(ends, clock::now());
      if (x.answer.stream.filter)
        w.filter_ = std::make_shared<body_filter>(std::move(x.answer.stream.filter));
      task<> work = x.answer.stream.write(w);
      co_await work;
      if (w.filter_) {
        task<> rest = w.put_filtered({}, true);
        co_await rest;
      }
      if (w.counted_ && w.left_ > 0 && !w.gone_)
        heddle::detail::throw_usage("a streamed body was shorter than its promised length");
    }
  } catch (...) { failure = std::current_exception(); }
  (void)watched_.back();
  watched_.end_as_usual();
  responding_ = false;
  if (w.gone_) {
    ending_ = ending::gone;
    e_.counted.count_aborted();
    c_.writer.abort();  // a close has no deadline, and nobody waits for the pending bytes
  }
  bool goes_on = true;
  try {
    if (failure) goes_on = fail_body(failure, w.begun_, earlier);
  } catch (...) {
    if (e_.has_log) note(x.answer.status, w.sent_, false);
    noted_ = true;
    throw;
  }
  if (e_.has_log) {
    const bool is_other = failure && goes_on;  // an answer for the failure
    const std::uint64_t other = to_.head ? 0 : x.answer.body.size();
    note(x.answer.status, is_other ? other : w.sent_, goes_on && !w.gone_);
  }
  if (!goes_on) co_return;
  if (!failure && w.chunked_) write_last_chunk(x.out);
  if (!failure && framing == body_framing::until_close) ending_ = ending::close;
  if (next_request() == next::room) flush();
}

/// False: the connection has ended.
bool conversation::fail_body(const std::exception_ptr& failure, bool begun, std::size_t earlier) {
  auto& x = *x_;
  bool unsendable = false;
  try {
    std::rethrow_exception(failure);
  } catch (const fatal_error&) { throw; } catch (const cancelled_error&) {
    if (is_cancelled_itself()) {
      // A body may last until the connection ends: only a reset says that it is not complete.
      c_.writer.abort();
      throw;
    }
  } catch (const bad_value&) { unsendable = x.out.size() == earlier; } catch (...) {
  }
  if (ending_ == ending::gone)
    return false;  // the failure is that the client is gone, or came with it
  if (!begun) {    // nothing of this answer has been sent, and the answers before it are to arrive
    x.out.resize(earlier);
    if (unsendable) {
      engine::report("a handler's response cannot be sent", failure);
      x.answer = response::error(500);
    } else {
      engine::answer_failure(x, failure);
    }
    x.answer.stream = {};
    if (e_.app.prepares) e_.prepare(x);
    if (!is_open()) to_.keep_alive = false;
    engine::write_answer(x, to_);
    return true;
  }
  // The head has been sent and cannot be taken back. The reset shows the client that the body is
  // not complete.
  engine::report("a streamed body failed", failure);
  x.out.clear();
  c_.writer.abort();
  ending_ = ending::gone;
  return false;
}

}  // namespace heddle::http::detail
