// SPDX-License-Identifier: MIT
// The receiving half of a WebSocket: the pump, which reads frames, and the receivers.
#include <heddle/core/errors.h>
#include <heddle/io/byte_order.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/websocket/core.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace heddle::http::detail {
namespace {

// What a run in the queue costs besides its bytes: so that empty messages fill the queue too.
constexpr std::size_t run_cost = sizeof(ws_run);
// Pongs that a peer asks for and does not take. Above this they are not sent: only the last ping
// must be answered (RFC 6455, 5.5.3).
constexpr std::size_t most_pongs = std::size_t{16} * 1024;

}  // namespace

// --- the pump ---

task<> ws_core::pump(ws_ref self) {
  std::exception_ptr failure;
  try {
    for (bool more = true;;) {
      step what = self->take();
      while (what == step::wait) {
        co_await self->room_.wait();
        what = self->take();
      }
      if (what == step::over) break;
      if (!more) break;
      more = co_await self->c_.reader.fill();
      if (more) self->heard_something();
    }
    task<> leaving = self->leave();
    co_await leaving;
  } catch (const cancelled_error&) {
    self->abort();
    self->finish(std::current_exception());
    throw;
  } catch (...) { failure = std::current_exception(); }
  if (failure) self->abort();
  self->finish(std::move(failure));
}

void ws_core::heard_something() noexcept {
  if (!ping_after()) return;
  const auto now = clock::now();
  const guard hold(lock_);
  heard_ = now;
  pinged_ = false;
}

bool ws_core::has_room_or_clears() noexcept {
  const guard hold(lock_);
  // After our close frame what has no room is dropped: the peer's close frame stands behind it.
  const bool room = inbox_bytes_ < options_->receive_buffer || stage_ != ws_stage::open;
  if (!room) {
    room_.clear();
    paused_ = true;
  } else if (paused_) {
    paused_ = false;
    pinged_ = false;
    heard_ = clock::now();
    arm_locked();
  }
  return room;
}

/// Works on what was read. `read`: more is to be read. `wait`: for room. `over`: nothing of the
/// peer counts any more.
ws_core::step ws_core::take() {
  for (;;) {
    if (!has_room_or_clears()) return step::wait;
    step next = step::read;
    if (inflating_) {
      next = inflate_some();
    } else {
      const auto all = c_.reader.buffered();
      auto left = all;
      std::string run;
      const found what = frames_->next(left, run, options_->receive_buffer);
      c_.reader.consume(all.size() - left.size());
      if (what == found::nothing) return step::read;
      next = take_frame(what, run);
    }
    if (next != step::read) return next;
  }
}

ws_core::step ws_core::take_frame(found what, std::string& run) {
  switch (what) {
    case found::data: return take_run(run);
    case found::ping: answer_ping(); return step::read;
    case found::pong: take_pong(); return step::read;
    case found::close: return closed_by_peer();
    case found::failure: return fail(frames_->code(), frames_->reason());
    case found::nothing: break;
  }
  return step::read;
}

ws_core::step ws_core::take_run(std::string& run) {
  if (!frames_->is_compressed()) return deliver(run, frames_->begins(), frames_->ends());
  if (frames_->begins()) {
    const auto window = agreed_.deflate->their_window;
    if (!inflater_) inflater_ = take_inflater(window);
    inflated_size_ = 0;
    inflated_begins_ = true;
  }
  deflated_ = std::move(run);
  deflated_at_ = 0;
  inflated_ends_ = frames_->ends();
  inflating_ = !deflated_.empty() || inflated_ends_;
  return step::read;
}

/// Inflates a part of a run, at most as much as there is room for. So a small message that inflates
/// to a large one is refused before it is large.
ws_core::step ws_core::inflate_some() {
  const std::uint64_t left = options_->max_message - inflated_size_;
  const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(
      options_->receive_buffer, left < ~std::uint64_t{0} ? left + 1 : left));
  std::string run;
  auto rest = std::string_view(deflated_).substr(deflated_at_);
  const bool at_tail = rest.empty() && inflated_ends_;
  const auto how = at_tail ? inflater_->end(run, room) : inflater_->next(rest, run, room);
  deflated_at_ = deflated_.size() - rest.size();
  if (how == inflated::broken)
    return fail(ws_code::bad_data, "a message is not compressed rightly");
  if (run.size() > left) return fail(ws_code::too_big, "a message is longer than max_message");
  inflated_size_ += run.size();
  const bool ends = at_tail && how == inflated::all;
  if (how == inflated::all && (ends || !inflated_ends_)) {
    inflating_ = false;
    std::string().swap(deflated_);
  }
  if (ends && !agreed_.deflate->their_takeover) give_back(std::move(inflater_));
  if (run.empty() && !ends && !inflated_begins_) return step::read;
  return deliver(run, std::exchange(inflated_begins_, false), ends);
}

