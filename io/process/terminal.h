// SPDX-License-Identifier: MIT
// Internal to io.
// A pseudo-terminal by its descriptors. The user's side is `ours`, that of the programs `theirs`.
#pragma once

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/process_options.h>

#include <cstddef>

namespace heddle {

class pty;

namespace detail {

/// Our side: non-blocking, closed on exec. Throws std::system_error.
fd open_terminal(terminal_size size);
/// Closed on exec. Throws std::system_error.
fd open_their_side(int ours);
/// Throws std::system_error.
void set_terminal_size(int ours, terminal_size size);
terminal_size size_of_terminal(int ours);
/// The streams over our side (pty.cpp). Called in a task.
pty make_pty(fd ours, std::size_t limit);

}  // namespace detail
}  // namespace heddle
