// SPDX-License-Identifier: MIT
// Internal to io.
// Handshakes, run by the task that has connected or accepted.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/io/tls/extras.h>
#include <heddle/io/tls_context.h>

#include <chrono>
#include <string>
#include <utility>

namespace heddle::detail {

/// With TLS a listener accepts no more than this at one go: each guest brings a handshake, which
/// takes up to a millisecond.
inline constexpr int most_tls_guests_at_one_go = 16;

/// How long a server reads on after a handshake that failed. A socket that is closed with bytes
/// unread resets its peer, which may then miss our alert.
inline constexpr std::chrono::seconds failed_handshake_lingers{1};

/// The name that a client's handshake sends and checks: `server_name`, or `host` if that is empty,
/// without a final dot. Throws bad_value for one that cannot be sent or checked; usage_error for a
/// server's context.
std::string checked_server_name(const tls_context& context, const std::string& server_name,
                                const std::string& host);

/// Turns the stream to TLS as its client. Bytes that the reader has buffered belong to the
/// handshake. `name` comes from checked_server_name().
/// Throws    tls_error and what derives from it; timeout_error; std::system_error. Then the
///           connection is closed.
/// Cancel    aborts the connection
[[nodiscard]] task<> connect_tls(stream_core& core, tls_context context, std::string name,
                                 tls_extras with);
[[nodiscard]] inline task<> connect_tls(stream_core& core, tls_context context, std::string name) {
  return connect_tls(core, std::move(context), std::move(name), tls_extras());
}
/// The same as its server. After a failure the caller awaits linger_after_failure().
[[nodiscard]] task<> accept_tls(stream_core& core, tls_context context, duration limit);
/// Drops what the peer still sends, so that it gets our alert; then closes.
[[nodiscard]] task<> linger_after_failure(stream_core& core);

/// Ends TLS in order, and leaves a plain stream. Throws usage_error if the stream has no TLS.
[[nodiscard]] task<> end_tls(stream_core& core, duration limit);

/// Throws usage_error for a client's context.
void check_server_context(const tls_context& context);
/// Throws bad_value for a limit that is not positive.
void check_handshake_limit(duration limit);

}  // namespace heddle::detail
