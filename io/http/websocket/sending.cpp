// SPDX-License-Identifier: MIT
// The sending half of a WebSocket. A message is one write under lock_, or fragments by the holder
// of message_lock_. Pings, pongs and closes are written between fragments.
#include <heddle/core/errors.h>
#include <heddle/io/byte_order.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/websocket/core.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/to_thread.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>
#include <utility>

namespace heddle::http::detail {
namespace {

// Larger messages are compressed on another thread: some 2 ms of a loop's time.
constexpr std::size_t compressed_here = std::size_t{64} * 1024;

void check_text(ws_kind kind, std::string_view bytes) {
  if (kind == ws_kind::text && !is_utf8(bytes)) throw bad_value("a WebSocket's text is no UTF-8");
}

}  // namespace

// --- frames ---

/// Writes a frame, by one call whatever its parts. A large one of a server is not copied.
void ws_core::write_locked(const frame_head& head, std::string_view body) {
  constexpr std::size_t small = 2048;
  const bool large = body.size() > small - most_frame_head;
  const bool masked = side_ == ws_side::client;
  if (large && masked) {
    std::string whole;
    append_frame(whole, head, body, side_);
    c_.writer.write(whole);
    return;
  }
  mask_key key{};
  if (masked) key = fresh_mask();
  std::array<char, most_frame_head> start;
  const auto n = write_frame_head(start, head, masked ? &key : nullptr);
  if (large) {
    const std::array<std::string_view, 2> parts{std::string_view(start.data(), n), body};
    c_.writer.write_lines(parts);
    return;
  }
  std::array<char, small> whole;
  std::memcpy(whole.data(), start.data(), n);
  if (!body.empty()) std::memcpy(whole.data() + n, body.data(), body.size());
  if (masked) apply_mask(whole.data() + n, body.size(), key, 0);
  c_.writer.write(std::string_view(whole.data(), n + body.size()));
}

bool ws_core::compresses(std::size_t n, ws_compress how) const noexcept {
  if (!agreed_.deflate || how == ws_compress::never) return false;
  return how == ws_compress::always || n >= options_->deflate->threshold;
}

/// For the holder of message_lock_.
std::string ws_core::compress(std::string_view bytes, bool last) {
  const auto& terms = *agreed_.deflate;
  const int memory = options_->deflate->memory;
  std::string small;
  if (last && !terms.own_takeover && !deflater_) {
    auto spare = take_deflater(terms.own_window, memory);
    spare->add(bytes, last, small);
    give_back(std::move(spare));
    return small;
  }
  if (!deflater_) deflater_ = std::make_shared<deflater>(terms.own_window, memory);
  deflater_->add(bytes, last, small);
  if (last && !terms.own_takeover) deflater_.reset();
  return small;
}

void ws_core::send_fragment(ws_kind kind, std::string_view bytes, bool first, bool last,
                            bool compressed) {
  std::string small;
  if (compressed) {
    small = compress(bytes, last);  // if the connection is closing, no further message refers to it
    bytes = small;
  }
  frame_head head;
  head.op = first ? static_cast<opcode>(kind) : opcode::continuation;
  head.fin = last;
  head.compressed = compressed && first;
  head.length = bytes.size();
  write_open(head, bytes);
}

void ws_core::write_open(const frame_head& head, std::string_view body) {
  const guard hold(lock_);
  check_open_locked();
  write_locked(head, body);
}

void ws_core::send_now(const prepared_message& m) {
  const bool compressed =
      !m.compressed.empty() && agreed_.deflate && agreed_.deflate->own_window >= m.window;
  if (compressed) {
    // The peer's window takes this message in, and our compressor does not know it.
    if (deflater_) deflater_->forget();
    frame_head head;
    head.op = static_cast<opcode>(m.kind);
    head.compressed = true;
    head.length = m.compressed.size();
    write_open(head, m.compressed);
    return;
  }
  if (side_ == ws_side::server) {
    const guard hold(lock_);
    check_open_locked();
    c_.writer.write(m.frame);
    return;
  }
  frame_head head;
  head.op = static_cast<opcode>(m.kind);
  head.length = m.body().size();
  write_open(head, m.body());
}

/// Gives message_lock_ back, after what try_send() has left for its holder.
void ws_core::end_message() noexcept {
  for (;;) {
    std::vector<std::shared_ptr<const prepared_message>> left;
    {
      const guard hold(lock_);
      if (waiting_.empty()) {
        message_lock_.unlock();
        return;
      }
      left.swap(waiting_);
      waiting_bytes_ = 0;
    }
    try {
      for (const auto& m : left) send_now(*m);
    } catch (const std::exception&) {
      // The connection is closing, and what waits is dropped.
    }
  }
}

// --- send ---

task<> ws_core::drained(ws_ref self) {
  try {
    co_await self->c_.writer.drain();
  } catch (const std::system_error&) { self->throw_lost(); }
}

task<> ws_core::send_in_turn(ws_ref self, ws_kind kind, std::string bytes, bool compressed) {
  co_await self->message_lock_.lock();
  {
    const message_turn turn(*self);
    if (compressed && bytes.size() > compressed_here) {
      // The job has all that it needs. If this task is cancelled meanwhile, the job's compressor is
      // dropped with the message, and the next message begins with a fresh one.
      const auto& terms = *self->agreed_.deflate;
      auto shared = std::move(self->deflater_);
      if (!shared)
        shared = std::make_shared<deflater>(terms.own_window, self->options_->deflate->memory);
      auto job = to_thread(
          [shared](const std::string& whole) {
            std::string small;
            shared->add(whole, true, small);
            return small;
          },
          std::move(bytes));
      const std::string small = co_await job;
      if (terms.own_takeover) self->deflater_ = std::move(shared);
      frame_head head;
      head.op = static_cast<opcode>(kind);
      head.compressed = true;
      head.length = small.size();
      self->write_open(head, small);
    } else {
      self->send_fragment(kind, bytes, true, true, compressed);
    }
  }
  task<> sent = drained(self);
  co_await sent;
}

task<> ws_core::send(ws_kind kind, std::string_view bytes, ws_compress how) {
  accept(headers());
  check_text(kind, bytes);
  const bool compressed = compresses(bytes.size(), how);
  if ((compressed && bytes.size() > compressed_here) || !message_lock_.try_lock()) {
    {
      const guard hold(lock_);
      check_open_locked();
    }
    return send_in_turn(self(), kind, std::string(bytes), compressed);
  }
  {
    const message_turn turn(*this);
    send_fragment(kind, bytes, true, true, compressed);
  }
  return drained(self());
}

task<> ws_core::send_in_turn(ws_ref self, std::shared_ptr<const prepared_message> m) {
  co_await self->message_lock_.lock();
  {
    const message_turn turn(*self);
    self->send_now(*m);
  }
  task<> sent = drained(self);
  co_await sent;
}

task<> ws_core::send(const std::shared_ptr<const prepared_message>& m) {
  accept(headers());
  if (!message_lock_.try_lock()) {
    {
      const guard hold(lock_);
      check_open_locked();
    }
    return send_in_turn(self(), m);
  }
  {
    const message_turn turn(*this);
    send_now(*m);
  }
  return drained(self());
}

task<> ws_core::send_stream(ws_ref self, ws_kind kind, async_generator<std::string> pieces,
                            ws_compress how) {
  const bool compressed = self->compresses(self->options_->send_buffer, how);
  co_await self->message_lock_.lock();
  const message_turn turn(*self);
  bool first = true;
  try {
    utf8_checker checker;
    while (auto* piece = co_await pieces.next()) {
      if (kind == ws_kind::text && !checker.feed(*piece))
        throw bad_value("a WebSocket's text is no UTF-8");
      self->send_fragment(kind, *piece, first, false, compressed);
      first = false;
      task<> sent = drained(self);
      co_await sent;
    }
    if (kind == ws_kind::text && !checker.complete())
      throw bad_value("a WebSocket's text is no UTF-8");
    self->send_fragment(kind, {}, first, true, compressed);
  } catch (...) {
    // A message cannot be taken back, nor ended as if it were whole.
    if (!first) self->begin_close(ws_code::failed, "a message was not finished");
    throw;
  }
  task<> sent = drained(self);
  co_await sent;
}

// --- senders that do not wait ---

bool ws_core::fits_locked(std::size_t n) const noexcept {
  const auto used = c_.writer.buffered() + waiting_bytes_;
  return used == 0 || (n <= options_->send_buffer && used <= options_->send_buffer - n);
}

ws_sent ws_core::sent_or_queued() const noexcept {
  return c_.writer.buffered() == 0 ? ws_sent::sent : ws_sent::queued;
}

ws_sent ws_core::try_send(ws_kind kind, std::string_view bytes, ws_compress how) {
  accept(headers());
  check_text(kind, bytes);
  const bool compressed = compresses(bytes.size(), how);
  {
    const guard hold(lock_);
    if (stage_ != ws_stage::open || c_.writer.is_closing()) return ws_sent::closed;
    if (!fits_locked(bytes.size())) return ws_sent::full;
    if (!message_lock_.try_lock()) {
      waiting_.push_back(prepare_message(kind, bytes, compressed));
      waiting_bytes_ += bytes.size();
      return ws_sent::queued;
    }
  }
  const message_turn turn(*this);
  try {
    send_fragment(kind, bytes, true, true, compressed);
  } catch (const connection_lost&) { return ws_sent::closed; }
  return sent_or_queued();
}

ws_sent ws_core::try_send(const std::shared_ptr<const prepared_message>& m) {
  accept(headers());
  {
    const guard hold(lock_);
    if (stage_ != ws_stage::open || c_.writer.is_closing()) return ws_sent::closed;
    if (!line_.empty() || !fits_locked(m->body().size())) return ws_sent::full;
    if (!message_lock_.try_lock()) {
      waiting_.push_back(m);
      waiting_bytes_ += m->body().size();
      return ws_sent::queued;
    }
  }
  const message_turn turn(*this);
  try {
    send_now(*m);
  } catch (const connection_lost&) { return ws_sent::closed; }
  return sent_or_queued();
}

ws_sent ws_core::send_or_line_up(const std::shared_ptr<const prepared_message>& m,
                                 std::size_t most) {
  const auto at_once = try_send(m);
  if (at_once != ws_sent::full) return at_once;
  bool pushed_out = false;
  bool starts = false;
  {
    const guard hold(lock_);
    if (line_.size() >= most && !line_.empty()) {
      line_.erase(line_.begin());
      pushed_out = true;
    }
    line_.push_back(m);
    starts = !std::exchange(line_moves_, true);
  }
  if (starts) create_task(empty_line(self()));
  return pushed_out ? ws_sent::full : ws_sent::queued;
}

/// Sends what stands in line, as the peer takes it.
task<> ws_core::empty_line(ws_ref self) {
  try {
    for (;;) {
      task<> room = drained(self);
      co_await room;
      std::shared_ptr<const prepared_message> next;
      {
        const guard hold(self->lock_);
        if (self->line_.empty()) {
          self->line_moves_ = false;
          co_return;
        }
        next = std::move(self->line_.front());
        self->line_.erase(self->line_.begin());
      }
      task<> sent = self->send(next);
      co_await sent;
    }
  } catch (const connection_lost&) {
    // All that stands in line is dropped with the connection.
  }
}

// --- ping ---

task<duration> ws_core::ping(ws_ref self) {
  struct listed {
    explicit listed(ws_core& c) : core(c) {}
    listed(const listed&) = delete;
    ~listed() {
      const guard hold(core.lock_);
      for (auto** at = &core.pings_; *at != nullptr; at = &(*at)->next) {
        if (*at != &wait) continue;
        *at = wait.next;
        break;
      }
    }
    ws_core& core;
    ping_wait wait;
  } mine(*self);
  {
    const guard hold(self->lock_);
    self->check_open_locked();
    mine.wait.id = ++self->last_ping_;
    mine.wait.sent = clock::now();
    auto** at = &self->pings_;
    while (*at != nullptr) at = &(*at)->next;
    *at = &mine.wait;
    std::array<char, sizeof(std::uint64_t)> body;
    heddle::detail::store_uint(body.data(), body.size(), mine.wait.id, byte_order::big);
    frame_head head;
    head.op = opcode::ping;
    head.length = body.size();
    self->write_locked(head, {body.data(), body.size()});
  }
  co_await mine.wait.done.wait();
  if (!mine.wait.answered) self->throw_lost();
  co_return mine.wait.taken;
}

}  // namespace heddle::http::detail
