// SPDX-License-Identifier: MIT
// dump: the program writes what its tasks do, whatever state it is in.
//
//   h::dump(STDERR_FILENO);
//
// A program that is started with HEDDLE_DUMP=QUIT does so when it gets SIGQUIT, on stderr, and goes
// on. The tool `heddle` shows the same from outside, and needs neither; this is for where a process
// may not be read from outside.
#pragma once

namespace heddle {

/// Writes a line for each loop and each task of this process to `descriptor`: what the task waits
/// in, where, and through which calls. The text is for people and may change.
/// Returns   false if a dump runs already, if there is no memory for it, or if not all could be
///           written
/// Cost      a few microseconds a task; nothing while it is not called
/// Throws    nothing
/// Thread-safety  any thread, and a signal handler. It allocates nothing and takes no lock, so it
///           may be called while malloc is locked or all loops are hogged. Other threads go on
///           meanwhile: a task that changes at each look is told as "moving".
bool dump(int descriptor) noexcept;

}  // namespace heddle
