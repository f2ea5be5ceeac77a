// SPDX-License-Identifier: MIT
// Internal to io.
// Frames out of bytes (RFC 6455, 5), however the bytes are cut.
//
// Problem   A frame may be longer than memory, and may come a byte at a time. A broken one must be
//           refused as early as its bytes tell: a peer that withholds the rest keeps nobody.
// Chosen    A reader that keeps a head and a control frame at most. Of a message it tells each run
//           of bytes as the run comes. It knows no socket and no clock.
// Promised  What is told, joined, does not depend on how the bytes were cut. A head is judged after
//           its second byte, and its length before its payload.
#pragma once

#include <heddle/io/http/websocket/frame.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace heddle::http::detail {

/// What a frame_reader has found.
enum class found : std::uint8_t {
  nothing,  // all bytes are used up
  data,     // a run of a message
  ping,
  pong,
  close,
  failure,  // the peer breaks the rules: code() and reason() say how. Nothing follows
};

/// Thread-safety  one task at a time
class frame_reader {
 public:
  /// `most`: the greatest message, in bytes. `compression`: permessage-deflate was agreed on.
  frame_reader(ws_side self, std::uint64_t most, bool compression) noexcept
      : most_(most), self_(self), compression_(compression) {}

  /// Takes bytes from the front of `bytes`, up to the next thing to tell. A run of a message is
  /// appended to `into`, unmasked: at most `room` bytes, at least one.
  [[nodiscard]] found next(std::string_view& bytes, std::string& into, std::size_t room);

  // Of found::data.
  [[nodiscard]] opcode kind() const noexcept { return kind_; }
  [[nodiscard]] bool begins() const noexcept { return begins_; }  // the first run of its message
  [[nodiscard]] bool ends() const noexcept { return ends_; }      // the last one
  [[nodiscard]] bool is_compressed() const noexcept { return compressed_; }
  // Of found::ping and found::pong.
  [[nodiscard]] std::string_view control_body() const noexcept {
    return {control_.data(), control_size_};
  }
  // Of found::close; ws_code::none_given without a code. Of found::failure: what to close with.
  [[nodiscard]] int code() const noexcept { return code_; }
  [[nodiscard]] std::string_view reason() const noexcept { return reason_; }

 private:
  [[nodiscard]] bool head_is_complete(std::string_view& bytes) noexcept;
  [[nodiscard]] found judge_start() noexcept;
  [[nodiscard]] found judge_length() noexcept;
  [[nodiscard]] found take_data(std::string_view& bytes, std::string& into, std::size_t room);
  [[nodiscard]] found take_control(std::string_view& bytes) noexcept;
  [[nodiscard]] found judge_close() noexcept;
  [[nodiscard]] found fail(int code, const char* why) noexcept;
  [[nodiscard]] bool is_control() const noexcept { return op_ >= opcode::close; }

  const std::uint64_t most_;
  std::uint64_t message_ = 0;  // bytes of the message, those of the present frame included
  std::uint64_t length_ = 0;   // of the present frame
  std::uint64_t taken_ = 0;    // of it
  mask_key key_{};
  int code_ = 0;
  std::string_view reason_;
  std::array<char, most_frame_head> head_;
  std::uint8_t head_size_ = 0;   // so much of the head has come
  std::uint8_t head_needs_ = 2;  // so much is asked for at present
  std::uint8_t control_size_ = 0;
  const ws_side self_;
  const bool compression_;
  opcode op_ = opcode::text;
  opcode kind_ = opcode::text;
  bool fin_ = false;
  bool in_body_ = false;     // the head is complete
  bool in_message_ = false;  // a fragment came, and others are to come
  bool compressed_ = false;
  bool fresh_ = false;  // no run of the message was told yet
  bool begins_ = false;
  bool ends_ = false;
  bool failed_ = false;
  std::array<char, most_control> control_;
};

}  // namespace heddle::http::detail
