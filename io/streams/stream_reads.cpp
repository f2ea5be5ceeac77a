// SPDX-License-Identifier: MIT
// Reads that keep their bytes in the stream until all are there: peek, read_into, read_all with a
// limit, numbers. A cancelled one has taken nothing, so there is nothing to be given back.
#include <heddle/core/errors.h>
#include <heddle/io/stream.h>
#include <heddle/io/streams/reading.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace heddle {

namespace detail {
namespace {

task<std::string_view> peek_some(stream_core& core, std::size_t n) {
  const reading role(core);
  auto& in = core.input();
  bool more = true;
  while (more && in.size() < n) {
    fill_wait next(core, false);
    more = co_await next;
  }
  co_return in.view().substr(0, n);
}

task<std::size_t> read_in_place(stream_core& core, char* to, std::size_t most) {
  const reading role(core);
  auto& in = core.input();
  bool more = most != 0;
  while (more && in.empty()) {
    fill_wait next(core, false);
    more = co_await next;
  }
  const std::size_t n = std::min(most, in.size());
  if (n != 0) {
    std::memcpy(to, in.view().data(), n);
    in.consume(n);
  }
  co_return n;
}

task<std::string> read_within(stream_core& core, std::size_t most) {
  const reading role(core);
  auto& in = core.input();
  for (bool more = true;;) {
    if (in.size() > most)
      throw limit_overrun_error(
          "the stream is longer than the limit of read_all, " + std::to_string(most) + " bytes",
          most);
    if (!more) co_return take(in, in.size());
    fill_wait next(core, false);
    more = co_await next;
  }
}

template <class T>
task<T> read_number(stream_core& core, std::size_t n, byte_order order) {
  const reading role(core);
  auto& in = core.input();
  bool more = true;
  while (more && in.size() < n) {
    fill_wait next(core, false);
    more = co_await next;
  }
  if (in.size() < n) {
    std::string partial = take(in, in.size());
    throw incomplete_read_error(std::move(partial), n);
  }
  const std::uint64_t value = load_uint(in.view().substr(0, n), order);
  in.consume(n);
  co_return static_cast<T>(value);
}

void check_width(std::size_t bytes) {
  if (bytes < 1 || bytes > 8)
    throw bad_value("a number of " + std::to_string(bytes) + " bytes: it must have from 1 to 8");
}

}  // namespace
}  // namespace detail

task<std::string_view> stream_reader::peek(std::ptrdiff_t n) {
  if (n < 0) throw bad_value("peek of a negative number of bytes");
  return detail::peek_some(core_.use(), static_cast<std::size_t>(n));
}

void stream_reader::push_back(std::string_view bytes) {
  auto& core = core_.use();
  const detail::reading role(core);
  core.input().prepend(bytes);
}

task<std::size_t> stream_reader::read_into(std::span<char> to) {
  return detail::read_in_place(core_.use(), to.data(), to.size());
}

task<std::string> stream_reader::read_all(std::ptrdiff_t most) {
  if (most < 0) throw bad_value("read_all with a negative limit");
  return detail::read_within(core_.use(), static_cast<std::size_t>(most));
}

task<std::uint64_t> stream_reader::read_uint(std::size_t bytes, byte_order order) {
  detail::check_width(bytes);
  return detail::read_number<std::uint64_t>(core_.use(), bytes, order);
}

template <detail::wire_uint T>
task<T> stream_reader::read_uint(byte_order order) {
  return detail::read_number<T>(core_.use(), sizeof(T), order);
}
template task<unsigned char> stream_reader::read_uint(byte_order);
template task<unsigned short> stream_reader::read_uint(byte_order);
template task<unsigned int> stream_reader::read_uint(byte_order);
template task<unsigned long> stream_reader::read_uint(byte_order);
template task<unsigned long long> stream_reader::read_uint(byte_order);

void detail::store_checked_uint(char* to, std::size_t n, std::uint64_t value, byte_order order) {
  detail::check_width(n);
  if (n < 8 && value >> (8 * n) != 0)
    throw bad_value("the number " + std::to_string(value) + " does not fit into " +
                    std::to_string(n) + " bytes");
  detail::store_uint(to, n, value, order);
}

void stream_writer::write_uint(std::uint64_t value, std::size_t bytes, byte_order order) {
  char place[8];
  detail::store_checked_uint(place, bytes, value, order);
  write(std::string_view(place, bytes));
}

}  // namespace heddle
