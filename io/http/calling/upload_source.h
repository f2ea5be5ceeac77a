// SPDX-License-Identifier: MIT
// Internal to io.
// Where the bytes of an upload come from.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/body_reader.h>

#include <cstdint>
#include <memory>
#include <optional>

namespace heddle::http::detail {

/// The pieces of a body that is about to be sent, and how long they are together.
struct begun_upload {
  std::unique_ptr<body_input> from;
  std::optional<std::uint64_t> length;
};

/// A source is begun once for each time that its body is sent.
class upload_source {
 public:
  upload_source() = default;
  upload_source(const upload_source&) = delete;
  upload_source& operator=(const upload_source&) = delete;
  virtual ~upload_source() = default;

  [[nodiscard]] virtual task<begun_upload> begin() = 0;
  [[nodiscard]] virtual bool ready() const noexcept { return true; }
};

}  // namespace heddle::http::detail
