// SPDX-License-Identifier: MIT
// Internal to io.
// One connection of http::server: what it has read, answered and not sent yet. Not a public header.
#pragma once

#include <heddle/io/http/serving/engine.h>

#include <cstdint>
#include <exception>
#include <memory>

namespace heddle::http::detail {

/// An exchange, taken from the spares of one thread and given to those of the thread it ends on.
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
  close,  // we end it: the client is to read our last answer
  eof,    // the client has ended it: it is to get what we have for it
  gone,   // it has ended
};

/// Everything is the connection's task's. The functions that are no tasks do not wait.
class conversation {
 public:
  conversation(engine& e, connection& c);
  conversation(const conversation&) = delete;
  ~conversation();

  /// Too many are open: this one is told so, and ends.
  void refuse_if_crowded();
  [[nodiscard]] bool is_open() const noexcept { return ending_ == ending::none; }
  [[nodiscard]] bool is_gone() const noexcept { return ending_ == ending::gone; }
  /// False: the connection ends instead of waiting for bytes.
  [[nodiscard]] bool may_read();
  /// What fill() said. False: the connection ends.
  [[nodiscard]] bool has_read(bool more);
  /// Parses and answers what is there, until something has to be awaited.
  next advance();
  /// Before the handler that advance() has found: sends what is ready. False: the client is gone.
  [[nodiscard]] bool before_handler();
  [[nodiscard]] bool has_room() const noexcept;
  [[nodiscard]] task<response> call_handler();
  [[nodiscard]] response& answer() noexcept { return x_->answer; }
  /// The handler has ended, with an answer or a failure.
  next handled(const std::exception_ptr& failure);
  /// All that was read is answered: sends it. True: the client has something to take.
  [[nodiscard]] bool send_answers();

  /// For next::body, next::room and next::pause. Afterwards is_open() tells.
  [[nodiscard]] task<> stream_body();
  [[nodiscard]] task<> wait_for_room();
  [[nodiscard]] task<> pause();
  /// Ends the connection as it should end.
  [[nodiscard]] task<> finish();

 private:
  void flush();
  void refuse(int status, std::string_view reason);
  void hold(std::size_t bytes) noexcept;
  [[nodiscard]] bool took_long() const noexcept;
  [[nodiscard]] time_point deadline() const noexcept;
  [[nodiscard]] bool ends_with_client() const noexcept;
  next conclude();
  next next_request();
  [[nodiscard]] bool fail_body(const std::exception_ptr& failure, bool begun, std::size_t earlier);
  [[nodiscard]] task<> linger();

  engine& e_;
  connection& c_;
  slot slot_;
  borrowed x_;
  reply_to to_;                                // of the request at work
  const handler::waiting* waiting_ = nullptr;  // its handler
  ending ending_ = ending::none;
  bool continued_ = false;    // "100 Continue" was sent for this request
  unsigned answered_ = 0;     // since the last read
  unsigned empty_bytes_ = 0;  // of empty lines before the next request
  std::size_t held_ = 0;      // what the engine was told
  time_point now_;
  time_point arrived_;  // the last bytes
  time_point began_;    // the request that is under way
  time_point idle_since_;
};

}  // namespace heddle::http::detail
