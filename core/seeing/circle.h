// SPDX-License-Identifier: MIT
// Internal to core.
// A circle of tasks that wait for each other, as lines for people.
#pragma once

#include <heddle/core/seeing/graph.h>
#include <heddle/core/seeing/output.h>
#include <heddle/core/seeing/sight.h>

#include <cstddef>

namespace heddle::detail::seeing {

/// "DEADLOCK of 2 tasks", and a line for each of them: what it waits in, where, and how the next
/// one stands in its way. A circle with likely edges says so.
void put_circle(output& to, sight& from, wait_graph& graph, std::size_t number) noexcept;
/// "#64.1 lobby>games".
void put_id_and_name(output& to, const task_view& task) noexcept;
/// "waits in mutex 0x7f2a10 at copy_line < forward", or what else the task does.
void put_wait(output& to, const task_view& task, sight& from) noexcept;
/// How the task at the end of an edge stands in the way: "held by ".
[[nodiscard]] const char* relation(because why) noexcept;

}  // namespace heddle::detail::seeing
