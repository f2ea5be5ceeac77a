// SPDX-License-Identifier: MIT
// Internal to core.
// What was seen, as JSON for programs. Every text is escaped, so that a name cannot break it.
//
//   {"schema": 1, "process": 4711, "command": "chatd", "loops": [...], "tasks": [...]}
//
// Keys may be added under one schema number; none changes its meaning or goes.
#pragma once

#include <heddle/core/seeing/output.h>
#include <heddle/core/seeing/sight.h>

#include <cstdint>
#include <string_view>

namespace heddle::detail::seeing {

inline constexpr int json_schema = 1;

/// Up to the opening of the array of tasks.
void put_json_head(output& to, const sight& from, std::string_view command) noexcept;
/// One element of the array, with a comma in front unless it is the `first`.
void put_json_task(output& to, const task_view& task, sight& from, bool first) noexcept;
void put_json_end(output& to) noexcept;

/// A key, and its value.
void put_json_key(output& to, std::string_view key) noexcept;
void put_json_number(output& to, std::string_view key, std::uint64_t value) noexcept;
void put_json_text(output& to, std::string_view key, std::string_view text) noexcept;
/// The id of a task as a text; number 0: null.
void put_json_id(output& to, std::string_view key, std::uint64_t number,
                 std::uint32_t generation) noexcept;

}  // namespace heddle::detail::seeing
