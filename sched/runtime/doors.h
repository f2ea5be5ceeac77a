// SPDX-License-Identifier: MIT
// Internal to sched.
// The doors that core leaves to a scheduler: posting a callback (core/scheduler.h), and telling of
// an error that nobody retrieved (task_record.h). Not a public header.
#pragma once

namespace heddle::detail {

/// Opens them, the first time it is called. Thread-safe.
void open_doors();

}  // namespace heddle::detail
