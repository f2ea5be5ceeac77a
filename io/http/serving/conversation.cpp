// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/conversation.h>

#include <heddle/core/errors.h>
#include <heddle/core/simulated/world.h>
#include <heddle/io/tls/end_output.h>
#include <heddle/sched/sleep.h>

#include <poll.h>

#include <algorithm>
#include <ctime>
#include <system_error>
#include <utility>

namespace heddle::http::detail {

namespace {

// So many bytes of answers are gathered. Then they are sent, although more answers are to come.
constexpr std::size_t send_at = 64 * 1024;
// A connection that holds less is not counted by the engine.
constexpr std::size_t held_from = 16 * 1024;
// So long may the pipelined requests of one connection be answered. Then others have their turn.
constexpr auto turn = duration(std::chrono::milliseconds(2));

/// The thread's spare exchanges. Never inlined: a coroutine that calls it may resume on another
/// thread, and must not find an address that was kept from before.
HEDDLE_NOINLINE std::vector<std::unique_ptr<exchange>>& spares() {
  thread_local std::vector<std::unique_ptr<exchange>> list;
  return list;
}

/// The time, up to some milliseconds old, for a fifth of what the exact time costs.
time_point coarse_now() noexcept {
  if (heddle::detail::this_world() != nullptr) return clock::now();
  std::timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

}  // namespace

inline void borrowed::take(const limits& l) {
  if (mine_) return;
  auto& list = spares();
  if (list.empty()) {
    mine_ = std::make_unique<exchange>(l);
  } else {
    mine_ = std::move(list.back());
    list.pop_back();
    mine_->parser.set_limits(l);
  }
}

void borrowed::give_back() noexcept {
  if (!mine_) return;
  constexpr std::size_t keep = 32;
  if (mine_->parser.idle())
    mine_->parser.set_empty_bytes(0);  // all else is as new
  else
    mine_->parser.next();
  mine_->scope.renew();
  mine_->answer.clear();
  mine_->out.clear();
  if (mine_->piece.capacity() > 0) mine_->piece = {};
  auto& list = spares();
  if (mine_->out.capacity() <= send_at && list.size() < keep) {
    try {
      list.reserve(keep);
      list.push_back(std::move(mine_));
    } catch (const std::bad_alloc&) {}  // then it is not kept
  }
  mine_.reset();
}

conversation::conversation(engine& e, connection& c, bool secure)
    : e_(e),
      c_(c),
      watched_(e.watching, c.writer),
      secure_(secure),
      left_(e.options.requests_per_connection),
      now_(clock::now()) {
  arrived_ = began_ = idle_since_ = now_;
}

// The writer is closed on purpose, whatever ends the connection: in debug mode a writer that is
// only dropped is warned of. A close has no deadline, and nobody waits any more for bytes that are
// not sent yet. So these are dropped.
// A task that was cancelled amid a request leaves an answer that is not complete. Only a reset
// tells the client so, for a body may last until the connection ends.
conversation::~conversation() {
  hold(0);
  // Its handler was cancelled, or its client is gone.
  const bool is_open_request = x_.get() != nullptr && x_->parser.head_done() && !discarding_;
  if (e_.has_log && is_open_request && !noted_) note(0, 0, false);
  if (x_.get() != nullptr && x_->scope.link) x_->scope.cut_off();
  // TLS's own end is sealed behind the last answer, on io_uring by the thread that collects the
  // answer's completion. A reset would take it, and the client would not know a whole answer.
  const bool cut = ending_ == ending::none && x_.get() != nullptr;
  if (cut || (ending_ != ending::gone && heddle::detail::has_unsent_data(c_.writer)))
    c_.writer.abort();
  c_.writer.close();
}

void conversation::refuse_if_crowded() {
  const auto most = e_.options.max_connections;
  if (watched_.came_as() <= most) return;
  ending_ = ending::gone;
  if (watched_.came_as() / 2 > most) return;  // so many are being answered already
  ending_ = ending::close;
  take_exchange();
  (void)refuse(503, "max_connections is reached");
  flush();
}

inline time_point conversation::deadline() const noexcept {
  const auto& o = e_.options;
  if (x_.get() == nullptr) return saturating_add(idle_since_, o.idle_timeout);
  if (x_->parser.head_done()) return saturating_add(now_, o.body_timeout);
  return saturating_add(began_, o.header_timeout);
}

inline void conversation::take_exchange() {
  x_.take(e_.parse_limits());
  auto& scope = x_->scope;
  scope.gate = this;
  scope.client = &c_.writer;
  scope.trusted = &e_.trusted;
  scope.secure = secure_;
  x_->parser.set_in_pieces(e_.routes.looks_early());
}

inline bool conversation::may_read() {
  const bool partial = x_.get() != nullptr && !discarding_;
  if (watched_.wait(phase::reading, deadline(), partial)) return true;
  ending_ = ending::eof;  // idle, and the server stops
  return false;
}

inline bool conversation::has_read(bool more) {
  const auto then = watched_.back();
  if (then != after::go_on || !more) [[unlikely]] {
    ending_ = then == after::nothing  ? ending::gone
              : then == after::linger ? ending::close
                                      : ending::eof;
    if (then == after::linger && e_.has_log && !discarding_) note(408, 0, true);
    return false;
  }
  arrived_ = clock::now();
  answered_ = 0;
  if (x_.get() == nullptr) {
    began_ = arrived_;
    take_exchange();
    if (empty_bytes_ != 0) x_->parser.set_empty_bytes(empty_bytes_);
  }
  watched_.used();
  return true;
}

/// Before the answers are sent, so that a client which has its answer finds it counted.
inline void conversation::count_answers() noexcept {
  if (!uncounted_.empty()) e_.counted.count(std::exchange(uncounted_, answer_tally()));
}

void conversation::flush() {
  if (x_->out.empty()) return;
  count_answers();
  c_.writer.write(x_->out);
  x_->out.clear();
}

/// Has the engine count what this connection holds, if that is a lot.
void conversation::hold(std::size_t bytes) noexcept {
  if (bytes < held_from) bytes = 0;
  if (bytes == held_) return;
  e_.hold(held_, bytes);
  held_ = bytes;
}

inline bool conversation::took_long() const noexcept { return answered_at_ - arrived_ >= turn; }

/// Parses and answers what stands in `bytes`, until something has to be awaited. `used`: so many of
/// them.
inline next conversation::answer_some(std::string_view bytes, std::size_t& used) {
  auto& parser = x_->parser;
  while (is_open() && used < bytes.size()) {
    if (answered_ != 0 && took_long()) return next::pause;
    used += parser.feed(bytes.substr(used));
    if (!parser.done() || discarding_) {
      if (const next then = unfinished(); then != next::go_on) return then;
      continue;
    }
    const request& r = parser.message();
    to_ = reply_to(r);
    to_.server = e_.options.server_name;
    if (e_.watching.is_stopping()) to_.keep_alive = false;
    if (r.body.size() >= held_from) [[unlikely]]
      hold(r.body.size());
    if (e_.is_full()) [[unlikely]]
      return refuse(503, "max_held_bytes is reached");
    waiting_ = e_.answer_at_once(*x_);
    if (waiting_ != nullptr) return next::handler;
    if (const next then = conclude(); then != next::go_on) return then;
  }
  return is_open() ? next::go_on : next::read;
}

// The reader may hold more than it shows at once. So it is asked again, until it shows nothing.
inline next conversation::advance() {
  while (is_open()) {
    const auto bytes = c_.reader.buffered();
    if (bytes.empty()) break;
    std::size_t used = 0;
    const next then = answer_some(bytes, used);
    c_.reader.consume(used);
    if (then != next::go_on) return then;
  }
  return next::read;
}

bool conversation::ends_with_client() const noexcept {
  const auto* const to = x_->scope.target;
  if (to != nullptr && to->ends_with_client) return *to->ends_with_client;
  switch (x_->parser.message().method.kind()) {
    case method::get:
    case method::head:
    case method::options:
    case method::trace: return true;
    default: return false;
  }
}

bool conversation::before_handler() {
  flush();
  if (c_.writer.is_closing()) {
    ending_ = ending::gone;
    return false;
  }
  return true;
}

bool conversation::has_room() const noexcept { return c_.writer.buffered() <= send_at; }

task<response> conversation::call_handler() {
  watched_.work(ends_with_client(), coarse_now());
  x_->parser.message().seat.lead_to(this);
  return (*waiting_)(x_->parser.message());
}

connection conversation::take_over() {
  watched_.leave();
  ending_ = ending::gone;
  permit_.unlock();
  uncounted_.add(101);
  count_answers();
  if (e_.has_log) note(101, 0, true);
  return std::move(c_);
}

bool conversation::client_is_gone() const noexcept {
  if (c_.writer.is_closing() || c_.reader.at_eof()) return true;
  pollfd socket{c_.writer.native_handle(), POLLRDHUP, 0};
  return socket.fd >= 0 && ::poll(&socket, 1, 0) > 0 &&
         (socket.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

next conversation::handled(const std::exception_ptr& failure) {
  (void)watched_.back();
  permit_.unlock();
  x_->parser.message().seat.lead_to(nullptr);
  if (failure) engine::answer_failure(*x_, failure);
  if (std::exchange(overfull_, false) && x_->answer.status == 503) e_.add_retry_after(x_->answer);
  if (!told_ && !is_gone() && c_.writer.is_closing()) {
    ending_ = ending::gone;
    e_.counted.count_aborted();
  }
  if (told_ || is_gone()) {  // the client has its answer, or wants none
    if (told_) ending_ = ending::close;
    if (e_.has_log && !noted_) note(told_ ? 408 : 0, 0, told_);
    x_->answer.clear();
    return next::read;
  }
  if (e_.watching.is_stopping()) to_.keep_alive = false;
  return conclude();
}

/// There is an answer.
next conversation::conclude() {
  ++answered_;
  answered_at_ = coarse_now();
  if (!x_->parser.done()) [[unlikely]]
    settle_body();
  if (left_ != 0 && --left_ == 0) [[unlikely]]
    to_.keep_alive = false;
  if (e_.app.prepares) [[unlikely]]
    e_.prepare(*x_);
  if (!keeps_alive(x_->answer, to_)) ending_ = ending::close;
  if (x_->answer.stream) {
    uncounted_.add(x_->answer.status);
    count_answers();  // the body's writer sends them
    return next::body;
  }
  // The time of a simulation is not that of the Date.
  const bool is_simulated = heddle::detail::this_world() != nullptr;
  engine::write_answer(*x_, to_, is_simulated ? time_point() : answered_at_);
  uncounted_.add(x_->answer.status);
  if (e_.has_log) [[unlikely]]
    note(x_->answer.status, to_.head ? 0 : x_->answer.body.size(), true);
  return next_request();
}

next conversation::next_request() {
  if (x_->parser.done() || !is_open()) [[likely]]
    x_->parser.next();
  else
    discarding_ = true;
  if (e_.routes.looks_early()) [[unlikely]]
    x_->parser.set_limits(e_.parse_limits());
  x_->scope.renew();
  x_->answer.clear();
  continued_ = false;
  began_ = arrived_;
  if (held_ != 0) [[unlikely]]
    hold(0);
  return x_->out.size() >= send_at ? next::room : next::go_on;
}

inline bool conversation::send_answers() {
  flush();
  now_ = clock::now();
  if (answered_ != 0) {
    e_.counted.count_latency(answered_, now_ - arrived_);
    idle_since_ = now_;
  }
  if (x_->parser.idle()) {
    empty_bytes_ = x_->parser.empty_bytes();
    x_.give_back();
  }
  return is_open() && c_.writer.buffered() > 0;
}

task<> conversation::wait_for_room() {
  if (x_.get() != nullptr) flush();
  hold(std::max(held_, c_.writer.buffered()));
  watched_.wait_for_room();
  co_await c_.writer.drain();
  if (watched_.back() != after::go_on) ending_ = ending::gone;
  hold(x_.get() == nullptr ? 0 : x_->parser.message().body.size());
}

// A task that yields stays ready, and a loop that has a ready task looks at its sockets and signals
// only now and then. So this task sleeps instead.
task<> conversation::pause() {
  flush();
  if (has_room()) {
    co_await sleep(std::chrono::microseconds(1));
  } else {  // answers that the client does not take must not pile up from turn to turn
    task<> work = wait_for_room();
    co_await work;
  }
  if (c_.writer.is_closing()) ending_ = ending::gone;
  arrived_ = clock::now();
}

/// Reads what the client still sends, until the client ends. A close with unread bytes is a reset,
/// and the reset destroys answers that the client has not read yet.
task<> conversation::linger() {
  heddle::detail::end_output(c_.writer);
  const auto& o = e_.options;
  std::size_t left = c_.writer.buffered() + 1;
  time_point until;
  time_point last;  // by then the client has to take something
  for (;;) {
    const auto n = c_.reader.buffered().size();
    c_.reader.consume(n);
    const auto now = clock::now();
    const auto unsent = c_.writer.buffered();
    if (unsent < left) {
      last = saturating_add(now, o.write_timeout);
      until = saturating_add(now, o.linger_time);
      left = unsent;
    }
    // On io_uring the last answer is still unsent when a connection begins to linger. A client that
    // then is silent would be kept for write_timeout instead of linger_timeout. So linger_timeout
    // counts in any case. When it is over and bytes are unsent, the watch gives the client more
    // time as long as it takes some.
    const auto by = std::min(saturating_add(now, o.linger_timeout), unsent > 0 ? last : until);
    if (by <= now || !watched_.wait(phase::lingering, by, false)) break;
    const bool more = co_await c_.reader.fill();
    if (watched_.back() == after::nothing) {
      ending_ = ending::gone;
      break;
    }
    if (!more) break;
  }
}

task<> conversation::finish() {
  if (ending_ == ending::close) {
    if (x_.get() != nullptr) flush();
    task<> reading = linger();
    co_await reading;
  }
  // More than once: behind the last answer comes the end of TLS.
  while (ending_ != ending::gone && c_.writer.buffered() != 0) {
    c_.writer.set_write_limits(0, 0);
    task<> sending = wait_for_room();
    co_await sending;
  }
}

task<> converse(std::shared_ptr<engine> self, connection c, bool secure) {
  conversation talk(*self, c, secure);
  try {
    talk.refuse_if_crowded();
    while (talk.is_open() && talk.may_read()) {
      const bool more = co_await c.reader.fill();
      if (!talk.has_read(more)) break;
      next what = talk.advance();
      while (what != next::read && !talk.is_gone()) {
        task<> work;
        if (what == next::handler) {
          if (!talk.before_handler()) break;
          if (!talk.has_room()) {
            work = talk.wait_for_room();
            co_await work;
            if (talk.is_gone()) break;
          }
          if (talk.must_queue()) {
            task<next> queueing = talk.queue();
            what = co_await queueing;
            if (what != next::handler) {
              if (what == next::go_on) what = talk.advance();
              continue;
            }
          }
          std::exception_ptr failure;
          try {
            task<response> answering = talk.call_handler();
            talk.answer() = co_await answering;
          } catch (...) { failure = std::current_exception(); }
          what = talk.handled(failure);
          if (what == next::go_on) what = talk.advance();
          continue;
        }
        work = what == next::body   ? talk.stream_body()
               : what == next::room ? talk.wait_for_room()
                                    : talk.pause();
        co_await work;
        what = talk.advance();
      }
      if (talk.send_answers()) {
        task<> work = talk.wait_for_room();
        co_await work;
      }
    }
    task<> end = talk.finish();
    co_await end;
  } catch (const std::system_error&) {
    // The client is gone, and that is no error of the server's. Errors of handlers do not come
    // here.
  }
}

}  // namespace heddle::http::detail
