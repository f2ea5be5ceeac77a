// SPDX-License-Identifier: MIT
// Internal to io.
// The connections that a session keeps between requests.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/clock.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/options.h>
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

/// A connection with the parser that reads its answers. The connection ends with this object. At
/// rest it is closed. While a request is under way it is reset, so that bytes that are not sent yet
/// keep neither the socket nor memory.
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

  /// True if the peer has got all of a request: nothing of it waits here or in the kernel. A peer
  /// that answers before it has read all may never read the rest.
  [[nodiscard]] bool all_sent();

  connection to;
  std::unique_ptr<response_parser> parser;
  bool busy = false;  // from the first byte of a request to the last of its answer
};

// Protocol KEEP. A kept connection is used only after a look.
//
// Danger      While a connection waits for its next request, its peer may close it, or send bytes
//             that no request asked for. The next request would take such bytes for its own answer:
//             one user gets what was meant for another.
// Prevention  A connection is kept only if its peer has got all of the request and has sent nothing
//             behind the answer. Before it is used again it is looked at (stream_reader::quiet). If
//             the peer was not silent, the connection is reset, and the next one is tried.
// Cost        One system call a request on a kept connection (on io_uring a look at the
//             completions, too), and another one behind a request with a body. One timer for all
//             kept connections, armed for the oldest: so `keep_for` holds also for hosts that are
//             never asked again, and the timer costs the same however many are kept.
// Limits      Bytes that the peer sends after the look cannot be told from an answer, by anybody.
// Touch       `busy` is set before the first byte of a request, and cleared only when the answer is
//             complete, nothing stands behind it, and all_sent() holds (or the request has no
//             body). keep() is called with `busy` cleared. Everything in the pool is under its
//             lock, and no connection is ended under it.
//
/// Connections between requests, by host and port. The connection that was kept last goes out
/// first: it is the least likely to have been closed.
/// Thread-safety  everything, from any loop.
class connection_pool : public heddle::detail::counted {
 public:
  explicit connection_pool(session_options o) : options(std::move(o)) {}

  /// A kept connection that has been silent, if there is one. Resets those that were not.
  std::optional<wire> take(const std::string& where);
  /// Keeps the connection. Ends it, if enough are kept or none is to be.
  void keep(const std::string& where, wire w);
  [[nodiscard]] std::size_t size();
  void clear();
  /// The session is gone: closes all, and keeps none from now on.
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
  by_age all_;  // the oldest first. All are kept for equally long, so the oldest is the first to go
  std::unordered_map<std::string, std::deque<by_age::iterator>> hosts_;  // the oldest first
  bool retired_ = false;
  // The timer: for when, and of which runtime. If that runtime has ended, the timer is lost.
  callback_handle expiry_;
  time_point expires_ = time_point::max();
  std::uint64_t expires_in_ = 0;
};

}  // namespace heddle::http::detail
