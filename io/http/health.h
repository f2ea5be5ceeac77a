// SPDX-License-Identifier: MIT
// Handlers for whoever watches a server: does it live, and is it to be sent requests?
//
//   http::router r;
//   r.get("/live", http::liveness()).get("/ready", http::readiness());
//
// Neither waits for anything, so no limit on requests at work refuses it
// (server_options::max_requests). Behind a middleware that is so for routes with route::always().
//
// When stop() begins, readiness() says 503 at once. On connections that are open already that holds
// for the whole grace. A new connection is refused as soon as the server has stopped to accept, so
// server_options::stop_notice leaves time before.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/io/http/handler.h>

namespace heddle::http {

/// Answers 200 as long as the server answers at all, also while it stops.
[[nodiscard]] handler liveness();

/// Answers 200, and 503 from the moment in which stop() begins. The second one also answers 503
/// while `is_ready` returns false (a database is away, say), and what it throws is an error like
/// that of any handler.
/// Thread-safety  `is_ready` is called from all loops at once
[[nodiscard]] handler readiness();
[[nodiscard]] handler readiness(std::function<bool()> is_ready);

}  // namespace heddle::http
