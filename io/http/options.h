// SPDX-License-Identifier: MIT
// What a server, a session and a single request can be set to: limits, times and sizes.
//
//   http::session_options so;
//   so.keep = 64;
//   http::session client(so);
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/clock.h>
#include <heddle/io/http/access_log.h>
#include <heddle/io/http/auth.h>
#include <heddle/io/http/client_hooks.h>
#include <heddle/io/http/cookie_jar.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/message/limits.h>
#include <heddle/io/http/proxy.h>
#include <heddle/io/tls_context.h>

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace heddle {
class resolver;
}

namespace heddle::http {

/// The order of the fields is API: fields are appended, never reordered.
struct server_options {
  /// What one request may cost. Beyond it the answer is 413, 414 or 431.
  http::limits limits = {};
  /// From the first byte of a request to the end of its head. Then the answer is 408.
  any_duration header_timeout = std::chrono::seconds(10);
  /// Between two pieces of a request's body. Then the answer is 408.
  any_duration body_timeout = std::chrono::seconds(30);
  /// Between two requests on a kept connection, and before the first one. Then the connection is
  /// closed.
  any_duration idle_timeout = std::chrono::seconds(75);
  /// For a client that takes nothing of what is sent. Then the connection is reset, at most a
  /// quarter of this time later. A client that takes a little now and then may take for ever.
  any_duration write_timeout = std::chrono::seconds(30);
  /// Connections that wait in the kernel to be accepted, for each listener.
  int backlog = 1024;
  /// One listener for each loop.
  bool reuse_port = true;
  /// For a connection that the server ends. A close with unread bytes is a reset, and the reset
  /// would take the last answer with it. So the server reads on until the client has ended too. It
  /// waits at most `linger_timeout` between two pieces, and at most `linger_time` in all.
  any_duration linger_timeout = std::chrono::seconds(2);
  any_duration linger_time = std::chrono::seconds(30);
  /// Connections that are open at once. The next ones get 503, which names this limit, and are
  /// closed; or they wait (`wait_when_full`).
  std::size_t max_connections = 100'000;
  /// Bytes that all connections hold together: large bodies of requests, and answers that clients
  /// have not taken yet. Beyond it requests get 503, which names this limit.
  std::size_t max_held_bytes = std::size_t{1} << 30;
  /// Not empty: https. A handshake that fails, or takes longer than `handshake_limit`, is reported
  /// ("TLS handshake failed"), and ends its connection.
  tls_context tls = {};
  any_duration handshake_limit = default_handshake_limit;
  /// Addresses of proxies whose X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and Forwarded
  /// are believed: "127.0.0.1", "10.0.0.0/8", "::1". "unix" stands for all clients of Unix sockets.
  /// start() throws bad_value for another text.
  std::vector<std::string> trusted_proxies = {};

  // --- connections ---

  /// So many requests are answered on one connection. The last answer says `Connection: close`. 0:
  /// no limit.
  std::size_t requests_per_connection = 0;
  /// True: connections beyond `max_connections` wait in the kernel, `backlog` of them at each
  /// listener, until a place is free. Each site counts its own connections then. Beyond the limit
  /// over all sites there is 503 still.
  bool wait_when_full = false;

  // --- overload ---
  //
  // Without a limit on requests at work, a server that gets more than it can do answers all of them
  // late. With one, it answers some of them in time, and the others at once: 503 with Retry-After,
  // before their handler or a middleware is called. server_stats::shed counts them. The connection
  // is kept. Handlers that return a response need not wait for anything, so they are not counted,
  // and are called always. route::always() lets a route through, for checks of health.

  /// So many requests are at work at once: from the call of a handler that may wait to its answer.
  /// A body that is streamed, and a WebSocket, does not count. A handler that reads the body of its
  /// request itself, or stands behind a middleware, counts while the body comes. 0: no limit. At
  /// most PTRDIFF_MAX.
  /// Cost      two locked operations a request; none without a limit
  std::size_t max_requests = 0;
  /// So many others wait for their turn, in order of arrival. The next ones get 503 at once.
  std::size_t max_waiting_requests = 0;
  /// A request that has waited for so long gets 503.
  any_duration max_request_wait = std::chrono::seconds(1);
  /// The Retry-After of answers that shed load, in whole seconds, rounded up.
  any_duration retry_after = std::chrono::seconds(1);

  // --- stop ---

  /// What stop() begins with: for so long readiness() says 503, and all else goes on, new
  /// connections too. So whoever spreads the load sends no more before a connection is refused.
  any_duration stop_notice = std::chrono::seconds(0);
  /// What handlers have that were cancelled at the end of the grace. Then their connections are
  /// reset.
  any_duration cleanup_time = std::chrono::seconds(1);

  // --- what is told ---

