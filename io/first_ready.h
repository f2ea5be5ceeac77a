// SPDX-License-Identifier: MIT
// first_ready: the first of several readers that has something to read. What select() is to
// descriptors.
//
//   switch (co_await h::first_ready(client.reader, upstream.reader)) {
//     case 0: ...  // client.reader has bytes, or its end
//   }
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/stream.h>

#include <concepts>
#include <cstddef>
#include <vector>

namespace heddle {

/// Waits until one of the readers has something: a byte that was not consumed, its end, or an error
/// that its next read throws. Yields its place in the list. The bytes stay in the readers, so none
/// of them loses anything, whichever is first.
///
/// If several have something when it begins, the first in the list is told. So a reader that always
/// has something hides those behind it: turn the list, where that must not be.
/// Cost      a reader that has bytes: one task frame. Otherwise a child task for each reader.
/// Cancel    all waits end; no byte is lost
/// Throws    usage_error while another task reads from one of them; bad_value for an empty list;
///           std::bad_alloc
/// Thread-safety  the readers must outlive the task; no other task may read from them
[[nodiscard]] task<std::size_t> first_ready(std::vector<stream_reader*> readers);
template <std::derived_from<stream_reader>... Reader>
[[nodiscard]] task<std::size_t> first_ready(Reader&... readers) {
  std::vector<stream_reader*> all;
  all.reserve(sizeof...(readers));
  (all.push_back(&readers), ...);
  return first_ready(std::move(all));
}

}  // namespace heddle
