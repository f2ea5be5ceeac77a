// SPDX-License-Identifier: MIT
#include <heddle/io/frames.h>

#include <heddle/core/errors.h>

#include <utility>

namespace heddle {

namespace {

task<> drain_frames(stream_writer& w) { co_await w.drain(); }

}  // namespace

frames::frames(connection over, const frame_options& options)
    : under_(std::move(over)), options_(options) {
  if (options.length_bytes < 1 || options.length_bytes > 8)
    throw bad_value("length_bytes of frames must be from 1 to 8");
}

std::uint64_t frames::length_in_front() const {
  return detail::load_uint(under_.reader.buffered().substr(0, options_.length_bytes),
                           options_.order);
}

void frames::check_length(std::uint64_t n) const {
  if (n > options_.max_frame)
    throw bad_value("a frame of " + std::to_string(n) + " bytes is longer than max_frame, " +
                    std::to_string(options_.max_frame));
}

// Nothing is consumed before the frame is whole. So a cancelled call loses nothing, and a length
// that is too great is found again by the next call.
task<std::optional<std::string>> frames::next() {
  auto& in = under_.reader;
  const std::size_t head = options_.length_bytes;
  for (;;) {
    const std::size_t there = in.buffered().size();
    std::size_t expected = head;
    if (there >= head) {
      const std::uint64_t n = length_in_front();
      check_length(n);
      if (n <= there - head) {
        std::optional<std::string> frame(in.buffered().substr(head, n));
        in.consume(head + n);
        co_return frame;
      }
      expected = head + n;
    }
    const bool more = co_await in.fill();
    if (more || in.buffered().size() > there) continue;
    if (there == 0) co_return std::nullopt;
    throw incomplete_read_error(std::string(in.buffered()), expected);
  }
}

task<> frames::write(std::string_view bytes) {
  check_length(bytes.size());
  const std::size_t head = options_.length_bytes;
  if (head < 8 && bytes.size() >> (8 * head) != 0)
    throw bad_value("a frame of " + std::to_string(bytes.size()) +
                    " bytes is longer than its length_bytes can say");
  std::string whole(head, '\0');
  whole.reserve(head + bytes.size());
  detail::store_uint(whole.data(), head, bytes.size(), options_.order);
  whole.append(bytes);
  under_.writer.write(whole);
  return drain_frames(under_.writer);
}

}  // namespace heddle
