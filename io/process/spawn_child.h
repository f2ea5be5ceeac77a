// SPDX-License-Identifier: MIT
// Internal to io.
// Starts a child by posix_spawn, with its pipes, descriptors and signals as a program expects them.
#pragma once

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/process_options.h>

#include <string>
#include <vector>

#include <sys/types.h>

namespace heddle::detail {

/// A child, and our ends of its pipes: non-blocking; not valid() if they were not asked for.
struct spawned_child {
  pid_t pid = -1;
  fd in, out, error;
};

/// Throws std::system_error that names the program; bad_value. Then no child and no descriptor is
/// left.
spawned_child spawn_child(const std::vector<std::string>& command, const process_options& options);

}  // namespace heddle::detail
