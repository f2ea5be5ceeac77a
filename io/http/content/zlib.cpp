// SPDX-License-Identifier: MIT
// gzip and deflate, by zlib.
#include <heddle/io/http/content/decoder.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/errors.h>

#include <algorithm>
#include <array>
#include <new>

#include <zlib.h>

namespace heddle::http::detail {
namespace {

constexpr int window_bits = 15;
constexpr int with_gzip_header = 16;  // added to the window bits
constexpr int memory_level = 8;       // zlib's own default

uInt bounded(std::size_t n) noexcept { return heddle::detail::saturated<uInt>(n); }

/// gzip members may follow each other, and each costs an attacker 20 bytes. Those that hold
/// something are bounded by what they hold. The empty ones are counted.
constexpr unsigned most_empty_members = 1024;

class inflating final : public decoder {
 public:
  explicit inflating(bool gzip) : gzip_(gzip) {}
  ~inflating() override {
    if (made_) (void)inflateEnd(&z_);
  }

  std::size_t decode(std::string_view& in, char* out, std::size_t room) override {
    std::size_t n = 0;
    while (n < room) {
      if (!inside_ && !begin(in)) break;
      // What begin() had to look at is decoded first.
      n += run(head_.empty() ? in : head_, out + n, room - n);
      // zlib left room: it keeps nothing back.
      if (inside_ && head_.empty() && in.empty() && n < room) break;
    }
    return n;
  }
  [[nodiscard]] bool complete() const noexcept override { return !inside_ && looked_at_ == 0; }
  [[nodiscard]] std::string_view name() const noexcept override {
    return gzip_ ? "gzip" : "deflate";
  }

 private:
  /// Before the first byte of a member. False: more bytes are needed, and all of `in` is taken.
  bool begin(std::string_view& in) {
    if (in.empty()) return false;
    if (made_) {
      if (!gzip_) throw payload_error("there are bytes behind the end of the deflate data");
      if (inflateReset(&z_) != Z_OK) throw std::bad_alloc();
      inside_ = true;
      return true;
    }
    int bits = window_bits + with_gzip_header;
    if (!gzip_) {
      while (looked_at_ < first_.size() && !in.empty()) {
        first_[looked_at_++] = in.front();
        in.remove_prefix(1);
      }
      if (looked_at_ < first_.size()) return false;
      head_ = {first_.data(), first_.size()};
      looked_at_ = 0;
      bits = has_zlib_header() ? window_bits : -window_bits;
    }
    if (inflateInit2(&z_, bits) != Z_OK) throw std::bad_alloc();
    made_ = inside_ = true;
    return true;
  }
  /// RFC 1950, 2.2. Data without the header begins with a block. One that looks like this header
  /// would be a stored block with set padding bits, which no encoder makes.
  [[nodiscard]] bool has_zlib_header() const noexcept {
    const auto a = static_cast<unsigned char>(first_[0]);
    const auto b = static_cast<unsigned char>(first_[1]);
    return (a & 15U) == Z_DEFLATED && a >> 4U <= 7 && (a * 256U + b) % 31 == 0;
  }

  std::size_t run(std::string_view& in, char* out, std::size_t room) {
    // zlib does not write to its input; its type says otherwise.
    z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    z_.avail_in = bounded(in.size());
    z_.next_out = reinterpret_cast<Bytef*>(out);
    z_.avail_out = bounded(room);
    const uInt given = z_.avail_in;
    const uInt space = z_.avail_out;
    const int outcome = inflate(&z_, Z_NO_FLUSH);
    in.remove_prefix(given - z_.avail_in);
    if (outcome == Z_MEM_ERROR) throw std::bad_alloc();
    if (outcome == Z_STREAM_END) {
      end_member();
    } else if (outcome != Z_OK && outcome != Z_BUF_ERROR) {
      throw payload_error("the " + std::string(name()) +
                          " data is broken: " + (z_.msg ? z_.msg : "it needs a dictionary"));
    }
    return space - z_.avail_out;
  }

  void end_member() {
    inside_ = false;
    if (z_.total_out == 0 && ++empty_ > most_empty_members) {
      throw payload_error("the gzip data has more than " + std::to_string(most_empty_members) +
                          " empty members");
    }
  }

  const bool gzip_;
  bool made_ = false;    // z_ is in use
  bool inside_ = false;  // a member has begun, and has not ended
  unsigned empty_ = 0;
  std::array<char, 2> first_{};  // deflate: its first bytes, which tell whether there is a header
  std::size_t looked_at_ = 0;    // so many of them came, and are not decoded
  std::string_view head_;        // what is left of first_ to decode
  z_stream z_{};
};

class deflating final : public coder {
 public:
  deflating(int bits, int level) {
    if (deflateInit2(&z_, level, Z_DEFLATED, bits, memory_level, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~deflating() override { (void)deflateEnd(&z_); }

  void encode(std::string_view in, flush how, std::string& out) override {
    std::array<char, 16 * 1024> made;
    do {
      z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
      z_.avail_in = bounded(in.size());
      const uInt given = z_.avail_in;
      const bool last = given == in.size();
      const int mode = !last || how == flush::no ? Z_NO_FLUSH
                       : how == flush::yes       ? Z_SYNC_FLUSH
                                                 : Z_FINISH;
      do {
        z_.next_out = reinterpret_cast<Bytef*>(made.data());
        z_.avail_out = bounded(made.size());
        (void)deflate(&z_, mode);
        out.append(made.data(), made.size() - z_.avail_out);
      } while (z_.avail_out == 0);
      in.remove_prefix(given);
    } while (!in.empty());
  }

 private:
  z_stream z_{};
};

int checked_level(int level) {
  return heddle::detail::checked<int>(level, "the level of compression", -1, 9);
}

}  // namespace

std::unique_ptr<decoder> gzip_decoder() { return std::make_unique<inflating>(true); }
std::unique_ptr<decoder> deflate_decoder() { return std::make_unique<inflating>(false); }
std::unique_ptr<coder> gzip_coder(int level) {
  return std::make_unique<deflating>(window_bits + with_gzip_header, checked_level(level));
}
std::unique_ptr<coder> deflate_coder(int level) {
  return std::make_unique<deflating>(window_bits, checked_level(level));
}

}  // namespace heddle::http::detail
