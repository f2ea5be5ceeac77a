// SPDX-License-Identifier: MIT
// Internal to io.
// What stands behind a buffered_writer: the gathered bytes, and who gives them to the stream.
//
// Problem   Several tasks write. One takes the gathered bytes to send them. Another gathers and
//           sends more before the first has called write(): the bytes would change places.
// Rejected  A lock around write(): a loop would spin while another thread is inside a system call.
// Chosen    A role, giver, with one holder at a time. The holder takes what is gathered, writes it,
//           and looks again before it gives the role back. A thread that finds the role taken
//           leaves its bytes and its wishes (flush, end, close) to the holder, and goes on.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/io/stream.h>

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

namespace heddle::detail {

//   gathered_, wants_..., giving_   under lock_
//   given_                          the giver; under lock_ while there is none
//   to_                             constant, while others may call
class gatherer {
 public:
  gatherer(stream_writer to, std::size_t capacity) noexcept
      : capacity_(capacity), to_(std::move(to)) {}

  /// Throws std::bad_alloc; usage_error after an end: then nothing was written.
  void write(std::string_view bytes);
  void flush();
  void write_eof();
  void close() noexcept;
  void abort() noexcept;
  [[nodiscard]] std::size_t size() noexcept;
  [[nodiscard]] stream_writer& to() noexcept { return to_; }

 private:
  using hold = std::lock_guard<spin_lock>;

  [[nodiscard]] bool gather_locked(std::string_view bytes);
  void give(std::string_view direct);
  void give_with(std::string_view direct);
  [[nodiscard]] bool give_next();

  const std::size_t capacity_;
  stream_writer to_;
  spin_lock lock_;
  bool giving_ = false;
  bool wants_flush_ = false;
  bool wants_end_ = false;
  bool wants_close_ = false;
  bool ended_ = false;  // write_eof() was called: later writes are a bug of the caller
  std::string gathered_;
  std::string given_;  // on its way to the stream; kept after a failure, and then goes first
};

}  // namespace heddle::detail
