// SPDX-License-Identifier: MIT
// Internal to io.
// A request from its call to its answer: connections, repeats, redirections, clocks.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/calling/call.h>
#include <heddle/io/http/client_response.h>
#include <heddle/io/stream.h>

#include <string>

namespace heddle::http::detail {

/// The whole answer.
task<client_response> run_whole(call c);
/// The answer with its head; its body is read by the user.
task<client_stream> run_stream(call c);

/// What came of a request that opens a WebSocket.
struct opened_line {
  response answer;  // with what of the body came first, if its status is not 101
  connection over;  // if its status is 101
  std::string key;  // the Sec-WebSocket-Key that the answer belongs to
  std::string url;  // that was asked last
};
task<opened_line> run_opening(call c);

/// The text of the URL as it is asked for: `address` resolved against the session's base_url, and
/// encoded. Throws bad_value.
[[nodiscard]] std::string full_address(const session_options& options, std::string address);
/// Adds the session's fields to those of a request: each whose name the request does not bring.
void add_defaults(headers& to, const headers& defaults);
/// Throws bad_value for limits that are not longer than zero, and for a base_url that is none.
void check(const session_options& options);
void check(const timeouts& clocks);
void check_total(const std::optional<any_duration>& total);

}  // namespace heddle::http::detail
