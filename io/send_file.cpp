// SPDX-License-Identifier: MIT
#include <heddle/io/send_file.h>

#include <heddle/io/files/sending.h>
#include <heddle/io/streams/stream_access.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace heddle {
namespace detail {
namespace {

task<> send_asked(stream_core& core, shared_file from, send_file_options how, std::uint64_t& sent) {
  must_read(*from);
  auto place = begin_file(core);
  co_await place;
  const file_in_place held(core);
  auto asking = in_a_job(from, [](open_file& f) { return f.status(); });
  const file_status now = co_await asking;
  file_part part;
  part.offset = how.offset;
  part.count = how.count;
  part.fallback = how.fallback;
  part.is_known = now.is_file() && now.size != 0;
  if (part.is_known)
    part.count = std::min(part.count, now.size - std::min<std::uint64_t>(now.size, part.offset));
  auto sending = send_in_place(core, std::move(from), part, sent);
  co_await sending;
}

// The stream stays until the file's place in it was given back.
task<std::uint64_t> send_counted(stream_ref to, shared_file from, send_file_options how,
                                 std::uint64_t& sent) {
  const std::uint64_t before = sent;
  auto work = send_asked(to.use(), std::move(from), how, sent);
  co_await work;
  co_return sent - before;
}

task<std::uint64_t> send_uncounted(stream_ref to, shared_file from, send_file_options how) {
  std::uint64_t sent = 0;
  auto work = send_asked(to.use(), std::move(from), how, sent);
  co_await work;
  co_return sent;
}

stream_ref shared(stream_writer& w) {
  auto& core = stream_access::of(w);
  core.ref();
  return stream_ref(&core);
}

}  // namespace
}  // namespace detail

task<std::uint64_t> send_file(stream_writer& to, file& from, send_file_options options,
                              std::uint64_t& sent) {
  return detail::send_counted(detail::shared(to), detail::file_access::of(from), options, sent);
}
task<std::uint64_t> send_file(stream_writer& to, file& from, send_file_options options) {
  return detail::send_uncounted(detail::shared(to), detail::file_access::of(from), options);
}
task<std::uint64_t> send_file(stream_writer& to, file& from, file_offset offset,
                              file_offset count) {
  send_file_options o;
  o.offset = offset;
  o.count = count;
  return send_file(to, from, o);
}
task<std::uint64_t> send_file(stream_writer& to, file& from, file_offset offset) {
  return send_file(to, from, offset, INT64_MAX);
}
task<std::uint64_t> send_file(stream_writer& to, file& from) { return send_file(to, from, 0); }

}  // namespace heddle