/// Queues a run of a message.
ws_core::step ws_core::deliver(std::string& run, bool begins, bool ends) {
  const auto kind = static_cast<ws_kind>(frames_->kind());
  if (begins) checker_ = utf8_checker();
  if (kind == ws_kind::text && (!checker_.feed(run) || (ends && !checker_.complete())))
    return fail(ws_code::bad_data, "a text is no UTF-8");
  const guard hold(lock_);
  if (input_over_) return step::read;
  if (stage_ != ws_stage::open && inbox_bytes_ >= options_->receive_buffer) {
    input_over_ = true;  // what follows would be a part of a message at best
    readable_.set();
    return step::read;
  }
  const bool joins = !begins && inbox_at_ < inbox_.size();
  if (joins) {
    auto& last = inbox_.back();
    last.bytes += run;
    last.ends = ends;
    inbox_bytes_ += run.size();
  } else {
    const auto n = run.size();
    inbox_.push_back({std::move(run), kind, begins, ends});
    inbox_bytes_ += n + run_cost;
  }
  // A receiver that joins runs is not woken for each of them.
  if (ends || streaming_ || inbox_bytes_ >= options_->receive_buffer / 2) readable_.set();
  return step::read;
}

void ws_core::answer_ping() {
  const guard hold(lock_);
  if (stage_ != ws_stage::open) return;
  if (c_.writer.buffered() == 0) control_bytes_ = 0;
  const auto body = frames_->control_body();
  control_bytes_ += body.size() + 2;
  if (control_bytes_ > most_pongs) return;
  frame_head head;
  head.op = opcode::pong;
  head.length = body.size();
  write_locked(head, body);
}

/// A pong answers its ping and all pings before it.
void ws_core::take_pong() noexcept {
  const auto body = frames_->control_body();
  if (body.size() != sizeof(std::uint64_t)) return;
  const auto id = heddle::detail::load_uint(body, byte_order::big);
  const auto now = clock::now();
  const guard hold(lock_);
  if (id > last_ping_) return;
  while (pings_ != nullptr && pings_->id <= id) {
    auto& p = *std::exchange(pings_, pings_->next);
    p.answered = true;
    p.taken = now - p.sent;
    p.done.set();
  }
}

/// The peer breaks the rules: it is told, and not listened to any more.
ws_core::step ws_core::fail(int code, std::string_view why) {
  auto failure = std::make_exception_ptr(
      code == ws_code::too_big || code == ws_code::bad_data
          ? http_error(errc::broken_body, "a WebSocket's peer: " + std::string(why))
          : protocol_error("a WebSocket's peer: " + std::string(why)));
  const guard hold(lock_);
  if (!failure_) failure_ = std::move(failure);
  if (stage_ == ws_stage::open) {
    failed_ = true;
    code_ = code;
    reason_ = why;
    close_locked(code, why);
  }
  input_over_ = true;
  readable_.set();
  return step::over;
}

ws_core::step ws_core::closed_by_peer() {
  std::string reason(frames_->reason());
  const guard hold(lock_);
  peer_closed_ = true;
  code_ = frames_->code();
  reason_ = std::move(reason);
  if (stage_ == ws_stage::open) close_locked(code_, {});
  input_over_ = true;
  readable_.set();
  return step::over;
}

/// Ends the connection so that the peer gets all that was sent. After a handshake of closing the
/// server ends it first (RFC 6455, 7.1.1).
task<> ws_core::leave() {
  bool orderly = false;
  bool told = false;
  duration left{};
  {
    const guard hold(lock_);
    orderly = peer_closed_;
    told = stage_ == ws_stage::closing;
    left = time_left(close_by_, clock::now());
  }
  try {
    if (orderly && side_ == ws_side::client) {
      for (bool more = true; more;) {  // look_at_clock() ends it in time
        c_.reader.consume(c_.reader.buffered().size());
        more = co_await c_.reader.fill();
      }
    } else if ((orderly || failed_) && told) {
      task<bool> closing = c_.writer.close_within(left);
      (void)co_await closing;
    } else if (c_.writer.buffered() > 0) {
      c_.writer.abort();  // the peer has gone, and is not to keep what it does not take
    }
  } catch (const std::system_error&) {
    // The handshake is over, or the failure is known.
  }
}

// --- receivers ---

