// SPDX-License-Identifier: MIT
// Internal to core.
// A small core of this process, which it writes by itself and goes on: the pages that a reader of
// its tasks needs, and no others. All commands of `heddle` read it as they read a core.
//
// Problem   What a program recorded before a stall is to be kept, and nobody is there to ask for it
//           in time. To make a file for a viewer of it takes names, which take symbol tables and a
//           library's worth of code.
// Rejected  A full core: gigabytes, and fork copies the page tables of all of it.
// Chosen    A reader walks over the loops and the tasks, and notes each page that it reads. These
//           pages are written as segments of an ELF core. The reader of cores is there already.
// Bounds    Tasks whose pages are no longer taken are not in the file, as if it were cut off. It
//           has no heap but that: `leaks` finds nothing in it, and `doctor` no lost promise.
// Cost      Some milliseconds for 1,000 tasks; no lock, and nothing of the heap.
#pragma once

#include <heddle/core/seeing/memory.h>

#include <cstddef>

namespace heddle::detail::seeing {

/// What the file has at `at`, in place of what stands there.
struct snapshot_part {
  address at = 0;
  const void* bytes = nullptr;
  std::size_t size = 0;
};

/// Pages of 4 KiB in one snapshot: 64 MiB.
inline constexpr std::size_t most_snapshot_pages = 16384;

/// Writes it to the file `descriptor`, from its beginning. `parts`, in any order, are in it too; at
/// most 4,096 of them count. False: it could not be written, and errno tells why; or there is no
/// memory for it. One at a time in a process.
[[nodiscard]] bool write_snapshot(int descriptor, const snapshot_part* parts,
                                  std::size_t count) noexcept;

}  // namespace heddle::detail::seeing
