// SPDX-License-Identifier: MIT
// Internal to io.
// From a command to a child: posix_spawn and what must be right around it.
#pragma once

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/process_options.h>

#include <string>
#include <vector>

#include <sys/types.h>

namespace heddle::detail {

/// A child and our ends of its pipes, non-blocking; those that were not asked for are not valid().
struct spawned_child {
  pid_t pid = -1;
  fd in, out, error;
};

/// Throws std::system_error naming the program, bad_value.
spawned_child spawn_child(const std::vector<std::string>& command, const process_options& options);

}  // namespace heddle::detail
