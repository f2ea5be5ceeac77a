// SPDX-License-Identifier: MIT
#include <heddle/io/copy.h>

#include <heddle/io/streams/splicing.h>
#include <heddle/io/streams/stream_access.h>
#include <heddle/io/tls/end_output.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>

#include <exception>
#include <functional>

namespace heddle {

namespace {

using detail::stream_access;

constexpr unsigned pieces_a_turn = 16;  // spliced before others of the loop have their turn

/// Writes before each wait, so that a silent source holds nothing back. Drains before each read,
/// so that a broken receiver takes nothing more out of the source.
task<> move_all(stream_reader& from, stream_writer& to, std::uint64_t& count) {
  detail::splicer direct;
  std::size_t last = 0;  // the size of the last piece; 0: nothing came
  unsigned spliced = 0;
  for (bool more = true;;) {
    const auto bytes = from.buffered();
    if (!bytes.empty()) {
      last = bytes.size();
      to.write(bytes);
      count += last;
      from.consume(last);
    }
    co_await to.drain();
    if (!more) co_return;
    // After a full receive more is there. Small messages pay for no try.
    const bool tries = last >= detail::splicer::worthwhile;
    last = tries ? direct.move_some(stream_access::of(from), stream_access::of(to), count) : 0;
    if (last == 0)
      more = co_await from.fill();
    else if (++spliced % pieces_a_turn == 0)
      co_await yield_now();
  }
}

/// An end that cannot be passed on alone, since `to` would lose what its peer has yet to send, is
/// owed until both directions have ended.
task<> move_one_way(stream_reader& from, stream_writer& to, std::uint64_t& count, bool& owes_end) {
  co_await move_all(from, to, count);
  owes_end = !to.can_write_eof();
  if (!owes_end) to.write_eof();
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
  bool owes_b = false;
  bool owes_a = false;
  const auto start = [&](task_group& g) {
    g.create_task(move_one_way, std::ref(a.reader), std::ref(b.writer), std::ref(counts.there),
                  std::ref(owes_b));
    g.create_task(move_one_way, std::ref(b.reader), std::ref(a.writer), std::ref(counts.back),
                  std::ref(owes_a));
  };
  std::exception_ptr first;
  try {
    co_await with_task_group(start);
  } catch (const exception_group& all) { first = all.exceptions().front(); }
  if (first) std::rethrow_exception(first);
  if (owes_b) detail::end_output(b.writer);
  if (owes_a) detail::end_output(a.writer);
  co_return copied_bytes{counts.there - before.there, counts.back - before.back};
}

}  // namespace heddle
