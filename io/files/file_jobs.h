// SPDX-License-Identifier: MIT
// Internal to io.
// Calls of an open file: at once where the kernel has the bytes in memory, else on a file thread.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/files/file_threads.h>
#include <heddle/io/files/open_file.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace heddle::detail {

using shared_file = std::shared_ptr<open_file>;

/// Calls `call(file)` on a file thread, inside a use that ends with the call.
template <class Call>
task<std::invoke_result_t<Call, open_file&>> in_a_job(shared_file f, Call call) {
  auto job = on_file_thread(
      [](file_use use, Call c) {
        const file_use mine(std::move(use));  // ends before the waiting task hears of the end
        return c(*mine);
      },
      file_use(std::move(f)), std::move(call));
  co_return co_await std::move(job);
}

/// Throws usage_error if the file was not opened for reading.
void must_read(const open_file& f);
/// As file::read_at.
[[nodiscard]] task<std::string> read_part(shared_file f, std::uint64_t at, std::size_t n);

}  // namespace heddle::detail
