// SPDX-License-Identifier: MIT
// Internal to io.
// The connections that a session keeps between requests. Not a public header.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/clock.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/session.h>
#include <heddle/io/stream.h>
#include <heddle/sched/loop.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace heddle::http::detail {

/// A connection with the parser that reads its answers. It ends with this object: closed when it
/// was at rest, reset when a request was under way, so that what is unsent keeps neither socket nor
/// memory.
struct wire {
  wire(connection c, std::unique_ptr<response_parser> p) noexcept
      : to(std::move(c)), parser(std::move(p)) {}
  wire(wire&&) noexcept = default;
  wire& operator=(wire&& other) noexcept {
    std::swap(to, other.to);
    std::swap(parser, other.parser);
    std::swap(busy, other.busy);
    return *this;
  }
  ~wire() {
    if (busy) to.writer.abort();
    to.writer.close();
  }

  /// The peer has all of a request: nothing waits here or in the kernel. A peer that answers before
  /// it has read all may never read the rest.
  [[nodiscard]] bool all_sent();

  connection to;
  std::unique_ptr<response_parser> parser;
  bool busy = false;  // from the first byte of a request to the last of its answer
};

// Protocol KEEP. A kept connection is trusted only after a look.
//
// Problem   While a connection waits for its next request its peer may close it, or send what no
//           request asked for. The next request would take such an answer for its own.
// Chosen    What goes out is looked at first (stream_reader::quiet): one that is not silent is
//           reset, and the next is tried. A connection is kept only if its peer has all of the
//           request and nothing of another answer.
// Promised  One timer for all, armed for the oldest: keep_for holds for hosts that are never asked
//           again. Its cost does not depend on how many are kept. What a peer sends after the look
//           cannot be told from an answer, by anybody.
//
/// Connections between requests, by host and port. The latest kept is the first to go out again: it
/// is the least likely to be closed.
class connection_pool : public heddle::detail::counted {
 public:
  explicit connection_pool(session_options o) : options(std::move(o)) {}

  /// One that looks trustworthy.
  std::optional<wire> take(const std::string& where);
  /// Keeps it, or ends it.
  void keep(const std::string& where, wire w);
  [[nodiscard]] std::size_t size();
  void clear();
  /// The session has gone: closes all, and keeps none from now on.
  void retire() noexcept;

  const session_options options;

 private:
  struct kept {
    wire line;
    std::string where;
    time_point until;
  };
  using by_age = std::list<kept>;

  std::optional<wire> take_latest(const std::string& where);
  void expire();
  /// Moves what has been kept for long enough to `old`. Under the lock.
  void take_old(by_age& old);
  void arm();

  std::mutex mutex_;
  by_age all_;  // the oldest first: each is kept for equally long, so it is the first to go
  std::unordered_map<std::string, std::deque<by_age::iterator>> hosts_;  // the oldest first
  bool retired_ = false;
  // The timer: for when, and of which runtime. One whose runtime has ended is lost.
  callback_handle expiry_;
  time_point expires_ = time_point::max();
  std::uint64_t expires_in_ = 0;
};

}  // namespace heddle::http::detail
