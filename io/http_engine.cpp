// SPDX-License-Identifier: MIT
#include <heddle/io/http_engine.h>

#include <heddle/core/errors.h>
#include <heddle/sched/runtime.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <system_error>

namespace heddle::http {
namespace detail {

using heddle::detail::acq_rel;
using heddle::detail::acquire;
using heddle::detail::bump;
using heddle::detail::relaxed;
using heddle::detail::seq_cst;

namespace {

// So much is gathered before it is sent, although more answers are to come.
constexpr std::size_t send_at = 64 * 1024;
// What a refused client may still send while it is given the chance to read why.
constexpr std::size_t linger_bytes = 1024 * 1024;
constexpr auto linger_time = std::chrono::seconds(2);
// What a stopping server gives a new connection for its first request, which may be under way.
constexpr auto fresh_time = std::chrono::milliseconds(200);

/// Until when a connection that has asked nothing may do so, from now on, when its server stops.
duration::rep first_request_by() noexcept {
  return saturating_add(clock::now(), duration(fresh_time)).time_since_epoch().count();
}

/// The thread's spare exchanges. Never inlined: the coroutines that call it resume on other
/// threads.
HEDDLE_NOINLINE std::vector<std::unique_ptr<exchange>>& spares() {
  thread_local std::vector<std::unique_ptr<exchange>> list;
  return list;
}

/// An exchange, taken from the spares of one thread and given to those of the thread it ends on.
class borrowed {
 public:
  borrowed() = default;
  borrowed(const borrowed&) = delete;
  borrowed& operator=(const borrowed&) = delete;
  ~borrowed() { give_back(); }

