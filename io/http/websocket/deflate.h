// SPDX-License-Identifier: MIT
// Internal to io.
// permessage-deflate over zlib (RFC 7692): messages that are compressed, and their inflation within
// a bound.
//
// A compressor refers to messages before the present one ("takeover"), as far back as its window.
// So both ends keep state between messages: some 32 KiB for a compressor with a window of 12 bits
// and a memory level of 5, some 11 KiB for an inflater. Neither is made before it is needed.
//
// A compressor may forget at any time what it has compressed: what it makes then refers to nothing
// older. So where a message was compressed and not sent, its compressor is dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace heddle::http::detail {

/// What both ends agreed on.
struct deflate_terms {
  int own_window = 15;    // bits, of what this end compresses: 9 to 15
  int their_window = 15;  // of what the peer compresses
  bool own_takeover = true;
  bool their_takeover = true;
  bool operator==(const deflate_terms&) const = default;
};

/// Compresses. Thread-safety: one thread at a time.
class deflater {
 public:
  /// Throws std::bad_alloc.
  deflater(int window, int memory);
  deflater(const deflater&) = delete;
  ~deflater();

  /// Appends a piece of a message. `last`: the message ends with it, and what is appended ends as
  /// RFC 7692 (7.2.1) has it. Else a receiver can inflate all of it at once.
  void add(std::string_view piece, bool last, std::string& to);
  /// Forgets what was compressed.
  void forget() noexcept;
  [[nodiscard]] bool fits(int window, int memory) const noexcept {
    return window_ == window && memory_ == memory;
  }

 private:
  struct state;
  std::unique_ptr<state> z_;
  const int window_;
  const int memory_;
};

/// What an inflater has come to.
enum class inflated : std::uint8_t {
  some,    // call again: there may be more
  all,     // nothing is left of the input
  broken,  // the input is no deflate, or holds too many streams that hold nothing
};

/// Inflates. Thread-safety: one thread at a time.
class inflater {
 public:
  /// Throws std::bad_alloc.
  explicit inflater(int window);
  inflater(const inflater&) = delete;
  ~inflater();

  /// Appends at most `room` bytes of what `from` inflates to, and drops from `from` what is used.
  [[nodiscard]] inflated next(std::string_view& from, std::string& to, std::size_t room);
  /// The message ends. Call it until it does not say `some`.
  [[nodiscard]] inflated end(std::string& to, std::size_t room);
  void forget() noexcept;
  [[nodiscard]] bool fits(int window) const noexcept { return window_ == window; }

 private:
  struct state;
  std::unique_ptr<state> z_;
  const int window_;
  unsigned members_ = 0;        // streams that have ended within the message
  std::string_view tail_left_;  // of the four bytes that a sender leaves out
  bool ending_ = false;
};

/// Compressors and inflaters without takeover are needed for one message at a time. So each thread
/// keeps a few, for all connections.
/// The caller runs no other task while it holds one.
[[nodiscard]] std::unique_ptr<deflater> take_deflater(int window, int memory);
void give_back(std::unique_ptr<deflater> d) noexcept;
[[nodiscard]] std::unique_ptr<inflater> take_inflater(int window);
void give_back(std::unique_ptr<inflater> i) noexcept;

}  // namespace heddle::http::detail
