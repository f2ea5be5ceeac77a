// SPDX-License-Identifier: MIT
// What both halves of http_peer share. Python's half is http_peers.py.
#pragma once

#include <heddle/core/task.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace peer {

/// How many bytes, and their Adler-32, which Python's zlib knows too.
class adler {
 public:
  void add(std::string_view bytes) noexcept {
    for (const char c : bytes) {
      a_ = (a_ + static_cast<unsigned char>(c)) % 65521;
      b_ = (b_ + a_) % 65521;
    }
    n_ += bytes.size();
  }
  [[nodiscard]] std::string text() const {
    return std::to_string(n_) + " " + std::to_string(b_ << 16U | a_);
  }

 private:
  std::uint32_t a_ = 1;
  std::uint32_t b_ = 0;
  std::size_t n_ = 0;
};

/// `n` bytes of a text whose byte at `at` is at % 251. So a piece that is lost or doubled shows.
inline std::string pattern(std::size_t at, std::size_t n) {
  std::string text(n, '\0');
  for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>((at + i) % 251);
  return text;
}

/// A text that is worth its compression.
inline std::string prose() {
  std::string text;
  for (int i = 0; i < 4000; ++i) text += "line " + std::to_string(i) + " of many\n";
  return text;
}

/// The client's half: asks, and prints what was wrong.
heddle::task<> call_and_tell(std::string base, std::string ca, std::string proxy);
/// A server with the inspector, and tasks worth looking at: two wait for each other. Prints its
/// port, and ends with its input.
heddle::task<> be_inspected();

}  // namespace peer
