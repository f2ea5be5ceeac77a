// SPDX-License-Identifier: MIT
// The transfer encodings of MIME: base64 and quoted-printable (RFC 2045, 6).
#include <heddle/io/http/content/decoder.h>

#include <heddle/io/http/errors.h>

#include <cstdint>

namespace heddle::http::detail {
namespace {

int base64_digit(char c) noexcept {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

class unbase64 final : public decoder {
 public:
  std::size_t decode(std::string_view& in, char* out, std::size_t room) override {
    std::size_t n = 0;
    while (n < room && !in.empty()) {
      const char c = in.front();
      in.remove_prefix(1);
      if (c == '\r' || c == '\n' || c == ' ' || c == '\t') continue;
      if (c == '=') {
        if (digits_ + ++padding_ > 4 || digits_ < 2) fail();
        if (digits_ + padding_ < 4) continue;
        digits_ = 0;
        done_ = true;
        continue;
      }
      const int digit = base64_digit(c);
      if (digit < 0 || padding_ != 0 || done_) fail();
      bits_ = bits_ << 6U | static_cast<std::uint32_t>(digit);
      if (++digits_ == 1) continue;
      // The second digit completes the first byte, the third the second, the fourth the third.
      out[n++] = static_cast<char>(bits_ >> (8U - 2U * digits_) & 0xffU);
      if (digits_ == 4) digits_ = 0;
    }
    return n;
  }
  [[nodiscard]] bool complete() const noexcept override { return digits_ == 0; }
  [[nodiscard]] std::string_view name() const noexcept override { return "base64"; }

 private:
  [[noreturn]] static void fail() { throw payload_error("the base64 data is broken"); }

  std::uint32_t bits_ = 0;
  unsigned digits_ = 0;  // of the present four
  unsigned padding_ = 0;
  bool done_ = false;
};

/// Lenient as RFC 2045, 6.7, advises: a "=" that begins no escape stands for itself.
class unquoted final : public decoder {
 public:
  std::size_t decode(std::string_view& in, char* out, std::size_t room) override {
    std::size_t n = 0;
    while (n < room) {
      if (held_ready_ < held_) {  // what was no escape comes out as it is
        out[n++] = escape_[held_ready_++];
        if (held_ready_ == held_) held_ = held_ready_ = 0;
        continue;
      }
      if (in.empty()) break;
      const char c = in.front();
      in.remove_prefix(1);
      if (!inside_) {
        if (c == '=') {
          inside_ = true;
          escape_[0] = c;
          size_ = 1;
        } else {
          out[n++] = c;
        }
        continue;
      }
      escape_[size_++] = c;
      if (size_ == 2 && (c == '\r' || hex_digit(c) >= 0)) continue;
      inside_ = false;
      if (size_ == 2 && c == '\n') continue;                        // "=\n": the line goes on
      if (size_ == 3 && escape_[1] == '\r' && c == '\n') continue;  // "=\r\n" likewise
      if (size_ == 3 && hex_digit(escape_[1]) >= 0 && hex_digit(c) >= 0) {
        out[n++] = static_cast<char>(hex_digit(escape_[1]) * 16 + hex_digit(c));
        continue;
      }
      held_ = size_;
    }
    return n;
  }
  [[nodiscard]] bool complete() const noexcept override { return !inside_ && held_ == 0; }
  [[nodiscard]] std::string_view name() const noexcept override { return "quoted-printable"; }

 private:
  char escape_[3] = {};
  unsigned size_ = 0;
  unsigned held_ = 0;  // so many of escape_ are to come out
  unsigned held_ready_ = 0;
  bool inside_ = false;
};

}  // namespace

std::unique_ptr<decoder> base64_decoder() { return std::make_unique<unbase64>(); }
std::unique_ptr<decoder> quoted_printable_decoder() { return std::make_unique<unquoted>(); }

}  // namespace heddle::http::detail
