// SPDX-License-Identifier: MIT
// Cores of living processes, as the kernel writes them of dying ones. Whether a process that aborts
// leaves a core, and where, depends on the machine; this does not.
#pragma once

#include <sys/types.h>

#include <string>

namespace conformance {

/// Writes the core of a process that stands still, with all that the kernel puts into one by
/// default: memory that the process has changed, and the first page of each ELF file.
void write_core(pid_t process, const std::string& path);

/// What dump() would write of a core with these bytes: the reader of the tool, in this process.
std::string text_of_core(const std::string& bytes);

}  // namespace conformance
