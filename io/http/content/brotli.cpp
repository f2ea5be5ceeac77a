// SPDX-License-Identifier: MIT
// br, by the brotli library. Where that is missing at build time, no_brotli.cpp stands in.
#include <heddle/io/http/content/decoder.h>

#include <heddle/core/checked.h>
#include <heddle/io/http/errors.h>

#include <brotli/decode.h>
#include <brotli/encode.h>

#include <cstdint>
#include <new>

namespace heddle::http::detail {
namespace {

/// As servers compress answers while they are sent: 11, brotli's own default, is 50 times slower.
constexpr int usual_quality = 5;

class unbrotli final : public decoder {
 public:
  unbrotli() : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (!state_) throw std::bad_alloc();
  }
  ~unbrotli() override { BrotliDecoderDestroyInstance(state_); }

  std::size_t decode(std::string_view& in, char* out, std::size_t room) override {
    if (in.empty() && !begun_) return 0;
    begun_ = true;
    if (ended_) {
      if (in.empty()) return 0;
      throw payload_error("there are bytes behind the end of the br data");
    }
    const auto* next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    auto* next_out = reinterpret_cast<std::uint8_t*>(out);
    std::size_t left = in.size();
    std::size_t space = room;
    const auto outcome =
        BrotliDecoderDecompressStream(state_, &left, &next_in, &space, &next_out, nullptr);
    in.remove_prefix(in.size() - left);
    if (outcome == BROTLI_DECODER_RESULT_ERROR) {
      throw payload_error(std::string("the br data is broken: ") +
                          BrotliDecoderErrorString(BrotliDecoderGetErrorCode(state_)));
    }
    ended_ = outcome == BROTLI_DECODER_RESULT_SUCCESS;
    if (ended_ && !in.empty()) throw payload_error("there are bytes behind the end of the br data");
    return room - space;
  }
  [[nodiscard]] bool complete() const noexcept override { return ended_ || !begun_; }
  [[nodiscard]] std::string_view name() const noexcept override { return "br"; }

 private:
  BrotliDecoderState* state_;
  bool begun_ = false;
  bool ended_ = false;
};

class brotli final : public coder {
 public:
  explicit brotli(int quality) : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (!state_) throw std::bad_alloc();
    const auto q = heddle::detail::narrow<std::uint32_t>(quality);
    (void)BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, q);
  }
  ~brotli() override { BrotliEncoderDestroyInstance(state_); }

  void encode(std::string_view in, flush how, std::string& out) override {
    const auto operation = how == flush::no    ? BROTLI_OPERATION_PROCESS
                           : how == flush::yes ? BROTLI_OPERATION_FLUSH
                                               : BROTLI_OPERATION_FINISH;
    const auto* next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    std::size_t left = in.size();
    do {
      std::size_t space = 0;
      if (!BrotliEncoderCompressStream(state_, operation, &left, &next_in, &space, nullptr,
                                       nullptr))
        throw std::bad_alloc();
      std::size_t made = 0;
      const auto* bytes = BrotliEncoderTakeOutput(state_, &made);
      out.append(reinterpret_cast<const char*>(bytes), made);
    } while (left != 0 || BrotliEncoderHasMoreOutput(state_));
  }

 private:
  BrotliEncoderState* state_;
};

}  // namespace

std::unique_ptr<decoder> brotli_decoder() { return std::make_unique<unbrotli>(); }
std::unique_ptr<coder> brotli_coder(int level) {
  const int quality = heddle::detail::checked<int>(level, "the level of compression", -1, 11);
  return std::make_unique<brotli>(quality < 0 ? usual_quality : quality);
}

}  // namespace heddle::http::detail
