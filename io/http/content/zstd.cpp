// SPDX-License-Identifier: MIT
// zstd (RFC 8878), by its library. Where that is missing at build time, no_zstd.cpp stands in.
#include <heddle/io/http/content/decoder.h>

#include <heddle/core/checked.h>
#include <heddle/io/http/errors.h>

#include <zstd.h>

#include <algorithm>
#include <array>
#include <new>

namespace heddle::http::detail {
namespace {

/// RFC 9659: no more than 8 MiB of memory is asked of a receiver.
constexpr int most_window_bits = 23;
/// Frames may follow each other, and an empty one costs an attacker 9 bytes: as members of gzip.
constexpr unsigned most_empty_frames = 1024;

class unzstd final : public decoder {
 public:
  unzstd() : by_(ZSTD_createDCtx()) {
    if (!by_) throw std::bad_alloc();
    (void)ZSTD_DCtx_setParameter(by_, ZSTD_d_windowLogMax, most_window_bits);
  }
  ~unzstd() override { (void)ZSTD_freeDCtx(by_); }

  std::size_t decode(std::string_view& in, char* out, std::size_t room) override {
    ZSTD_outBuffer to{out, room, 0};
    while (to.pos < room) {
      if (!inside_ && in.empty()) break;
      if (!inside_) made_in_frame_ = head_size_ = 0;
      inside_ = true;
      ZSTD_inBuffer from{in.data(), in.size(), 0};
      const std::size_t before = to.pos;
      const std::size_t left = ZSTD_decompressStream(by_, &to, &from);
      if (ZSTD_isError(left)) {
        throw payload_error(std::string("the zstd data is broken: ") + ZSTD_getErrorName(left));
      }
      const auto part = in.substr(0, std::min(from.pos, head_.size() - head_size_));
      head_size_ += part.copy(head_.data() + head_size_, part.size());
      in.remove_prefix(from.pos);
      made_in_frame_ += to.pos - before;
      if (left == 0) end_frame();
      // Room is left: the library keeps nothing back.
      if (inside_ && in.empty() && to.pos < room) break;
    }
    return to.pos;
  }
  [[nodiscard]] bool complete() const noexcept override { return !inside_; }
  [[nodiscard]] std::string_view name() const noexcept override { return "zstd"; }

 private:
  void end_frame() {
    inside_ = false;
    // The library asks this itself, but not of a frame that comes in pieces and ends with an empty
    // block.
    const auto told = ZSTD_getFrameContentSize(head_.data(), head_size_);
    if (told != ZSTD_CONTENTSIZE_UNKNOWN && told != made_in_frame_)
      throw payload_error("the zstd data is broken: a frame has not the size that it tells");
    if (made_in_frame_ == 0 && ++empty_ > most_empty_frames) {
      throw payload_error("the zstd data has more than " + std::to_string(most_empty_frames) +
                          " empty frames");
    }
  }

  ZSTD_DCtx* by_;
  bool inside_ = false;  // a frame has begun, and has not ended
  std::size_t made_in_frame_ = 0;
  std::array<char, 18> head_{};  // of the frame: its header has at most 18 bytes
  std::size_t head_size_ = 0;
  unsigned empty_ = 0;
};

class zstd final : public coder {
 public:
  explicit zstd(int level) : by_(ZSTD_createCCtx()) {
    if (!by_) throw std::bad_alloc();
    (void)ZSTD_CCtx_setParameter(by_, ZSTD_c_compressionLevel, level);
  }
  ~zstd() override { (void)ZSTD_freeCCtx(by_); }

  void encode(std::string_view in, flush how, std::string& out) override {
    const auto operation = how == flush::no    ? ZSTD_e_continue
                           : how == flush::yes ? ZSTD_e_flush
                                               : ZSTD_e_end;
    std::array<char, 16 * 1024> made;
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    for (;;) {
      ZSTD_outBuffer to{made.data(), made.size(), 0};
      const std::size_t left = ZSTD_compressStream2(by_, &to, &from, operation);
      if (ZSTD_isError(left)) throw std::bad_alloc();
      out.append(made.data(), to.pos);
      if (how == flush::no ? from.pos == from.size : left == 0) return;
    }
  }

 private:
  ZSTD_CCtx* by_;
};

}  // namespace

std::unique_ptr<decoder> zstd_decoder() { return std::make_unique<unzstd>(); }
std::unique_ptr<coder> zstd_coder(int level) {
  const int checked = heddle::detail::checked<int>(level, "the level of compression", -1, 19);
  return std::make_unique<zstd>(checked < 0 ? ZSTD_CLEVEL_DEFAULT : checked);
}

}  // namespace heddle::http::detail