void ws_core::take_receiver() {
  accept(headers());
  const guard hold(lock_);
  if (receiving_) heddle::detail::throw_usage("another task receives from this WebSocket");
  receiving_ = true;
}

void ws_core::drop_receiver(bool inside_message) noexcept {
  const guard hold(lock_);
  receiving_ = false;
  streaming_ = false;
  if (inside_message) skip_rest_locked();
}

void ws_core::made_room_locked(std::size_t bytes) noexcept {
  inbox_bytes_ -= bytes + run_cost;
  if (paused_ && inbox_bytes_ < options_->receive_buffer) room_.set();
}

bool ws_core::pop_locked(ws_run& run) noexcept {
  constexpr std::size_t kept_runs = 64;
  if (inbox_at_ == inbox_.size()) return false;
  run = std::move(inbox_[inbox_at_++]);
  made_room_locked(run.bytes.size());
  if (inbox_at_ < inbox_.size()) return true;
  inbox_.clear();
  inbox_at_ = 0;
  if (inbox_.capacity() > kept_runs) std::vector<ws_run>().swap(inbox_);
  return true;
}

void ws_core::drop_skipped_locked() noexcept {
  ws_run run;
  while (skips_ && pop_locked(run)) skips_ = !run.ends;
}

/// Takes the next run out of the queue, but those of a message whose rest is dropped.
bool ws_core::take_run_locked(ws_run& run) noexcept {
  drop_skipped_locked();
  return pop_locked(run);
}

/// The message that was taken in part is dropped, and what is to come of it.
void ws_core::skip_rest_locked() noexcept {
  if (!joining_) return;
  joining_ = false;
  std::string().swap(joined_);
  skips_ = !std::exchange(joined_ends_, false);
  drop_skipped_locked();
}

/// Puts runs together. What it has put together stays here if the task is cancelled.
bool ws_core::take_message_locked(ws_message& m) {
  ws_run run;
  while (joined_ends_ || take_run_locked(run)) {
    if (std::exchange(joined_ends_, false)) {
      run.ends = true;  // it waits in joined_ as a whole
    } else if (!joining_) {
      joined_ = std::move(run.bytes);
      joined_kind_ = run.kind;
      joining_ = true;
    } else {
      joined_ += run.bytes;
    }
    if (!run.ends) continue;
    joining_ = false;
    m.kind = joined_kind_;
    m.data = std::move(joined_);
    joined_ = std::string();
    return true;
  }
  return false;
}

namespace {

struct receiver_role {
  explicit receiver_role(ws_core& c) : core(c) { core.take_receiver(); }
  receiver_role(const receiver_role&) = delete;
  ~receiver_role() { core.drop_receiver(false); }
  ws_core& core;
};

}  // namespace

task<std::optional<ws_message>> ws_core::receive(ws_ref self) {
  const receiver_role role(*self);
  std::optional<ws_message> m(std::in_place);
  for (;;) {
    {
      const guard hold(self->lock_);
      if (self->take_message_locked(*m)) co_return m;
      if (self->input_over_) co_return std::nullopt;
      self->readable_.clear();
    }
    co_await self->readable_.wait();
  }
}

task<std::optional<ws_kind>> ws_core::next_begins(ws_ref self) {
  for (;;) {
    {
      const guard hold(self->lock_);
      self->streaming_ = true;
      if (self->joining_) co_return self->joined_kind_;
      ws_run run;
      if (self->take_run_locked(run)) {
        // It waits in joined_, as if receive() had been cancelled.
        self->joined_ = std::move(run.bytes);
        self->joined_kind_ = run.kind;
        self->joining_ = true;
        self->joined_ends_ = run.ends;
        co_return run.kind;
      }
      if (self->input_over_) co_return std::nullopt;
      self->readable_.clear();
    }
    co_await self->readable_.wait();
  }
}

task<std::optional<std::string>> ws_core::next_run(ws_ref self) {
  for (;;) {
    {
      const guard hold(self->lock_);
      if (!self->joined_.empty()) {
        std::optional<std::string> some(std::exchange(self->joined_, std::string()));
        co_return some;
      }
      if (self->joined_ends_) {
        self->joined_ends_ = false;
        self->joining_ = false;
        co_return std::nullopt;
      }
      ws_run run;
      if (self->take_run_locked(run)) {
        self->joined_ = std::move(run.bytes);
        self->joined_ends_ = run.ends;
        continue;
      }
      if (self->input_over_) self->throw_lost_locked();
      self->readable_.clear();
    }
    co_await self->readable_.wait();
  }
}

}  // namespace heddle::http::detail
