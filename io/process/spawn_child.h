// SPDX-License-Identifier: MIT
// Internal to io.
// Starts a child, with its pipes, descriptors and signals as a program expects them.
#pragma once

#include <heddle/io/process/child_descriptors.h>
#include <heddle/io/process_options.h>

#include <string>
#include <vector>

namespace heddle::detail {

/// Throws std::system_error that names the call that failed, and the program; bad_value. Then no
/// child and no descriptor is left.
spawned_child spawn_child(const std::vector<std::string>& command, const process_options& options);

}  // namespace heddle::detail
