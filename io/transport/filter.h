// SPDX-License-Identifier: MIT
// Internal to io. A filter changes bytes between a stream and its transport. TLS is a filter.
//
// Problem   The state of a cipher belongs to both directions, and is not made for two threads. A
//           stream's reader and its sender are two threads as a rule.
// Rejected  A lock of the filter: a loop would spin for as long as a handshake computes. A
//           transport around a transport: plain streams would pay, and the sealed bytes of two
//           directions need one order.
// Chosen    A third role beside reader and sender, `busy`, which the stream keeps. A thread that
//           finds the filter busy leaves its part to the holder of the role, and does not wait. The
//           holder puts what the filter wants to send behind what the filter gave before.
// Costs     A stream without a filter pays one branch a receive, and one each time its output ran
//           out.
#pragma once

#include <heddle/io/streams/buffer.h>

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

namespace heddle::detail {

/// Turns plain bytes that were written into sealed bytes to be sent, and raw bytes that were
/// received into plain bytes to be read. Calls never overlap, and come from any thread. A function
/// that throws ends the connection: from then on every operation of the stream throws the same.
/// Bytes that it appended to `sealed` before are still sent.
class filter {
 public:
  filter() = default;
  filter(const filter&) = delete;
  filter& operator=(const filter&) = delete;
  virtual ~filter() = default;

  /// Called once, before all others. Appends what is to be sent first, if anything is.
  virtual void begin(std::string& sealed) { (void)sealed; }
  /// True: this filter may be set on a stream whose filter, `below`, seals: go_above() follows.
  [[nodiscard]] virtual bool goes_above(const filter& below) const noexcept {
    (void)below;
    return false;
  }
  /// From here on all that this filter seals goes through `below`, which it owns, and all that it
  /// opens has gone through that. `opened` was opened by `below`, and not read. Called before the
  /// stream has this filter, while no other call runs. Throws std::bad_alloc; then nothing has
  /// changed.
  virtual void go_above(std::unique_ptr<filter>& below, std::string_view opened) {
    (void)below;
    (void)opened;
  }
  /// Seals bytes from the front of `plain`: appends to `sealed` what is to be sent for them.
  /// Returns how many bytes of `plain` that was. A filter that cannot seal yet seals nothing, and
  /// returns less than all; the rest is offered again after the next open().
  virtual std::size_t seal(std::string_view plain, std::string& sealed) = 0;

  struct opened {
    std::size_t taken = 0;  // of `raw`, from its front
    bool ended = false;     // the peer has ended its direction in order
    bool more = false;      // it has not looked at the rest of `raw`: call it again
  };
  /// Appends to `plain` the meaning of `raw`, as far as it is complete. May also append an answer
  /// to `sealed`.
  virtual opened open(std::string_view raw, input_buffer& plain, std::string& sealed) = 0;
  /// Called once, when all was sealed and nothing will be written any more.
  virtual void end(std::string& sealed) { (void)sealed; }

  // Of these, calls may overlap with each other and with those above.

  /// The transport has ended the peer's direction, and open() has not. Returns the error of that;
  /// null: ECONNRESET.
  [[nodiscard]] virtual std::exception_ptr cut_off() noexcept { return nullptr; }
  /// False: bytes pass as they are, and the transport's end is the end.
  [[nodiscard]] virtual bool seals() const noexcept { return true; }
  /// True: our direction can end while the peer's goes on.
  [[nodiscard]] virtual bool ends_alone() const noexcept { return true; }
  /// From here on bytes pass as they are: both directions have ended in order. Called once, while
  /// no other call runs.
  virtual void pass() noexcept {}
};

}  // namespace heddle::detail
