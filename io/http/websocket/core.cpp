// SPDX-License-Identifier: MIT
// The life of a WebSocket, and what time decides.
#include <heddle/io/http/websocket/core.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/errors.h>
#include <heddle/sched/create_task.h>

#include <algorithm>
#include <utility>

namespace heddle::http::detail {

void ws_core::begin(connection c, ws_agreed with) {
  c_ = std::move(c);
  agreed_ = std::move(with);
  frames_.emplace(side_, options_->max_message, agreed_.deflate.has_value());
  c_.writer.set_write_limits(options_->send_buffer, options_->send_buffer / 4);
  {
    const guard hold(lock_);
    born_ = heard_ = clock::now();
    stage_ = ws_stage::open;
    arm_locked();
  }
  try {
    create_task(pump(self()));
  } catch (...) {
    c_.writer.abort();
    finish(std::current_exception());
    throw;
  }
}

void ws_core::accept(const headers& extra) {
  if (!is_offered()) return;
  if (offer_ == nullptr) throw_lost();
  std::exchange(offer_, nullptr)->accept(*this, extra);
}

void ws_core::withdraw() noexcept {
  const guard hold(lock_);
  offer_ = nullptr;
  if (stage_ != ws_stage::offered) return;
  stage_ = ws_stage::over;
  input_over_ = true;
  readable_.set();
  ended_.set();
}

ws_stage ws_core::stage() const noexcept {
  const guard hold(lock_);
  return stage_;
}

int ws_core::close_code() const noexcept {
  const guard hold(lock_);
  return stage_ == ws_stage::over || peer_closed_ || failed_ ? code_ : 0;
}

std::string ws_core::close_reason() const {
  const guard hold(lock_);
  return reason_;
}

std::exception_ptr ws_core::failure() const noexcept {
  const guard hold(lock_);
  return failure_;
}

void ws_core::throw_lost_locked() const {
  std::string text = "the WebSocket is closed";
  if (peer_closed_ || failed_ || stage_ == ws_stage::over) text += ": " + std::to_string(code_);
  if (!reason_.empty()) text += " (" + printable(reason_) + ")";
  throw connection_lost(text);
}

void ws_core::throw_lost() const {
  const guard hold(lock_);
  throw_lost_locked();
}

// --- closing ---

/// Sends a close frame. The stage is open.
void ws_core::close_locked(int code, std::string_view reason) noexcept {
  stage_ = ws_stage::closing;
  close_by_ = saturating_add(clock::now(), options_->close_timeout);
  try {
    frame_head head;
    head.op = opcode::close;
    const auto body = close_body(code, reason);
    head.length = body.size();
    write_locked(head, body);
  } catch (const std::exception&) {  // no memory: the peer sees the connection end
    c_.writer.abort();
  }
  room_.set();  // from here on the pump drops what has no room
  arm_locked();
}

void ws_core::begin_close(int code, std::string_view reason) noexcept {
  const guard hold(lock_);
  if (stage_ == ws_stage::open) close_locked(code, reason);
}

task<> ws_core::close(ws_ref self, int code, std::string reason) {
  self->begin_close(code, reason);
  try {
    co_await self->ended_.wait();
  } catch (const cancelled_error&) {
    self->abort();
    throw;
  }
}

task<> ws_core::wait_ended(ws_ref self) { co_await self->ended_.wait(); }

/// The connection is over. The pump's last word, and nothing else of it follows.
void ws_core::finish(std::exception_ptr failure) noexcept {
  c_.writer.close();
  std::exception_ptr lost;
  try {
    if (!failure) throw connection_lost("the connection ended without a close frame");
  } catch (...) { lost = std::current_exception(); }
  callback_handle timer;
  {
    const guard hold(lock_);
    if (!peer_closed_ && !failed_ && !failure_) failure_ = failure ? failure : lost;
    stage_ = ws_stage::over;
    input_over_ = true;
    timer = std::move(timer_);
    for (auto* p = std::exchange(pings_, nullptr); p != nullptr;) {
      auto* const next = p->next;
      p->done.set();
      p = next;
    }
    readable_.set();
    room_.set();
    ended_.set();
  }
  timer.cancel();  // it holds a reference, and so what is destroyed with it is not destroyed here
}

// --- time ---

std::optional<duration> ws_core::ping_after() const noexcept {
  if (options_->heartbeat) return options_->heartbeat->get();
  if (options_->idle) return options_->idle->get() / 2;
  return {};
}

/// The next time at which there may be something to do.
time_point ws_core::next_look_locked() const noexcept {
  if (stage_ == ws_stage::closing) return close_by_;
  auto next = time_point::max();
  if (stage_ != ws_stage::open) return next;
  if (options_->max_lifetime) next = saturating_add(born_, *options_->max_lifetime);
  // A pump that waits for room hears nothing, so silence means nothing. It looks when it goes on.
  if (paused_) return next;
  if (options_->idle) next = std::min(next, saturating_add(heard_, *options_->idle));
  const auto after = ping_after();
  if (!after) return next;
  if (!pinged_) return std::min(next, saturating_add(heard_, *after));
  if (options_->heartbeat)
    next = std::min(next, saturating_add(pinged_at_, options_->heartbeat->get() / 2));
  return next;
}

/// Sees to it that look_at_clock() is called in time. A timer that comes too early sets itself
/// anew. So what is heard moves no timer.
void ws_core::arm_locked() noexcept {
  const auto next = next_look_locked();
  if (next >= armed_for_) return;
  try {
    auto old = std::exchange(timer_, callback_handle());
    old.cancel();
    armed_for_ = next;
    timer_ = current_loop().call_at(next, [mine = self()] { mine->look_at_clock(); });
  } catch (const std::exception&) {  // no memory, or no loop: nobody would end the connection
    armed_for_ = time_point::max();
    c_.writer.abort();
  }
}

void ws_core::look_at_clock() noexcept {
  const guard hold(lock_);
  armed_for_ = time_point::max();
  const auto now = clock::now();
  if (stage_ == ws_stage::closing && now >= close_by_) {
    c_.writer.abort();
    return;
  }
  if (stage_ == ws_stage::open) {
    if (options_->max_lifetime && now >= saturating_add(born_, *options_->max_lifetime))
      close_locked(ws_code::going_away, "the lifetime is over");
    else if (!paused_)
      look_at_silence_locked(now);
  }
  arm_locked();
}

void ws_core::look_at_silence_locked(time_point now) {
  if (options_->heartbeat && pinged_ &&
      now >= saturating_add(pinged_at_, options_->heartbeat->get() / 2)) {
    failure_ = std::make_exception_ptr(
        timeout_error("the peer of a WebSocket has not answered a ping in time"));
    c_.writer.abort();  // the pump finds the end
    return;
  }
  if (options_->idle && now >= saturating_add(heard_, *options_->idle)) {
    close_locked(ws_code::going_away, "idle");
    return;
  }
  const auto after = ping_after();
  if (!after || pinged_ || now < saturating_add(heard_, *after)) return;
  pinged_ = true;
  pinged_at_ = now;
  frame_head head;
  head.op = opcode::ping;
  head.length = sizeof(std::uint64_t);
  write_locked(head, std::string(sizeof(std::uint64_t), '\0'));
}

}  // namespace heddle::http::detail
