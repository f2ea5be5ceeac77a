// SPDX-License-Identifier: MIT
#include <heddle/io/http/websocket/frame_reader.h>

#include <heddle/io/byte_order.h>
#include <heddle/io/http/websocket/utf8.h>

#include <algorithm>
#include <cstring>

namespace heddle::http::detail {
namespace {

constexpr std::size_t key_size = std::tuple_size_v<mask_key>;

/// A compressed message may be longer than what it inflates to, but only by a little. What stands
/// above that is a stream of blocks that hold nothing.
constexpr std::uint64_t longest_compressed(std::uint64_t most) noexcept {
  constexpr std::uint64_t margin = std::uint64_t{64} * 1024;
  const std::uint64_t by_ratio = most / 64;
  return most > ~std::uint64_t{0} - margin - by_ratio ? most : most + by_ratio + margin;
}

}  // namespace

found frame_reader::fail(int code, const char* why) noexcept {
  failed_ = true;
  code_ = code;
  reason_ = why;
  return found::failure;
}

/// Gathers the bytes that are asked for. True: they are there.
bool frame_reader::head_is_complete(std::string_view& bytes) noexcept {
  if (bytes.empty()) return false;
  const auto n = std::min<std::size_t>(head_needs_ - head_size_, bytes.size());
  std::memcpy(head_.data() + head_size_, bytes.data(), n);
  bytes.remove_prefix(n);
  head_size_ = static_cast<std::uint8_t>(head_size_ + n);
  return head_size_ == head_needs_;
}

/// The first two bytes are there.
found frame_reader::judge_start() noexcept {
  const auto first = static_cast<unsigned char>(head_[0]);
  const auto second = static_cast<unsigned char>(head_[1]);
  const bool rsv1 = (first & 0x40U) != 0;
  const unsigned number = first & 0x0fU;
  fin_ = (first & 0x80U) != 0;
  op_ = static_cast<opcode>(number);
  if ((first & 0x30U) != 0 || (rsv1 && !compression_))
    return fail(ws_code::broken_rules, "a reserved bit is set");
  if ((number > 2 && number < 8) || number > 10)
    return fail(ws_code::broken_rules, "an unknown opcode");
  if (is_control()) {
    if (!fin_) return fail(ws_code::broken_rules, "a control frame in fragments");
    if ((second & 0x7fU) > most_control)
      return fail(ws_code::broken_rules, "a control frame of more than 125 bytes");
  } else if ((op_ == opcode::continuation) != in_message_) {
    return fail(ws_code::broken_rules,
                in_message_ ? "a message begins inside of another" : "a continuation of nothing");
  }
  if (rsv1 && (is_control() || in_message_))
    return fail(ws_code::broken_rules, "only a message's first frame says that it is compressed");
  const bool masked = (second & 0x80U) != 0;
  if (masked != (self_ == ws_side::server))
    return fail(ws_code::broken_rules,
                masked ? "a server's frame is masked" : "a client's frame is not masked");
  const unsigned seven = second & 0x7fU;
  const unsigned extra = seven == 126 ? 2 : seven == 127 ? 8 : 0;
  head_needs_ = static_cast<std::uint8_t>(2 + extra + (masked ? key_size : 0));
  if (!is_control() && !in_message_) compressed_ = rsv1;
  return found::nothing;
}

/// The whole head is there.
found frame_reader::judge_length() noexcept {
  const unsigned seven = static_cast<unsigned char>(head_[1]) & 0x7fU;
  const std::size_t width = seven == 126 ? 2 : seven == 127 ? 8 : 0;
  length_ = seven;
  if (width > 0) {
    length_ = heddle::detail::load_uint({head_.data() + 2, width}, byte_order::big);
    const std::uint64_t least = width == 2 ? 126 : 0x10000;
    if (length_ < least) return fail(ws_code::broken_rules, "a length is not in its shortest form");
    if ((length_ >> 63U) != 0) return fail(ws_code::broken_rules, "a length of 2^63 or more");
  }
  if (self_ == ws_side::server) std::memcpy(key_.data(), head_.data() + 2 + width, key_size);
  taken_ = 0;
  if (is_control()) {
    control_size_ = 0;
  } else {
    if (!in_message_) {
      message_ = 0;
      kind_ = op_;
      fresh_ = true;
    }
    const auto most = compressed_ ? longest_compressed(most_) : most_;
    if (length_ > most || message_ > most - length_)
      return fail(ws_code::too_big, "a message is longer than max_message");
    message_ += length_;
    in_message_ = !fin_;
  }
  in_body_ = true;
  return found::nothing;
}

found frame_reader::take_data(std::string_view& bytes, std::string& into, std::size_t room) {
  const std::uint64_t left = length_ - taken_;
  if (bytes.empty() && left > 0) return found::nothing;
  const auto n = static_cast<std::size_t>(
      std::min<std::uint64_t>({left, bytes.size(), std::max<std::size_t>(room, 1)}));
  const auto at = into.size();
  // The rest of the frame comes by later reads, and is joined to these bytes: they get the room for
  // it now. A peer that tells of many bytes and sends few gets four times the room of what it sent.
  if (taken_ == 0 && n < left)
    into.reserve(at + static_cast<std::size_t>(std::min<std::uint64_t>({left, room, 4 * n})));
  into.append(bytes.substr(0, n));
  if (self_ == ws_side::server) apply_mask(into.data() + at, n, key_, taken_ % key_size);
  bytes.remove_prefix(n);
  taken_ += n;
  begins_ = fresh_;
  fresh_ = false;
  ends_ = fin_ && taken_ == length_;
  return found::data;
}

found frame_reader::take_control(std::string_view& bytes) noexcept {
  const auto n = std::min<std::size_t>(length_ - taken_, bytes.size());
  if (n > 0) std::memcpy(control_.data() + control_size_, bytes.data(), n);
  if (self_ == ws_side::server) apply_mask(control_.data() + control_size_, n, key_, taken_);
  bytes.remove_prefix(n);
  control_size_ = static_cast<std::uint8_t>(control_size_ + n);
  taken_ += n;
  if (taken_ < length_) return found::nothing;
  if (op_ == opcode::ping) return found::ping;
  if (op_ == opcode::pong) return found::pong;
  return judge_close();
}

found frame_reader::judge_close() noexcept {
  const auto body = control_body();
  code_ = ws_code::none_given;
  reason_ = {};
  if (body.empty()) return found::close;
  if (body.size() == 1) return fail(ws_code::broken_rules, "half a close code");
  code_ = static_cast<int>(heddle::detail::load_uint(body.substr(0, 2), byte_order::big));
  if (!is_close_code(code_)) return fail(ws_code::broken_rules, "a close code that is not allowed");
  reason_ = body.substr(2);
  if (!is_utf8(reason_)) return fail(ws_code::bad_data, "the reason of a close is no UTF-8");
  return found::close;
}

found frame_reader::next(std::string_view& bytes, std::string& into, std::size_t room) {
  if (failed_) return found::failure;
  for (;;) {
    if (!in_body_) {
      if (!head_is_complete(bytes)) return found::nothing;
      if (head_size_ == 2 && judge_start() == found::failure) return found::failure;
      if (head_size_ < head_needs_) continue;
      if (judge_length() == found::failure) return found::failure;
    }
    const bool data = !is_control();
    const found what = data ? take_data(bytes, into, room) : take_control(bytes);
    if (what == found::nothing) return what;
    if (taken_ == length_) {
      in_body_ = false;
      head_size_ = 0;
      head_needs_ = 2;
    }
    // An empty frame inside of a message tells nothing.
    if (data && length_ == 0 && !begins_ && !ends_) continue;
    return what;
  }
}

}  // namespace heddle::http::detail
