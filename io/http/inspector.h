// SPDX-License-Identifier: MIT
// The inspector: a program shows what its tasks and loops do, to a browser and to Prometheus.
//
//   http::server s;
//   s.mount(http::inspector());
//   co_await s.start("127.0.0.1", 8080);      // and look at http://127.0.0.1:8080/inspector
//
//   /inspector     a page: loops, groups of tasks, their tree, who waits for whom, stalls
//   /metrics       figures as Prometheus reads them
//   /figures.json  the same figures as JSON, with percentiles
//   /tasks.json    the tasks, as `heddle ps --json` tells them
//   /tree          each task under the first that waits for it: text, or JSON for who accepts that
//   /graph         the tasks, who waits for whom, and the circles in that, as JSON
//   /stalls        steps that held their loop for long, as JSON
//
// All figures are of the whole process: of all its runtimes and servers. Counters never fall while
// the process lives: those of a runtime have its number as a label, and those of servers go on when
// a server has gone.
//
// What a loop that stands still cannot answer, the tool `heddle` tells from outside.
#pragma once

#include <heddle/io/http/router.h>

#include <cstddef>

namespace heddle::http {

/// The order of the fields is API: fields are appended, never reordered.
struct inspector_options {
  /// Names of tasks and functions are nothing for strangers. So clients of this machine alone are
  /// answered: by a loopback address or a Unix socket, by a Host that is a name of this machine,
  /// and not through a proxy. Others get 403, which says so. True: every client is answered; put a
  /// middleware before it.
  bool any_client = false;
  /// So many tasks are told; of the others the number.
  std::size_t most_tasks = 10'000;
};

/// The routes of the inspector, for server::mount() or router::nest().
/// Cost  Nothing while nobody asks. A look at the tasks takes a microsecond or two for each, on a
///       thread of the inspector's own: the loops go on, and a full pool of to_thread does not stop
///       it. One look at a time: 16 requests wait for their turn, the next ones get 503.
[[nodiscard]] router inspector();
[[nodiscard]] router inspector(inspector_options options);

}  // namespace heddle::http
