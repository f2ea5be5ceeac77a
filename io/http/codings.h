// SPDX-License-Identifier: MIT
// Content codings: gzip, deflate, br and zstd, for whole bodies and for bodies that stream.
//
//   const auto packed = http::encoded(http::coding::gzip, page);
//   auto body = http::decoded(http::body_reader(packed), "gzip");
//   EXPECT_EQ(co_await body.read_all(), page);
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/io/http/body_reader.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http {

namespace detail {
class coder;
}

/// `br` and `zstd` are there only if their libraries were, when heddle was built.
enum class coding : std::uint8_t { identity, gzip, deflate, br, zstd };

/// "gzip": as it stands in fields.
[[nodiscard]] std::string_view name_of(coding c) noexcept;
/// The coding of that name, in any case of letters; "x-gzip" is gzip. Nothing for an unknown one,
/// and for one that was not built.
[[nodiscard]] std::optional<coding> coding_of(std::string_view name) noexcept;
/// All that can be decoded: the value of Accept-Encoding that clients send.
[[nodiscard]] std::string_view known_codings();

/// The codings that a Content-Encoding lists, in the order in which they were applied. Identity is
/// left out. Nothing: one of them is unknown, so the body must stay as it is.
[[nodiscard]] std::optional<std::vector<coding>> codings_in(std::string_view content_encoding);

/// Chooses the coding of an answer (RFC 9110, 12.5.3). `offers`: what the server can make, the best
/// first; identity need not be among them. The highest q value wins, then the order of `offers`.
///
///   no Accept-Encoding, or an empty one   identity
///   gzip;q=0, br;q=0.5                    br
///   *                                     the first of the offers
///   gzip;q=0.5, identity                  identity: the client likes that better
///   identity;q=0                          nothing: the answer is 406
///
/// An item that cannot be read is passed over.
[[nodiscard]] std::optional<coding> negotiate(std::optional<std::string_view> accept_encoding,
                                              std::span<const coding> offers);

/// A body whose codings are undone while it is read, in reverse order. A body in which one is
/// unknown is yielded as it is: ask codings_in() before, to tell them apart.
///
/// At most 64 KiB are made at a time. So data that grows without bound costs only what its reader
/// asks for. An empty body is complete in every coding.
/// Cost      the memory of the decoders: 100 KiB each, br up to 16 MiB, zstd up to 8 MiB
/// Throws    payload_error for more than 5 codings. The reader throws payload_error for data that
///           is broken, that ends early, or that is followed by something else; and for more than
///           1024 empty members of gzip, or frames of zstd.
[[nodiscard]] body_reader decoded(body_reader coded, std::string_view content_encoding);
/// The same for inputs, which clients and servers have.
[[nodiscard]] std::unique_ptr<detail::body_input> decoded(std::unique_ptr<detail::body_input> coded,
                                                          std::string_view content_encoding);

/// The whole text in that coding.
/// Throws  bad_value for a level outside of the coding's range, or a coding that was not built
[[nodiscard]] std::string encoded(coding how, std::string_view whole);
[[nodiscard]] std::string encoded(coding how, std::string_view whole, int level);

/// Encodes a body that comes in pieces.
///
///   http::encoder gzip(http::coding::gzip);
///   gzip.write(piece, out);
///   gzip.finish(out);
///
/// Thread-safety  one task at a time. Large pieces take long: call it from to_thread().
class encoder {
 public:
  /// Levels are from 0 to 9, for br to 11, for zstd to 19; -1 is the usual one.
  /// Throws  as encoded()
  explicit encoder(coding how);
  encoder(coding how, int level);
  encoder(encoder&&) noexcept;
  encoder& operator=(encoder&&) noexcept;
  ~encoder();

  /// Appends to `out` what is ready: often nothing.
  void write(std::string_view bytes, std::string& out);
  /// Appends what lets the receiver decode all bytes until now. It costs some compression.
  void flush(std::string& out);
  /// Appends the end. The encoder is not used again.
  void finish(std::string& out);

 private:
  std::unique_ptr<detail::coder> by_;  // nullptr: identity
};

}  // namespace heddle::http
