// SPDX-License-Identifier: MIT
#include <heddle/io/http/handler.h>

#include <heddle/core/clock.h>
#include <heddle/core/errors.h>
#include <heddle/io/files/sending.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/http/serving/watch.h>
#include <heddle/io/streams/stream_access.h>

#include <cerrno>

namespace heddle::http {

task<> body_writer::write(std::string_view piece) {
  return source_ == nullptr ? put(piece) : put_filtered(piece, false);
}

task<> body_writer::put_filtered(std::string_view piece, bool last) {
  std::string changed;
  source_->filter(piece, last, changed);
  task<> work = put(changed);
  co_await work;
}

bool body_writer::end_when_stopping() noexcept { return watched_.end_when_stopping(); }

bool body_writer::is_stopping() const noexcept { return watched_.is_stopping(); }

task<> body_writer::put(std::string_view piece) {
  if (piece.empty()) co_return;
  if (counted_) {
    if (piece.size() > left_)
      heddle::detail::throw_usage("a streamed body is longer than its promised length");
    left_ -= piece.size();
  }
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
    auto sending = heddle::detail::send_part(core, std::move(from), part);
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