  /// Is told of each request when its answer is complete or has broken off: also of 404, 408, 413
  /// and 503. Not told: connections beyond max_connections. A WebSocket is told when it begins, as
  /// 101. Empty: off.
  http::access_log access_log = {};
  /// The field Server of answers that have none of their own. "": there is none. start() throws
  /// bad_value for a text that a field cannot hold.
  std::string server_name = "heddle";
};

/// The clocks of a request besides its total time. Each is longer than zero; std::nullopt: no
/// limit. The error is http::timed_out, which names the clock. The order of the fields is API.
struct timeouts {
  /// Until there is a connection: the wait for a place in the pool, the look-up of the name, the
  /// connection, and the handshake of TLS.
  std::optional<any_duration> connect = {};
  /// For the look-up and the attempts to connect alone.
  std::optional<any_duration> sock_connect = {};
  /// Between two pieces of an answer, and before its first one. It begins when the request is
  /// written.
  std::optional<any_duration> read = {};
  /// For the peer to take a piece of a body, so that there is room for the next one.
  std::optional<any_duration> write = {};
  /// For the wait for a place in the pool alone.
  std::optional<any_duration> pool = {};
};

/// How many connections a session may have at once, the kept ones too. Requests beyond that wait,
/// in order of arrival. The order of the fields is API.
struct pool_options {
  std::size_t limit = 100;   // 0: no limit
  std::size_t per_host = 0;  // to one scheme, host and port; 0: no limit
  bool force_close = false;  // keep no connection, and say so to the server
};

/// How a session looks names up. Tasks that ask for one name at one time wait for one look-up. Each
/// answer that is given out begins with another address of the name. When all addresses of a kept
/// answer refuse, the resolver is asked anew once. The order of the fields is API.
struct dns_options {
  /// An answer is kept for so long, or for as long as it holds, if that is shorter. Zero: none is
  /// kept. Errors never are. What set_resolver() changes holds for a name when its answer has gone.
  any_duration ttl = std::chrono::seconds(10);
  /// So many names are kept. Beyond that the one goes that was asked for longest ago.
  std::size_t entries = 1000;
  /// In place of the runtime's resolver (resolver.h).
  std::shared_ptr<heddle::resolver> resolver = {};
};

/// The order of the fields is API: fields are appended, never reordered.
struct session_options {
  /// For one request, from its call to the last byte of its answer. std::nullopt: no limit.
  std::optional<any_duration> timeout = std::chrono::minutes(5);
  /// What an answer may cost.
  http::limits limits = {.header_count = 200, .body_bytes = 64 * 1024 * 1024};
  /// So many connections are kept for the next request to each host, each for so long. A timer
  /// closes them then, whether their host is asked again or not.
  std::size_t keep = 16;
  any_duration keep_for = std::chrono::seconds(15);
  /// Sent with every request that does not bring a field of that name.
  http::headers headers = {};
  /// For https. Empty: a client that trusts the system's authorities, and that all sessions share.
  tls_context tls = {};
  /// URLs of requests are resolved against it, so "users" may be asked for. It is absolute, and its
  /// path ends with "/".
  std::string base_url = {};
  http::timeouts timeouts = {};
  http::pool_options pool = {};
  /// So many redirections are followed, one after the other. 0: none is. HEAD follows none unless
  /// its request asks for it (request_builder::redirects).
  unsigned redirects = 10;
  /// Refuse plain http, also in a redirection.
  bool https_only = false;
  /// Throw response_error for a status of 400 and above.
  bool check_status = false;
  /// Where connections to a name lead instead: from a host name, in lower case, to an address or
  /// another name, and perhaps a port ("127.0.0.1:8080"). Host field, TLS and the pool go by the
  /// name of the URL.
  std::map<std::string, std::string, std::less<>> fixed_names = {};
  /// Not empty: all connections go to this Unix socket.
  std::string unix_path = {};
  /// Cookies that answers set are kept there, and sent with the requests that they are for. None:
  /// cookies are fields like any other.
  std::optional<cookie_jar> cookies = {};
  /// Shown to the first origin of each request that brings no Authorization of its own. A digest
  /// answers the server's 401 by a second request.
  http::auth auth = {};
  /// Requests of at() ask for the content codings that were built, and undo them. The short verbs
  /// yield what comes.
  bool decompress = true;
  /// Empty: connections go to the server.
  http::proxy proxy = {};
  /// When requests are sent again. None: only what protocol KEEP asks for (session.h).
  std::optional<http::retry> retry = {};
  /// The first is the outermost.
  std::vector<client_middleware> middlewares = {};
  std::shared_ptr<const client_trace> trace = {};
  http::dns_options dns = {};
  /// Refuse answers that break the rules without harm: lines that end with LF alone, folded fields,
  /// a repeated Content-Type, more than one space before the reason. By default they are taken;
  /// behind LF alone and folds the connection is not kept. What frames a body must be right in any
  /// case: two lengths, or chunks that are none, are protocol_error or payload_error.
  bool strict = false;
};

/// What one request of a session brings besides its method and its URL.
struct request_options {
  http::headers headers = {};
  std::string body = {};
  media_type content_type = {};              // of the body, unless `headers` has a Content-Type
  std::optional<any_duration> timeout = {};  // in place of the session's
  std::optional<unsigned> redirects = {};    // likewise, also for HEAD
};

}  // namespace heddle::http
