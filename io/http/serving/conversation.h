// SPDX-License-Identifier: MIT
// Internal to io.
// One connection of an http::server: what it has read, what it has answered, and how it ends.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/http/serving/engine.h>
#include <heddle/io/http/serving/seat.h>
#include <heddle/io/http/serving/watch.h>
#include <heddle/io/stream.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string_view>

namespace heddle::http::detail {

/// An exchange that is taken from the spares of a thread. It goes back to the spares of the thread
/// on which its request ends, which may be another one.
class borrowed {
 public:
  borrowed() = default;
  borrowed(const borrowed&) = delete;
  borrowed& operator=(const borrowed&) = delete;
  ~borrowed() { give_back(); }

  void take(const limits& l);
  void give_back() noexcept;
  exchange& operator*() const noexcept { return *mine_; }
  exchange* operator->() const noexcept { return mine_.get(); }
  [[nodiscard]] exchange* get() const noexcept { return mine_.get(); }

 private:
  std::unique_ptr<exchange> mine_;
};

/// What the connection's task is to await next.
enum class [[nodiscard]] next : std::uint8_t {
  go_on,    // nothing
  read,     // more bytes
  handler,  // the handler of a request
  body,     // a streamed body
  room,     // the client has a lot to take
  pause,    // the requests take long: others have their turn
};

/// How the connection is to end.
enum class ending : std::uint8_t {
  none,   // it is open
  close,  // the server ends it, and the client is to read the last answer
  eof,    // the client has ended it, and is to get the answers that are ready
  gone,   // it has ended
};

/// All of it is for the connection's task alone. Functions that return no task do not wait.
class conversation final : private seat, private body_gate {
 public:
  /// `secure`: the connection is one of TLS.
  conversation(engine& e, connection& c, bool secure);
  conversation(const conversation&) = delete;
  ~conversation();

  /// If too many connections are open: answers 503, and ends this one.
  void refuse_if_crowded();
  [[nodiscard]] bool is_open() const noexcept { return ending_ == ending::none; }
  [[nodiscard]] bool is_gone() const noexcept { return ending_ == ending::gone; }
  /// False: the connection ends instead of waiting for bytes.
  [[nodiscard]] bool may_read();
  /// Takes the result of fill(). False: the connection ends.
  [[nodiscard]] bool has_read(bool more);
  /// Parses and answers what is there, until something has to be awaited.
  next advance();
  /// Before the handler that advance() has found. Sends what is ready. False: the client is gone.
  [[nodiscard]] bool before_handler();
  [[nodiscard]] bool has_room() const noexcept;
  /// True: the handler has to wait for a place, for as many requests are at work as may be.
  [[nodiscard]] bool must_queue() noexcept {
    return e_.admitted.has_limit() && !is_exempt() && !(permit_ = e_.admitted.enter());
  }
  /// Waits for that place. next::handler: it may be called. Else there is an answer, or the client
  /// is gone.
  [[nodiscard]] task<next> queue();
  [[nodiscard]] task<response> call_handler();
  [[nodiscard]] response& answer() noexcept { return x_->answer; }
  /// The handler has ended, with an answer or a failure.
  next handled(const std::exception_ptr& failure);
  /// All that was read is answered. Sends the answers. True: the client has something to take.
  [[nodiscard]] bool send_answers();

  /// For next::body, next::room and next::pause. Ask is_open() afterwards.
  [[nodiscard]] task<> stream_body();
  [[nodiscard]] task<> wait_for_room();
  [[nodiscard]] task<> pause();
  /// Ends the connection as it should end.
  [[nodiscard]] task<> finish();

 private:
  // seat
  [[nodiscard]] connection take_over() override;
  [[nodiscard]] bool client_is_gone() const noexcept override;
  [[nodiscard]] departures& leaving() noexcept override { return e_.leaving; }
  [[nodiscard]] bool is_exempt() const noexcept;
  next shed();

  void flush();
  void take_exchange();
  next refuse(int status, std::string_view reason);
  void hold(std::size_t bytes) noexcept;
  [[nodiscard]] bool took_long() const noexcept;
  [[nodiscard]] time_point deadline() const noexcept;
  [[nodiscard]] bool ends_with_client() const noexcept;
  next answer_some(std::string_view bytes, std::size_t& used);
  void count_answers() noexcept;
  void note(int status, std::uint64_t bytes, bool complete) noexcept;
  next conclude();
  next next_request();
  next unfinished();
  next look_early();
  void settle_body() noexcept;
  void discard();
  [[nodiscard]] task<std::string_view> next_piece() override;
  [[nodiscard]] task<> read_whole() override;
  [[nodiscard]] bool limit_body(std::size_t bytes) override;
  [[nodiscard]] std::size_t body_limit() const noexcept override;
  void keep_body(std::size_t bytes) override;
  [[nodiscard]] bool has_route(const request& like, std::string_view target) const override;
  [[nodiscard]] bool server_stops() const noexcept override { return e_.is_stopping(); }
  [[nodiscard]] server_stats stats() const override { return e_.stats(); }
  [[nodiscard]] task<> read_more();
  void has_waited();
  [[nodiscard]] bool fail_body(const std::exception_ptr& failure, bool begun, std::size_t earlier);
  [[nodiscard]] task<> linger();

  engine& e_;
  connection& c_;
  watched watched_;
  borrowed x_;
  reply_to to_;                                // of the request at work
  const handler::waiting* waiting_ = nullptr;  // its handler
  admission::permit permit_;                   // for its handler, if there is a limit
  ending ending_ = ending::none;
  const bool secure_;
  bool continued_ = false;     // "100 Continue" was sent for this request
  bool discarding_ = false;    // the request is answered, and the rest of its body is dropped
  bool responding_ = false;    // the head of a streamed answer has been written
  bool told_ = false;          // the watch has written 408
  bool overfull_ = false;      // the server holds too much to read the body of this request
  bool noted_ = false;         // the access log knows of the last request
  std::size_t discarded_ = 0;  // bytes of a body that nobody has read
  std::size_t left_;           // so many requests may be answered on this connection
  unsigned answered_ = 0;      // requests, since the last read
  answer_tally uncounted_;     // of these, not counted yet
  unsigned empty_bytes_ = 0;   // of empty lines before the next request
  std::size_t held_ = 0;       // what the engine counts for this connection
  time_point now_;             // when the last answers were sent
  time_point arrived_;         // when the last bytes came
  time_point answered_at_;     // when the last answer was made, by the coarse clock
  time_point began_;           // when the request that is under way began
  time_point idle_since_;
};

/// The task of one connection. Keeps the engine alive. `secure`: the connection is one of TLS.
[[nodiscard]] task<> converse(std::shared_ptr<engine> self, connection c, bool secure = false);

}  // namespace heddle::http::detail