  void take(const limits& l) {
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
  void give_back() noexcept {
    if (!mine_) return;
    constexpr std::size_t keep = 32;
    mine_->parser.next();
    mine_->answer.clear();
    mine_->out.clear();
    auto& list = spares();
    if (mine_->out.capacity() <= send_at && list.size() < keep) {
      list.reserve(keep);
      list.push_back(std::move(mine_));
    }
    mine_.reset();
  }
  exchange& operator*() const noexcept { return *mine_; }
  exchange* operator->() const noexcept { return mine_.get(); }
  [[nodiscard]] exchange* get() const noexcept { return mine_.get(); }

 private:
  std::unique_ptr<exchange> mine_;
};

void report(std::string message, const std::exception_ptr& error) {
  error_context what;
  what.message = std::move(message);
  what.error = error;
  current_runtime().report(what);
}

}  // namespace

// --- routes ---

void route_table::add(method m, std::string path, handler h, bool is_prefix) {
  methods* at = nullptr;
  if (!is_prefix) {
    at = &exact_[std::move(path)];
  } else {
    auto found = std::ranges::find(prefixes_, path, &std::pair<std::string, methods>::first);
    if (found == prefixes_.end()) {
      const auto shorter = std::ranges::find_if(
          prefixes_, [&](const auto& p) { return p.first.size() < path.size(); });
      found = prefixes_.emplace(shorter, std::move(path), methods{});
    }
    at = &found->second;
  }
  std::erase_if(*at, [&](const auto& entry) { return entry.first == m; });
  at->emplace_back(std::move(m), std::move(h));
}

const route_table::methods* route_table::find_path(std::string_view path) const {
  if (const auto found = exact_.find(path); found != exact_.end()) return &found->second;
  for (const auto& [prefix, entries] : prefixes_) {
    if (path.starts_with(prefix)) return &entries;
  }
  return nullptr;
}

const handler* route_table::find(const request& r, response& answer) const {
  const auto* entries = find_path(r.path);
  if (entries == nullptr) {
    answer = response::error(404);
    return nullptr;
  }
  const handler* for_get = nullptr;
  for (const auto& [m, h] : *entries) {
    if (m == r.method) return &h;
    if (m == method::get) for_get = &h;
  }
  if (for_get != nullptr && r.method == method::head) return for_get;
  answer = response::error(405);
  std::string allowed;
  for (const auto& entry : *entries) {
    if (!allowed.empty()) allowed += ", ";
    allowed += entry.first.text();
  }
  if (for_get != nullptr) allowed += ", HEAD";
  answer.headers.add("Allow", allowed);
  return nullptr;
}

// --- deadlines ---

slot::slot(engine& e, stream_writer& writer) : engine_(e), writer_(writer) { e.enter(*this); }

slot::~slot() { engine_.leave(*this); }

bool slot::wait(phase p, time_point until, bool partial) {
  const auto deadline = until.time_since_epoch().count();
  deadline_.store(deadline, relaxed);
  partial_.store(partial, relaxed);
  phase_.store(p, seq_cst);  // protocol EXPIRE
  if (deadline < engine_.armed_.load(seq_cst)) [[unlikely]]
    engine_.arm(deadline);
  if (partial || p == phase::writing || !engine_.stopping_.load(seq_cst)) return true;
  if (!fresh_.load(relaxed)) return false;
  // It began to wait when stop() had looked at all, and has the same time as those it found.
  const auto by = first_request_by();
  if (by < deadline) {
    deadline_.store(by, relaxed);
    engine_.arm(by);
  }
  return true;
}

void engine::enter(slot& s) {
  const std::lock_guard lock(mutex_);
  s.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &s;
  first_ = &s;
}

void engine::leave(slot& s) noexcept {
  const std::lock_guard lock(mutex_);
  (s.previous_ != nullptr ? s.previous_->next_ : first_) = s.next_;
  if (s.next_ != nullptr) s.next_->previous_ = s.previous_;
}

void engine::arm(duration::rep deadline) {
  const std::lock_guard lock(mutex_);
  if (deadline >= armed_.load(relaxed)) return;
  timer_.cancel();
  armed_.store(deadline, relaxed);
  timer_ = current_loop().call_at(time_point(duration(deadline)), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->sweep();
  });
}

// One timer for all connections. It comes when the earliest deadline that was known is reached;
// most connections have moved theirs since then, which costs them nothing.
void engine::sweep() {
  auto earliest = duration::max().count();
  {
    const std::lock_guard lock(mutex_);
    armed_.store(earliest, seq_cst);  // protocol EXPIRE
    const auto now = clock::now().time_since_epoch().count();
    for (slot* s = first_; s != nullptr; s = s->next_) {
      const auto p = s->phase_.load(seq_cst);
      if (p != phase::reading && p != phase::writing) continue;
      const auto deadline = s->deadline_.load(relaxed);
      if (deadline <= now)
        expire(*s, p);
      else
        earliest = std::min(earliest, deadline);
    }
  }
  if (earliest != duration::max().count()) arm(earliest);
}

// Under the mutex, which keeps the connection from going away.
void engine::expire(slot& s, phase was) noexcept {
  if (!s.phase_.compare_exchange_strong(was, phase::expired, acq_rel, relaxed)) return;
  auto& writer = s.writer_;
  if (was == phase::writing || writer.buffered() > 0) {
    writer.abort();
    return;
  }
  if (s.partial_.load(relaxed)) {
    try {
      std::string out;
      reply_to to;
      to.keep_alive = false;
      write_response(out, response::error(408), to);
      count(1, 1);
      writer.write(out);
    } catch (const std::exception&) {  // no memory: the client sees the connection end
    }
  }
  writer.close();
}

// Under the mutex. An idle connection of a stopping server: it has until the end of the grace to take what it was answered. Nor is that
// known to be sent as soon as the kernel has sent it.
void engine::dismiss(slot& s) noexcept {
  auto was = phase::reading;
  if (s.phase_.compare_exchange_strong(was, phase::expired, acq_rel, relaxed)) s.writer_.close();
}

time_point engine::deadline_of(const exchange* x, time_point began, time_point now) const {
  if (x == nullptr || x->parser.idle()) return saturating_add(now, options.idle_timeout);
  if (x->parser.head_done()) return saturating_add(now, options.body_timeout);
  return saturating_add(began, options.header_timeout);
}

// --- the conversation ---

/// Calls a handler that need not wait. Otherwise returns it, for the caller to await.
const handler::waiting* engine::answer_at_once(exchange& x) {
  const handler* h = routes.find(x.parser.message(), x.answer);
  if (h == nullptr) return nullptr;
  if (h->waiting_) return &h->waiting_;
  std::exception_ptr failure;
  try {
    x.answer = h->direct_(x.parser.message());
  } catch (const cancelled_error&) { throw; } catch (const fatal_error&) {
    throw;
  } catch (...) { failure = std::current_exception(); }
  if (failure) answer_failure(x, failure);
  return nullptr;
}

void engine::answer_failure(exchange& x, const std::exception_ptr& failure) {
  const auto& r = x.parser.message();
  try {
    std::rethrow_exception(failure);
  } catch (const status_error& e) {
    x.answer = response::error(e.status(), e.what());
    return;
  } catch (...) {}
  x.answer = response::error(500);
  report("unhandled exception in the handler of " + std::string(r.method.text()) + " " + r.path,
         failure);
}

void engine::refuse(exchange& x) {
  const auto& why = x.parser.error();
  reply_to to;
  to.keep_alive = false;
  write_response(x.out, response::error(why.status, why.reason), to);
}

void engine::write_answer(exchange& x, const reply_to& to) {
  try {
    write_response(x.out, x.answer, to);
  } catch (const bad_value&) {
    report("a handler's response cannot be sent", std::current_exception());
    write_response(x.out, response::error(500), to);
  }
}

void engine::count(unsigned requests, unsigned refused) noexcept {
  auto& mine = *counters_[heddle::detail::current_loop_index()];
  bump<std::uint64_t>(mine.requests, requests);
  if (refused > 0) bump<std::uint64_t>(mine.refused, refused);
}

void engine::count_latency(unsigned requests, duration each) noexcept {
  auto& mine = *counters_[heddle::detail::current_loop_index()];
  const auto ns = static_cast<std::uint64_t>(std::max(each, duration::zero()).count());
  bump<std::uint64_t>(mine.latency[latency_histogram::bucket(ns)], requests);
}

/// Waits until a slow client has taken enough. False: it took too long.
task<bool> engine::drain(connection& c, slot& s) {
  (void)s.wait(phase::writing, saturating_add(clock::now(), s.owner().options.write_timeout),
               false);
  co_await c.writer.drain();
  co_return s.back();
}

/// Ends the connection so that the client can read the last answer: closing a socket with unread
/// bytes would reset it, and a reset destroys what the client has not read yet.
task<> engine::linger(connection& c, slot& s) {
  c.writer.write_eof();
  const auto until = saturating_add(clock::now(), duration(linger_time));
  std::size_t dropped = 0;
  for (;;) {
    const auto n = c.reader.buffered().size();
    dropped += n;
    c.reader.consume(n);
    if (dropped > linger_bytes || !s.wait(phase::reading, until, false)) break;
    const bool more = co_await c.reader.fill();
    if (!s.back() || !more) break;
  }
}

/// For a connection that was accepted when the server had just been destroyed.
task<> engine::hang_up(connection c) {
  c.writer.close();
  co_return;
}

task<> engine::serve(std::shared_ptr<engine> self, connection c) {
  engine& e = *self;
  // On purpose, whatever ends it: a writer that is only dropped is warned of in debug mode.
  struct closer {
    stream_writer& writer;
    ~closer() { writer.close(); }
  } at_end{c.writer};
  slot s(e, c.writer);
  borrowed x;
  bool lingers = false;
  bool continued = false;  // "100 Continue" was sent for this request
  time_point now = clock::now();
  time_point began = now;  // of the request that is under way
  try {
    for (bool open = true; open;) {
      const bool partial = x.get() != nullptr;
      if (!s.wait(phase::reading, e.deadline_of(x.get(), began, now), partial)) break;
      const bool more = co_await c.reader.fill();
      if (!s.back() || !more) co_return;
      const time_point arrived = clock::now();
      if (!partial) began = arrived;
      s.used();
      x.take(e.options.limits);

      unsigned answered = 0;
      while (open) {
        const auto bytes = c.reader.buffered();
        if (bytes.empty()) break;
        c.reader.consume(x->parser.feed(bytes));
        if (x->parser.failed()) {
          e.refuse(*x);
          e.count(1, 1);
          lingers = true;
          open = false;
          break;
        }
        if (!x->parser.done()) {
          if (!continued && x->parser.expects_continue()) {
            x->out += "HTTP/1.1 100 Continue\r\n\r\n";
            continued = true;
          }
          break;
        }
        request& r = x->parser.message();
        reply_to to(r);
        if (e.stopping()) to.keep_alive = false;
        if (const auto* h = e.answer_at_once(*x)) {
          if (!x->out.empty()) {
            c.writer.write(x->out);
            x->out.clear();
          }
          std::exception_ptr failure;
          try {
            task<response> work = (*h)(r);
            x->answer = co_await work;
          } catch (const cancelled_error&) { throw; } catch (const fatal_error&) {
            throw;
          } catch (...) { failure = std::current_exception(); }
          if (failure) e.answer_failure(*x, failure);
          if (e.stopping()) to.keep_alive = false;
        }
        ++answered;
        e.count(1, 0);  // before it is sent: whoever has an answer is counted
        open = keeps_alive(x->answer, to);
        if (x->answer.stream) {
          task<bool> work = stream_answer(c, s, *x, to);
          const bool complete = co_await work;
          open = open && complete;
        } else {
          e.write_answer(*x, to);
        }
        x->parser.next();
        x->answer.clear();
        continued = false;
        began = arrived;
        if (x->out.size() >= send_at) {
          c.writer.write(x->out);
          x->out.clear();
          task<bool> work = drain(c, s);
          const bool taken = co_await work;
          if (!taken) co_return;
        }
      }

      if (!x->out.empty()) {
        c.writer.write(x->out);
        x->out.clear();
      }
      now = clock::now();
      if (answered > 0) e.count_latency(answered, now - arrived);
      if (x->parser.idle()) x.give_back();
      if (c.writer.buffered() > 0) {
        if (!open) c.writer.set_write_limits(0, 0);
        task<bool> work = drain(c, s);
        const bool taken = co_await work;
        if (!taken) co_return;
      }
    }
    if (lingers) {
      task<> work = linger(c, s);
      co_await work;
    }
  } catch (const std::system_error&) {
    // The client is gone, which is nobody's error. A handler's own errors do not come here.
  }
}

task<bool> engine::stream_answer(connection& c, slot& s, exchange& x, const reply_to& to) {
  auto& source = x.answer.stream;
  const auto framing = write_head(x.out, x.answer, to, source.length);
  if (framing == body_framing::none) co_return true;
  body_writer w(c.writer, x.out, s);
  w.chunked_ = framing == body_framing::chunked;
  w.counted_ = framing == body_framing::length;
  w.left_ = source.length.value_or(0);
  std::exception_ptr failure;
  try {
    task<> work = source.write(w);
    co_await work;
    if (w.counted_ && w.left_ > 0)
      heddle::detail::throw_usage("a streamed body was shorter than its promised length");
  } catch (const cancelled_error&) { throw; } catch (const fatal_error&) {
    throw;
  } catch (...) {
    if (w.gone_) throw;
    failure = std::current_exception();
  }
  if (failure) {
    // The head is gone and cannot be taken back: all that is left is to show that the body is not
    // complete.
    report("a streamed body failed", failure);
    x.out.clear();
    c.writer.abort();
    co_return false;
  }
  if (w.chunked_) write_last_chunk(x.out);
  co_return framing != body_framing::until_close;
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
  auto converse = [weak = weak_from_this()](connection c) {
    auto self = weak.lock();
    return self ? serve(std::move(self), std::move(c)) : hang_up(std::move(c));
  };
  task<heddle::server> work =
      start_server(std::move(converse), std::move(host), port, std::move(o));
  listener = co_await work;
}

task<> engine::stop(duration grace) {
  stopping_.store(true, seq_cst);  // protocol EXPIRE
  if (!listener.valid()) co_return;
  listener.close();
  const auto by = first_request_by();
  {
    const std::lock_guard lock(mutex_);
    for (slot* s = first_; s != nullptr; s = s->next_) {
      if (s->phase_.load(seq_cst) != phase::reading || s->partial_.load(relaxed)) continue;
      if (s->fresh_.load(relaxed))
        s->deadline_.store(by, relaxed);
      else
        dismiss(*s);
    }
  }
  arm(by);
  auto late = current_loop().call_later(grace, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->listener.abort_clients();
  });
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
  const std::lock_guard lock(mutex_);
  for (const slot* s = first_; s != nullptr; s = s->next_) {
    const auto p = s->phase_.load(relaxed);
    sum.connections += p != phase::expired;  // those are closed, only their tasks do not know yet
    sum.working += p == phase::busy;
  }
  return sum;
}

}  // namespace detail

task<> body_writer::write(std::string_view piece) {
  if (piece.empty()) co_return;
  if (counted_) {
    if (piece.size() > left_)
      heddle::detail::throw_usage("a streamed body is longer than its promised length");
    left_ -= piece.size();
  }
  if (chunked_) {
    write_chunk(buffer_, piece);
    piece = {};
  }
  if (!buffer_.empty()) {
    out_.write(buffer_);
    buffer_.clear();
  }
  out_.write(piece);
  if (out_.buffered() == 0) co_return;
  gone_ = true;  // unless the wait ends well
  (void)slot_.wait(detail::phase::writing,
                   saturating_add(clock::now(), slot_.owner().options.write_timeout), false);
  co_await out_.drain();
  if (!slot_.back()) throw_system_error(ETIMEDOUT, "send");
  gone_ = false;
}

}  // namespace heddle::http
