// SPDX-License-Identifier: MIT
// Internal to io.
// A body that is sent piece by piece, by a task of its own, while another task reads the answer.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/calling/connections.h>
#include <heddle/io/http/calling/upload_source.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>

namespace heddle::http::detail {

// Who may touch what:
//   line, length, write_limit   set before the task begins
//   from                        the task that sends
//   failure, ended_at           that task, until it has set `done`; then anybody
//   sent, whole, done           any task, atomically
struct sending {
  wire_ptr line;
  std::unique_ptr<body_input> from;
  std::optional<std::uint64_t> length;  // none: in chunks
  std::optional<any_duration> write_limit;
  std::exception_ptr failure;  // of the source, or of a clock. The connection is reset then.
  time_point ended_at;
  heddle::detail::atomic<std::uint64_t> sent{0};
  heddle::detail::atomic<bool> whole{false};
  heddle::detail::atomic<bool> done{false};

  [[nodiscard]] bool is_done() const noexcept {
    // pairs with send_body()
    return done.load(heddle::detail::acquire);
  }
  /// All of the body was written. What was written is seen by those that see this.
  [[nodiscard]] bool is_whole() const noexcept {
    // pairs with send_pieces()
    return whole.load(heddle::detail::acquire);
  }
};

/// Sends the body. An error of the source resets the connection, so that the server does not take
/// what came for whole. An error of the connection only ends the sending: the answer tells why.
/// Cancel  ends the sending; the connection is as it was
task<> send_body(std::shared_ptr<sending> s);

}  // namespace heddle::http::detail
