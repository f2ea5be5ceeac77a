// SPDX-License-Identifier: MIT
// Internal to io.
// How an http::server begins and ends: its listener, a conversation for each connection that comes,
// and the grace for those at work when it stops.
#pragma once

#include <heddle/core/checked.h>
#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/http/serving/engine.h>
#include <heddle/io/http/site.h>
#include <heddle/sched/create_task.h>

#include <string>
#include <vector>

namespace heddle::http::detail {

/// Before the first connection. Once for each engine; then it throws usage_error.
void begin(engine& e);
/// Ends connections that no listener has: as stop_listening does.
[[nodiscard]] task<> end_talks(engine& e, std::vector<task_handle<>> talks, duration grace);

/// What http::server::start does. Once for each engine; then it throws usage_error. The engine must
/// outlive it: a task that kept the engine alive would keep it after the start, until it is
/// dropped.
[[nodiscard]] task<> start_listening(engine& e, std::string host, port_number port);
/// The same at several sites: at all of them, or at none.
[[nodiscard]] task<> start_listening(engine& e, std::vector<site> sites);

/// What http::server::stop does. The engine must outlive it.
[[nodiscard]] task<> stop_listening(engine& e, duration grace);
/// The grace of a stop that is under way is over.
void hurry(engine& e);

}  // namespace heddle::http::detail
