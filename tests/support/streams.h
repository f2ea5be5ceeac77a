// SPDX-License-Identifier: MIT
// What the tests of streams share: connecting, feeding, filling up and emptying them, and their
// errors.
#pragma once

#include <heddle/core/future.h>
#include <heddle/core/task.h>
#include <heddle/io/server.h>
#include <heddle/io/stream.h>
#include <heddle/sched/sleep.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace support {

/// Two ends of a connection.
struct ends {
  heddle::connection client;
  heddle::connection server;
};

/// Two ends of a TCP connection, and the server between them.
inline heddle::task<ends> connect_by_tcp(std::size_t limit) {
  auto arrived = std::make_shared<heddle::promise<heddle::connection>>();
  auto future = arrived->get_future();
  heddle::server_options so;
  so.limit = limit;
  so.reuse_port = false;
  auto take = [arrived](heddle::connection c) { arrived->set_value(std::move(c)); };
  heddle::server s = co_await heddle::start_server(take, "127.0.0.1", 0, so);
  heddle::connection_options co;
  co.limit = limit;
  heddle::connection mine = co_await heddle::open_connection("127.0.0.1", s.port(), co);
  heddle::connection& theirs = co_await future;
  ends e{std::move(mine), std::move(theirs)};
  co_return e;
}

/// g++ 12 cannot have an initializer list inside an awaited expression.
template <class... Text>
std::vector<std::string> words(const Text&... text) {
  return {std::string(text)...};
}

/// Writes the pieces one after the other, each only when the reader has the one before; then, if
/// `end`, the end of the stream.
inline heddle::task<> feed(heddle::connection& to, heddle::stream_reader& reader,
                           std::vector<std::string> pieces, bool end = true) {
  for (const auto& p : pieces) {
    const auto had = reader.buffered().size();
    to.writer.write(p);
    while (reader.buffered().size() < had + p.size()) (void)co_await reader.fill();
  }
  if (end) {
    to.writer.write_eof();
    while (co_await reader.fill()) {}
  }
}

/// The errno in a system error; 0 for none, -1 for another error.
inline int code_of(const std::exception_ptr& e) {
  if (!e) return 0;
  try {
    std::rethrow_exception(e);
  } catch (const std::system_error& s) { return s.code().value(); } catch (...) {
    return -1;
  }
}

inline heddle::task<> drain(heddle::stream_writer& w) { co_await w.drain(); }

inline std::size_t open_descriptors() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++n;
  return n;
}

/// All of it, without keeping it.
inline heddle::task<std::size_t> swallow(heddle::stream_reader& r) {
  std::size_t n = 0;
  while (co_await r.fill()) {
    n += r.buffered().size();
    r.consume(r.buffered().size());
  }
  co_return n;
}

/// Writes until the kernel takes no more and much is buffered; yields how much was written.
inline heddle::task<std::size_t> fill_up(heddle::stream_writer& w) {
  const std::string block(256 * 1024, 'f');
  std::size_t written = 0;
  // The kernel takes no more when what is pending stays the same for a long time: two hundred
  // looks, since the thread that writes, or the peer's end in the kernel, may be held for a while.
  for (int same = 0; same < 200;) {
    if (w.buffered() < 4 * block.size()) {
      w.write(block);
      written += block.size();
      same = 0;
    }
    const auto before = w.buffered();
    co_await heddle::sleep(std::chrono::microseconds(100));
    same = w.buffered() == before && before >= 4 * block.size() ? same + 1 : 0;
  }
  co_return written;
}

}  // namespace support
