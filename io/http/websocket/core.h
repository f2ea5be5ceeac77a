// SPDX-License-Identifier: MIT
// Internal to io.
// ws_core is what the handles of one WebSocket share, whichever end it is.
//
// Problem   Pings and closes must be answered although no task is in receive(). Tasks on several
//           loops send, and a message must stay whole. A sleeping connection must cost little.
// Rejected  Reading inside of receive(): a program that only sends would answer no ping (that is
//           aiohttp's way). A callback in the reactor: it would have to put messages together
//           outside of any task, where nothing can wait for room.
// Chosen    A task for each connection, the pump, reads frames. It answers control frames, and
//           queues runs of messages up to receive_buffer bytes; then it waits for room. A sleeping
//           pump costs one coroutine frame. One timer a connection looks at all that time decides.
// Promised  Memory of an open connection: receive_buffer and send_buffer, what one read brings, and
//           the message that receive() puts together. A sleeping one has none of these.
//
// core.cpp is its life and its time, receiving.cpp the pump and its receivers, sending.cpp the
// senders. The class is one.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/base/spin_lock.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/websocket/frame_reader.h>
#include <heddle/io/http/websocket/handshake.h>
#include <heddle/io/http/websocket/prepared_message.h>
#include <heddle/io/http/websocket/utf8.h>
#include <heddle/io/http/websocket_options.h>
#include <heddle/io/stream.h>
#include <heddle/sched/async_generator.h>
#include <heddle/sched/loop.h>
#include <heddle/sync/event.h>
#include <heddle/sync/mutex.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http::detail {

class ws_core;
using ws_ref = heddle::detail::counted_ptr<ws_core>;

/// How a server's WebSocket opens: its handler may still refuse it.
class ws_offer {
 public:
  /// Answers 101, and calls ws_core::begin(). Throws connection_lost if the client is gone,
  /// bad_value for a field of the handshake's own.
  virtual void accept(ws_core& core, const headers& extra) = 0;

 protected:
  ~ws_offer() = default;
};

//   offered  a server's: the handshake is not answered yet
//   open     messages go both ways
//   closing  a close frame was sent; nothing follows it
//   over     the connection has ended
enum class ws_stage : std::uint8_t { offered, open, closing, over };

/// A task in ping(). It stands in the list of its ws_core.
struct ping_wait {
  std::uint64_t id = 0;
  time_point sent;
  duration taken{};
  bool answered = false;
  heddle::event done;
  ping_wait* next = nullptr;
};

/// A run of a message that waits for a receiver.
struct ws_run {
  std::string bytes;
  ws_kind kind = ws_kind::text;
  bool begins = false;
  bool ends = false;
};

/// Thread-safety  everything but begin() and accept(), from any loop
//
// Who may touch what:
//   side_, options_              constant
//   agreed_, c_                  written by begin(), before another task knows the connection
//   c_.reader, frames_, inflater_ and all of the inflation, checker_   the pump
//   c_.writer                    writes: under lock_, so that no message follows a close frame.
//                                Waits, abort() and close(): anyone
//   deflater_, and the order of fragments   the holder of message_lock_
//   joined_ and what belongs to it   under lock_, for the task that has the receiver's role
//   everything else              under lock_
// message_lock_ is taken before lock_. Under lock_ it is only tried, and given back.
class ws_core final : public heddle::detail::counted {
 public:
  ws_core(ws_side side, std::shared_ptr<const ws_options> options) noexcept
      : options_(std::move(options)), side_(side) {}
  /// A server's that is offered. `offer` must outlive the stage `offered`.
  ws_core(std::shared_ptr<const ws_options> options, ws_offer& offer) noexcept
      : options_(std::move(options)), offer_(&offer), side_(ws_side::server) {}

  [[nodiscard]] ws_ref self() noexcept {
    ref();
    return ws_ref(this);
  }

  // --- life: core.cpp ---

