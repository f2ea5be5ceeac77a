// SPDX-License-Identifier: MIT
// Internal to io.
// A router as a server runs it: its routes in a table, its scopes, and what begins and
// ends with it.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/serving/app_scope.h>
#include <heddle/io/http/serving/plan.h>
#include <heddle/io/http/serving/routes.h>
#include <heddle/sched/create_task.h>
#include <heddle/sync/mutex.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace heddle::http::detail {

/// One server's. The table and the scopes are constant once it is made.
struct application {
  std::vector<std::unique_ptr<app_scope>> scopes;
  named_patterns names;
  std::vector<context_plan> contexts;  // a router's before those of the routers in it
  std::vector<std::function<task<>()>> background;
  bool prepares = false;  // some scope has a hook for answers

  // Touched by enter() and leave() alone. A server may be stopped twice, so leave() has a lock.
  mutex leaving;
  std::size_t entered = 0;  // contexts
  std::vector<task_handle<>> running;
};

/// Fills `table` and `app`. From then on the routers are closed for changes.
/// Throws  bad_value for a name that two routes have; usage_error for routes that take the same
///         requests; both name them
void make_application(router_plan& root, route_table& table, application& app);

/// Enters the contexts in order, and begins the background tasks. If one throws, those that have
/// entered exit, and the error is thrown.
[[nodiscard]] task<> enter(application& app);
/// Cancels the background tasks and waits for them, then exits the contexts, the last one first.
/// All of them exit, whatever some throw: one error is thrown as it is, several as an
/// exception_group. A second call waits for the first one, and finds nothing to do.
[[nodiscard]] task<> leave(application& app);

}  // namespace heddle::http::detail
