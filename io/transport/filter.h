// SPDX-License-Identifier: MIT
// Internal to io. What stands between a stream and what moves its bytes: TLS is such a filter.
//
// Problem   The state of a cipher belongs to both directions, and is not made for two threads. A
//           stream's reader and its sender are two threads as a rule.
// Rejected  A lock of the filter's: a loop would spin for as long as a handshake computes. A
//           transport around a transport: the plain path pays, and sealed bytes need an order.
// Chosen    A third role beside reader and sender, `busy`, which the stream keeps. The one that
//           finds the filter busy leaves its part to the holder, and does not wait. What the filter
//           wants to have sent is put behind what it gave before, by the holder of the role.
// Costs     A stream without a filter: one branch a receive, and one each time output ran out.
#pragma once

#include <heddle/io/streams/buffer.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace heddle::detail {

/// Turns what is written into what is sent, and what is received into what is read. Calls never
/// overlap, and come from any thread. What a function throws ends the connection: every operation
/// of the stream throws the same from then on. What it has appended to `sealed` is still sent.
class filter {
 public:
  filter() = default;
  filter(const filter&) = delete;
  filter& operator=(const filter&) = delete;
  virtual ~filter() = default;

  /// Once, before all others: what is to be sent first, if anything is.
  virtual void begin(std::string& sealed) { (void)sealed; }
  /// Appends to `sealed` what `plain` is to be sent as. Returns how many bytes of `plain`, from its
  /// front, that was. Fewer than all, and nothing sealed: it cannot yet; the rest is offered again
  /// after the next open().
  virtual std::size_t seal(std::string_view plain, std::string& sealed) = 0;

  struct opened {
    std::size_t taken = 0;  // of `raw`, from its front
    bool ended = false;     // the peer has ended its direction in order
  };
  /// Appends to `plain` what `raw` means, as far as it is complete. May also seal an answer.
  virtual opened open(std::string_view raw, input_buffer& plain, std::string& sealed) = 0;
  /// Once, when all was sealed and nothing will be written any more.
  virtual void end(std::string& sealed) { (void)sealed; }
};

}  // namespace heddle::detail
