// SPDX-License-Identifier: MIT
// Internal to io.
// One content coding, undone or applied piece by piece; and a body whose coding is undone while it
// is read.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/body_reader.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::http::detail {

/// Undoes a coding. All throw payload_error, which names the coding, for data that is none.
class decoder {
 public:
  decoder() = default;
  decoder(const decoder&) = delete;
  decoder& operator=(const decoder&) = delete;
  virtual ~decoder() = default;

  /// Decodes a part of `in`, and takes it from `in`. Writes at most `room` bytes to `out`, and says
  /// how many. Less than `room`: all of `in` is taken, and nothing more can be made of it.
  virtual std::size_t decode(std::string_view& in, char* out, std::size_t room) = 0;
  /// True: the coded data is complete, or nothing came at all.
  [[nodiscard]] virtual bool complete() const noexcept = 0;
  /// "gzip": for messages.
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
};

/// Applies a coding.
class coder {
 public:
  enum class flush : unsigned char { no, yes, end };

  coder() = default;
  coder(const coder&) = delete;
  coder& operator=(const coder&) = delete;
  virtual ~coder() = default;

  /// Appends to `out` what is ready. `yes`: all of the bytes until now can be decoded from what was
  /// appended until now. `end`: the coded data is complete.
  virtual void encode(std::string_view in, flush how, std::string& out) = 0;
};

std::unique_ptr<decoder> gzip_decoder();
/// With zlib's header, as RFC 9110 says, or without, as some servers send.
std::unique_ptr<decoder> deflate_decoder();
std::unique_ptr<decoder> brotli_decoder();  // nullptr: not built
std::unique_ptr<decoder> zstd_decoder();    // nullptr: not built
std::unique_ptr<decoder> base64_decoder();
std::unique_ptr<decoder> quoted_printable_decoder();
/// `level` -1: the coding's usual one.
std::unique_ptr<coder> gzip_coder(int level);
std::unique_ptr<coder> deflate_coder(int level);
std::unique_ptr<coder> brotli_coder(int level);  // nullptr: not built
std::unique_ptr<coder> zstd_coder(int level);    // nullptr: not built

/// A body whose coding is undone. At most `step` bytes are made at a time, however much the data
/// would grow: the reader says when it wants more.
class decoding_input final : public body_input {
 public:
  static constexpr std::size_t step = 64 * 1024;

  decoding_input(std::unique_ptr<body_input> from, std::unique_ptr<decoder> how) noexcept
      : from_(std::move(from)), how_(std::move(how)) {}

  [[nodiscard]] task<std::string_view> next() override;
  [[nodiscard]] const headers* trailers() const noexcept override { return from_->trailers(); }

 private:
  std::unique_ptr<body_input> from_;
  std::unique_ptr<decoder> how_;
  std::unique_ptr<char[]> made_;
  std::string_view in_;  // of from_'s last piece, not decoded yet
  bool full_ = false;    // the last step filled all of made_: there may be more
};

/// A body_reader as an input: for readers of coded bodies that have only the reader.
class reader_input final : public body_input {
 public:
  explicit reader_input(body_reader from) noexcept : from_(std::move(from)) {}
  [[nodiscard]] task<std::string_view> next() override;
  [[nodiscard]] const headers* trailers() const noexcept override;

 private:
  body_reader from_;
};

}  // namespace heddle::http::detail
