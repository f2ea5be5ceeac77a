// SPDX-License-Identifier: MIT
#include <heddle/io/copy.h>

#include <heddle/sched/task_group.h>

#include <exception>
#include <functional>

namespace heddle {

namespace {

/// Writes before each wait, so that a silent source holds nothing back. Drains before each read,
/// so that a broken receiver takes nothing more out of the source.
task<> move_all(stream_reader& from, stream_writer& to, std::uint64_t& count) {
  for (bool more = true;;) {
    const auto bytes = from.buffered();
    if (!bytes.empty()) {
      const auto n = bytes.size();
      to.write(bytes);
      count += n;
      from.consume(n);
    }
    co_await to.drain();
    if (!more) co_return;
    more = co_await from.fill();
  }
}

task<> move_one_way(stream_reader& from, stream_writer& to, std::uint64_t& count) {
  co_await move_all(from, to, count);
  to.write_eof();
}

}  // namespace

task<std::uint64_t> copy(stream_reader& from, stream_writer& to) {
  std::uint64_t count = 0;
  co_await move_all(from, to, count);
  co_return count;
}

task<std::uint64_t> copy(stream_reader& from, stream_writer& to, std::uint64_t& count) {
  const auto before = count;
  co_await move_all(from, to, count);
  co_return count - before;
}

task<copied_bytes> copy(connection& a, connection& b) {
  copied_bytes counts;
  co_return co_await copy(a, b, counts);
}

task<copied_bytes> copy(connection& a, connection& b, copied_bytes& counts) {
  const copied_bytes before = counts;
  const auto start = [&](task_group& g) {
    g.create_task(move_one_way, std::ref(a.reader), std::ref(b.writer), std::ref(counts.there));
    g.create_task(move_one_way, std::ref(b.reader), std::ref(a.writer), std::ref(counts.back));
  };
  std::exception_ptr first;
  try {
    co_await with_task_group(start);
  } catch (const exception_group& all) { first = all.exceptions().front(); }
  if (first) std::rethrow_exception(first);
  co_return copied_bytes{counts.there - before.there, counts.back - before.back};
}

}  // namespace heddle
