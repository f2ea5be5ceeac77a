// SPDX-License-Identifier: MIT
#include <heddle/io/files/file_jobs.h>

#include <heddle/core/errors.h>
#include <heddle/io/files/file_turn.h>

namespace heddle::detail {

void must_read(const open_file& f) {
  if (!f.reads) throw usage_error("this file was not opened for reading: " + f.path);
}

task<std::string> read_part(shared_file f, std::uint64_t at, std::size_t n) {
  must_read(*f);
  if (n <= most_inline) {
    file_turn turn;
    co_await turn;
    file_use use(f);
    std::string out(n, '\0');
    if (n == 0 || use->read_cached(at, out) == static_cast<ssize_t>(n)) co_return out;
  }
  auto job = in_a_job(f, [at, n](open_file& o) { return o.read(at, n); });
  std::string out = co_await job;
  co_return out;
}

}  // namespace heddle::detail