  /// Opens it over a connection whose handshake is done, and starts the pump. Throws
  /// no_running_loop, usage_error after shutdown, std::bad_alloc: then the connection is closed.
  void begin(connection c, ws_agreed with);
  /// Accepts it if it is only offered.
  void accept(const headers& extra);
  [[nodiscard]] bool is_offered() const noexcept { return stage() == ws_stage::offered; }
  /// The handler has refused it, or is gone.
  void withdraw() noexcept;
  [[nodiscard]] ws_stage stage() const noexcept;
  /// Sends a close frame, if none was sent. Does not wait.
  void begin_close(int code, std::string_view reason) noexcept;
  [[nodiscard]] static task<> close(ws_ref self, int code, std::string reason);
  /// Drops the connection at once.
  void abort() noexcept { c_.writer.abort(); }
  /// Returns when the connection has ended. Leaves it alone if it is cancelled.
  [[nodiscard]] static task<> wait_ended(ws_ref self);
  [[nodiscard]] int close_code() const noexcept;
  [[nodiscard]] std::string close_reason() const;
  [[nodiscard]] std::exception_ptr failure() const noexcept;
  [[nodiscard]] const ws_agreed& agreed() const noexcept { return agreed_; }
  [[nodiscard]] const ws_options& options() const noexcept { return *options_; }
  [[nodiscard]] address peer() const { return c_.writer.peer_address(); }

  // --- receivers: receiving.cpp ---

  /// Throws usage_error if another task receives.
  void take_receiver();
  void drop_receiver(bool inside_message) noexcept;
  [[nodiscard]] static task<std::optional<ws_message>> receive(ws_ref self);
  /// For a task that has the receiver's role. The kind of the next message, once it has begun.
  [[nodiscard]] static task<std::optional<ws_kind>> next_begins(ws_ref self);
  /// The next run of that message. Nothing: the message has ended.
  [[nodiscard]] static task<std::optional<std::string>> next_run(ws_ref self);

  // --- senders: sending.cpp ---

  [[nodiscard]] task<> send(ws_kind kind, std::string_view bytes, ws_compress how);
  [[nodiscard]] task<> send(const std::shared_ptr<const prepared_message>& m);
  [[nodiscard]] static task<> send_stream(ws_ref self, ws_kind kind,
                                          async_generator<std::string> pieces, ws_compress how);
  ws_sent try_send(ws_kind kind, std::string_view bytes, ws_compress how);
  ws_sent try_send(const std::shared_ptr<const prepared_message>& m);
  /// As try_send(). A message that does not fit waits in a line of `most` messages, and pushes out
  /// the oldest one there.
  ws_sent send_or_line_up(const std::shared_ptr<const prepared_message>& m, std::size_t most);
  [[nodiscard]] static task<duration> ping(ws_ref self);

 private:
  friend class message_turn;
  using guard = std::lock_guard<heddle::detail::spin_lock>;
  enum class step : std::uint8_t { read, wait, over };

  static task<> pump(ws_ref self);
  [[nodiscard]] step take();
  [[nodiscard]] step take_frame(found what, std::string& run);
  [[nodiscard]] step take_run(std::string& run);
  [[nodiscard]] step inflate_some();
  [[nodiscard]] step deliver(std::string& run, bool begins, bool ends);
  [[nodiscard]] step fail(int code, std::string_view why);
  [[nodiscard]] step closed_by_peer();
  void heard_something() noexcept;
  void answer_ping();
  void take_pong() noexcept;
  [[nodiscard]] bool has_room_or_clears() noexcept;
  [[nodiscard]] task<> leave();
  void finish(std::exception_ptr failure) noexcept;
  [[nodiscard]] bool take_message_locked(ws_message& m);
  [[nodiscard]] bool pop_locked(ws_run& run) noexcept;
  [[nodiscard]] bool take_run_locked(ws_run& run) noexcept;
  void drop_skipped_locked() noexcept;
  void skip_rest_locked() noexcept;
  void made_room_locked(std::size_t bytes) noexcept;

  void close_locked(int code, std::string_view reason) noexcept;
  void look_at_clock() noexcept;
  void look_at_silence_locked(time_point now);
  void arm_locked() noexcept;
  [[nodiscard]] time_point next_look_locked() const noexcept;
  [[nodiscard]] std::optional<duration> ping_after() const noexcept;
  [[noreturn]] void throw_lost_locked() const;
  [[noreturn]] void throw_lost() const;

