// SPDX-License-Identifier: MIT
// Internal to core.
// What was seen, as lines for people: one text, whether the tool prints it or the program itself.
#pragma once

#include <heddle/core/seeing/output.h>
#include <heddle/core/seeing/sight.h>

#include <cstdint>

namespace heddle::detail::seeing {

/// What a task does: "queue.get 0/4", "running on loop 1 (thread 4713)", "ready, 3rd on loop 0".
void put_doing(short_writer& to, const task_view& task, const loops_view& loops) noexcept;
/// What cancellation has to do with it: ", cancel asked twice"; often nothing.
void put_cancellation(short_writer& to, const task_view& task) noexcept;
/// "#132.4".
void put_id(short_writer& to, std::uint64_t number, std::uint32_t generation) noexcept;
/// The innermost frame whose function is not the library's; the innermost of all if there is none,
/// or if `all`. nullptr: no frame is known.
[[nodiscard]] const frame_run* frame_of(const task_view& task, symbols& names, bool all) noexcept;
/// The same as text, "chat::copy_line chat.cpp:21"; empty: no frame is known.
[[nodiscard]] const char* place_of(const task_view& task, symbols& names, bool all) noexcept;
/// True: a function of this library.
[[nodiscard]] bool is_of_library(const char* function) noexcept;
/// "chat.cpp:58 by #63.1"; "-": not known.
void put_made(short_writer& to, const task_view& task) noexcept;
/// The frames from the innermost to the root: "copy_line chat.cpp:21 < forward chat.cpp:25 x 3".
void put_chain(output& to, const task_view& task, symbols& names, bool all) noexcept;

/// The table of `ps`: its head, and a line for a task. `all`: with the functions of the library.
void put_table_head(output& to) noexcept;
void put_task(output& to, const task_view& task, sight& from, bool all) noexcept;

/// The whole table with its chains, and what there is to say of the loops: what dump() writes.
/// False: the walk broke off.
bool put_everything(output& to, sight& from) noexcept;

}  // namespace heddle::detail::seeing
