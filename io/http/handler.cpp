// SPDX-License-Identifier: MIT
#include <heddle/io/http/handler.h>

#include <heddle/core/clock.h>
#include <heddle/core/errors.h>
#include <heddle/io/files/sending.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/http/serving/watch.h>
#include <heddle/io/streams/stream_access.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/to_thread.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

namespace heddle::http {
namespace {

// A larger piece goes through its filter on another thread, in slices: compressing a megabyte takes
// some 30 ms, and the loop has others to serve.
constexpr std::size_t most_filtered_here = 16 * 1024;
constexpr std::size_t slice = 256 * 1024;

}  // namespace

namespace detail {
/// What the thread works on. It is the job's own: a runtime that ends leaves the thread alone.
struct filter_job {
  std::shared_ptr<body_filter> filter;
  std::string piece;
  std::string changed;
};
}  // namespace detail

task<> body_writer::write(std::string_view piece) {
  return !filter_                             ? put(piece)
         : piece.size() <= most_filtered_here ? put_filtered(piece, false)
                                              : put_large(piece);
}

task<> body_writer::put_filtered(std::string_view piece, bool last) {
  if (cut_off_) throw_system_error(ECANCELED, "send a filtered body");
  std::string changed;
  (*filter_)(piece, last, changed);
  task<> work = put(changed);
  co_await work;
}

/// A cancelled write is sent all the same, so the filter sees all of the piece. Then the
/// cancellation is thrown.
task<> body_writer::put_large(std::string_view piece) {
  std::exception_ptr cancelled;
  while (!piece.empty()) {
    if (cut_off_) throw_system_error(ECANCELED, "send a filtered body");
    auto job = std::make_shared<detail::filter_job>();
    job->filter = filter_;
    job->piece = piece.substr(0, slice);
    piece.remove_prefix(job->piece.size());
    task<> elsewhere = filter_elsewhere(job, cancelled);
    co_await elsewhere;
    if (cancelled) {
      stage(job->changed);
      continue;
    }
    try {
      task<> work = put(job->changed);
      co_await work;
    } catch (const cancelled_error&) { cancelled = std::current_exception(); }
  }
  if (!cancelled) co_return;
  gone_ = true;  // unless another piece follows
  std::rethrow_exception(cancelled);
}

/// Waits for the end of the job, whatever cancels this task: the filter must not be called again
/// before.
task<> body_writer::filter_elsewhere(std::shared_ptr<detail::filter_job> job,
                                     std::exception_ptr& cancelled) {
  auto work = create_task(
      to_thread([job = std::move(job)] { (*job->filter)(job->piece, false, job->changed); }));
  while (!work.done()) {
    try {
      auto waiting = shield(work);
      co_await waiting;
    } catch (const cancelled_error&) { cancelled = std::current_exception(); } catch (...) {
      // What the filter throws is thrown below.
    }
  }
  if (work.cancelled()) cut_off_ = true;  // the runtime ends
  co_await work;
}

bool body_writer::end_when_stopping() noexcept { return watched_.end_when_stopping(); }

bool body_writer::is_stopping() const noexcept { return watched_.is_stopping(); }

/// Gives the piece to the stream.
void body_writer::stage(std::string_view piece) {
  if (piece.empty()) return;
  if (counted_) {
    if (piece.size() > left_)
      heddle::detail::throw_usage("a streamed body is longer than its promised length");
    left_ -= piece.size();
  }
  sent_ += piece.size();
  if (chunked_) {
    write_chunk(buffer_, piece);
    piece = {};
  }
  begun_ = true;
  if (!buffer_.empty()) {
    out_.write(buffer_);
    buffer_.clear();
  }
  out_.write(piece);
}

task<> body_writer::put(std::string_view piece) {
  if (piece.empty()) co_return;
  stage(piece);
  gone_ = true;  // unless this ends well
  const bool waits = out_.buffered() > 0;
  if (waits) watched_.wait_for_room();
  // What is written to a client that is gone is dropped. A handler that heard nothing of it would
  // go on for ever. So drain() is awaited even if there is nothing to wait for: it throws then.
  try {
    co_await out_.drain();
  } catch (const std::system_error& e) {
    throw connection_lost(e.code(), "the client is gone amid its answer");
  } catch (const cancelled_error&) {
    // The cancellation may come from a time-out of the handler's, and the handler may work on.
    if (waits) {
      (void)watched_.back();
      watched_.work(ends_with_client_, clock::now());
    }
    throw;
  }
  if (waits) {
    if (watched_.back() != detail::after::go_on) throw_system_error(ETIMEDOUT, "send");
    watched_.work(ends_with_client_, clock::now());
  }
  gone_ = false;
}

task<> body_writer::send_part(std::shared_ptr<heddle::detail::open_file> from, std::uint64_t offset,
                              std::uint64_t n) {
  left_ -= n;
  begun_ = true;
  if (!buffer_.empty()) {
    out_.write(buffer_);
    buffer_.clear();
  }
  gone_ = true;  // unless this ends well
  watched_.wait_for_room();
  heddle::detail::file_part part;
  part.offset = offset;
  part.count = n;
  try {
    auto& core = heddle::detail::stream_access::of(out_);
    auto place = heddle::detail::begin_file(core);
    co_await place;
    const heddle::detail::file_in_place held(core);
    auto sending = heddle::detail::send_in_place(core, std::move(from), part, sent_);
    co_await sending;
  } catch (const cancelled_error&) {
    (void)watched_.back();
    watched_.work(ends_with_client_, clock::now());
    throw;
  }
  if (watched_.back() != detail::after::go_on) throw_system_error(ETIMEDOUT, "sendfile");
  watched_.work(ends_with_client_, clock::now());
  gone_ = false;
}

}  // namespace heddle::http