  void check_open_locked() const {
    if (stage_ != ws_stage::open) [[unlikely]]
      throw_lost_locked();
  }
  void write_locked(const frame_head& head, std::string_view body);
  [[nodiscard]] bool compresses(std::size_t n, ws_compress how) const noexcept;
  [[nodiscard]] std::string compress(std::string_view bytes, bool last);
  void write_open(const frame_head& head, std::string_view body);
  void send_now(const prepared_message& m);
  void send_fragment(ws_kind kind, std::string_view bytes, bool first, bool last, bool compressed);
  void end_message() noexcept;
  [[nodiscard]] bool fits_locked(std::size_t n) const noexcept;
  [[nodiscard]] ws_sent sent_or_queued() const noexcept;
  static task<> drained(ws_ref self);
  static task<> send_in_turn(ws_ref self, ws_kind kind, std::string bytes, bool compressed);
  static task<> send_in_turn(ws_ref self, std::shared_ptr<const prepared_message> m);
  static task<> empty_line(ws_ref self);

  const std::shared_ptr<const ws_options> options_;
  ws_agreed agreed_;
  connection c_;
  ws_offer* offer_ = nullptr;

  mutable heddle::detail::spin_lock lock_;
  const ws_side side_;
  ws_stage stage_ = ws_stage::offered;
  bool receiving_ = false;   // a task has the receiver's role
  bool streaming_ = false;   // and takes runs, not messages
  bool joining_ = false;     // a message was taken in part
  bool skips_ = false;       // the rest of a message is to be dropped
  bool paused_ = false;      // the pump waits for room
  bool input_over_ = false;  // no message follows those in the queue
  bool peer_closed_ = false;
  bool failed_ = false;  // this end has ended it, by fail()
  bool pinged_ = false;  // since something was heard

  // Receiving.
  std::optional<frame_reader> frames_;
  utf8_checker checker_;
  std::unique_ptr<inflater> inflater_;
  std::string deflated_;  // a run that is being inflated
  std::size_t deflated_at_ = 0;
  std::uint64_t inflated_size_ = 0;  // of the present message
  bool inflating_ = false;
  bool inflated_begins_ = false;
  bool inflated_ends_ = false;
  std::vector<ws_run> inbox_;
  std::size_t inbox_at_ = 0;     // those before were taken
  std::size_t inbox_bytes_ = 0;  // with a fixed sum for each run
  std::string joined_;           // what of a message receive() has taken
  ws_kind joined_kind_ = ws_kind::text;
  bool joined_ends_ = false;  // with it the message ends
  heddle::event readable_;
  heddle::event room_;
  heddle::event ended_;

  // Sending.
  heddle::mutex message_lock_;
  std::shared_ptr<deflater> deflater_;
  std::vector<std::shared_ptr<const prepared_message>> waiting_;  // for the holder of message_lock_
  std::size_t waiting_bytes_ = 0;
  std::vector<std::shared_ptr<const prepared_message>> line_;  // send_or_line_up()
  bool line_moves_ = false;                                    // a task empties it
  std::size_t control_bytes_ = 0;  // of pongs, since nothing was buffered
  ping_wait* pings_ = nullptr;
  std::uint64_t last_ping_ = 0;

  // Closing and time.
  int code_ = ws_code::lost;
  std::string reason_;
  std::exception_ptr failure_;
  time_point born_;
  time_point heard_;
  time_point pinged_at_;
  time_point close_by_;
  time_point armed_for_ = time_point::max();
  callback_handle timer_;
};

/// Holds message_lock_, which the caller has taken, to the end of its scope.
class message_turn {
 public:
  explicit message_turn(ws_core& core) noexcept : core_(core) {}
  message_turn(const message_turn&) = delete;
  ~message_turn() { core_.end_message(); }

 private:
  ws_core& core_;
};

}  // namespace heddle::http::detail
