// SPDX-License-Identifier: MIT
// Internal to io.
// What a redirection makes of a request.
#pragma once

#include <heddle/io/http/message.h>
#include <heddle/io/http/url.h>

#include <string>
#include <string_view>

namespace heddle::http::detail {

struct call;

/// The method of the next request (RFC 9110, 15.4): 303 makes a GET of all but HEAD, and 301 and
/// 302 make one of POST, as browsers do.
[[nodiscard]] method method_after(const method& asked, int status);

/// The same scheme, host and port. Credentials are for one origin.
[[nodiscard]] bool same_origin(const url& a, const url& b) noexcept;

/// "ws" and "wss" stand for "http" and "https" (RFC 6455, 3).
[[nodiscard]] std::string as_http(std::string_view address);

/// Takes the fields of the body out: a GET that follows a POST has none.
void drop_body_fields(headers& h);

/// Takes out what the next origin must not see: Authorization, Cookie, Proxy-Authorization, and a
/// Host of the caller's.
void drop_credentials(headers& h);

/// Makes the request that follows. `asked` counts the redirections so far.
/// Throws    redirect_error with the text of the Location, if that leads nowhere, leads to plain
///           http where that is refused (a WebSocket never goes from wss to ws), or needs a body
///           that cannot be sent again; too_many_redirects
void redirect(call& c, int status, const headers& answer);

}  // namespace heddle::http::detail
