// SPDX-License-Identifier: MIT
// A body that a client sends piece by piece: from a generator, a file, or another body.
//
//   auto pieces = []() -> h::async_generator<std::string> {
//     co_yield "one";
//     co_yield "two";
//   };
//   co_await client.at(url).body(http::upload::again(pieces)).post();
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/io/file.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/codings.h>
#include <heddle/sched/async_generator.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace heddle::http {

namespace detail {
class upload_source;
}

/// What a request sends as its body. With a length it goes out with Content-Length, else in chunks.
/// Empty pieces are skipped. A source that gives more or less than its length breaks the request:
/// usage_error, and the connection closes, so that the server does not take the body for whole.
///
/// Nothing is asked of a source before the server takes what came before: memory is bounded by a
/// piece and the writer's high mark.
/// Throws    what the source throws is the error of the request
/// Thread-safety  a handle, whose copies share one source; that is used by one task at a time
class upload {
 public:
  /// No body.
  upload() noexcept = default;
  /// Can be sent once: a redirection or a repeat that would need it again is an error.
  explicit upload(async_generator<std::string> once,
                  std::optional<std::uint64_t> length = std::nullopt);
  /// Is streamed through, with the back-pressure of both sides.
  explicit upload(body_reader from, std::optional<std::uint64_t> length = std::nullopt);
  /// From where the file stands to its end. Is read off the loops, and can be sent again.
  explicit upload(file from);
  /// Calls `begin` for each time that the body is sent.
  [[nodiscard]] static upload again(std::function<async_generator<std::string>()> begin,
                                    std::optional<std::uint64_t> length = std::nullopt);
  /// A file by its path, opened for each time that the body is sent.
  [[nodiscard]] static upload path(std::string path);
  /// Text that is there.
  [[nodiscard]] static upload text(std::string whole);
  /// The same body in a content coding, made while it is sent. Its length is not known then.
  [[nodiscard]] upload coded(coding how) const;

  [[nodiscard]] explicit operator bool() const noexcept { return source_ != nullptr; }
  /// True: the body can be sent now. False: it was sent, and cannot be sent again.
  [[nodiscard]] bool ready() const noexcept;
  /// For the library.
  [[nodiscard]] detail::upload_source& source() const noexcept { return *source_; }

 private:
  explicit upload(std::shared_ptr<detail::upload_source> s) noexcept : source_(std::move(s)) {}

  std::shared_ptr<detail::upload_source> source_;
};

}  // namespace heddle::http
