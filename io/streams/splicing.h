// SPDX-License-Identifier: MIT
// Internal to io.
// Bytes from one socket to another without memory of ours between: by a pipe.
//
// Problem   A pipe between two sockets can keep bytes when the target is full. A copy that is
//           cancelled then would lose them, and a pipe that is used again would send them to
//           another connection.
// Chosen    A piece goes through the pipe within one call: out of the source, into the target. What
//           the target does not take is read out of the pipe and written to the target's stream,
//           which keeps it. So the pipe is empty between two calls, whatever happens. While a
//           stream has bytes pending, nothing is spliced: the order of writes and the marks of
//           drain() are those of every write.
// Costs     two descriptors and 64 KiB of room for the rest, made by the first piece that is more
//           than one receive, and kept until the copy ends
// Rejected  Pipes that are kept for other copies: one that is not empty must never be kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace heddle::detail {

class stream_core;

/// One direction of a copy. Not thread-safe: it belongs to the task that copies.
class splicer {
 public:
  splicer() = default;
  splicer(const splicer&) = delete;
  ~splicer();

  /// A piece of so many bytes is worth a try: one receive brings no more.
  static constexpr std::size_t worthwhile = std::size_t{16} * 1024;

  /// Moves a piece that has come, and adds to `count` what was given to `to`. Returns the size of
  /// the piece; 0: there is none, or it must go by memory. Does not wait. Throws what a write
  /// throws: then `from` has back what was not given.
  [[nodiscard]] std::size_t move_some(stream_core& from, stream_core& to, std::uint64_t& count);

 private:
  static constexpr std::size_t piece = std::size_t{64} * 1024;

  [[nodiscard]] bool is_open() noexcept;
  void forget() noexcept;
  void take_out() noexcept;
  void give_back(stream_core& from) noexcept;

  int ends_[2] = {-1, -1};  // of the pipe: reading, writing
  bool given_up_ = false;
  std::string rest_;
};

}  // namespace heddle::detail
