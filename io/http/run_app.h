// SPDX-License-Identifier: MIT
// Runs an application until it is told to end: what a program's main does with its router.
//
//   http::run_options o;
//   o.listen = {http::listen("0.0.0.0", 8080)};
//   return h::run(http::run_app(app, o));
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/options.h>
#include <heddle/io/http/router.h>
#include <heddle/io/http/site.h>

#include <vector>

namespace heddle::http {

class server;

/// The order of the fields is API: fields are appended, never reordered.
struct run_options {
  /// given_sites() for the sockets that the program was started with, as by systemd.
  std::vector<site> listen = {site::tcp("127.0.0.1", 8080)};
  server_options server = {};
  /// What handlers have for their work when the application ends.
  any_duration grace = std::chrono::seconds(5);
  /// Called when all sites listen.
  std::function<void(http::server&)> on_started = {};
};

/// Enters the contexts, listens, and serves until SIGTERM or SIGINT. Then it stops as server::stop
/// does, and yields 0: the exit status of the program. A second signal ends notice and grace at
/// once.
/// Throws  what server::start and server::stop throw
/// Cancel  stops the server too, with the grace; then cancelled_error is thrown
[[nodiscard]] task<int> run_app(router app, run_options options);
[[nodiscard]] task<int> run_app(router app, site at);

}  // namespace heddle::http
