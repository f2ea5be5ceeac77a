// SPDX-License-Identifier: MIT
// Internal to io.
// One listening socket of a server, from its first guest to its end.
#pragma once

#include <heddle/core/base/atomic.h>
#include <heddle/io/address.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/reactor/source.h>

#include <chrono>
#include <utility>

namespace heddle::detail {

/// How long accepting pauses when guests keep failing to be taken in: protocol GUEST.
inline constexpr std::chrono::seconds accept_pause{1};
/// How long accepting pauses when descriptors or memory are out. The pause doubles from the first
/// value to the last one. The last one bounds how late a freed descriptor is noticed.
inline constexpr std::chrono::milliseconds first_want_pause{5};
inline constexpr std::chrono::milliseconds longest_want_pause{80};
/// The same want, or that guests are refused, is reported at most this often.
inline constexpr std::chrono::seconds report_interval{1};
/// So many guests in a row could not be taken in by one listener: then its accepting pauses.
inline constexpr unsigned most_failures_in_a_row = 2;

/// One listening socket. The server and the accepting task share it, and the last of them closes
/// the descriptor. Closed earlier, its number could be another file's while the task accepts on it.
/// stop() ends accepting at once, from any thread.
///
/// A shared socket is open elsewhere, too: in another process, or as a duplicate. Whatever is done
/// to it is done to the others. So its end here neither shuts it down nor sets a filter.
class listener {
 public:
  listener(fd socket, unsigned loop, bool shared = false) noexcept
      : socket_(std::move(socket)), loop_(loop), shared_(shared) {}
  listener(const listener&) = delete;
  ~listener() { stop(); }

  /// Listens, if the socket does not yet, and watches it. Throws std::system_error about `where`.
  void start(int backlog, const address& where);
  /// From here on the kernel answers no new guest, and those that it has answered may still be
  /// accepted. The first half of a graceful end; stop() is the second. A shared socket stays as it
  /// is.
  void refuse_new() noexcept;
  [[nodiscard]] bool refuses() const noexcept {
    // pairs with the store in refuse_new()
    return refuses_.load(acquire);
  }
  /// From here on the socket counts as shared.
  void share() noexcept {
    // pairs with the loads in shared()
    shared_.store(true, release);
  }
  [[nodiscard]] bool shared() const noexcept {
    // pairs with the store in share()
    return shared_.load(acquire);
  }
  void stop() noexcept;
  [[nodiscard]] bool stopped() const noexcept {
    // pairs with the exchange in stop()
    return stopped_.load(acquire);
  }
  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  [[nodiscard]] io_source& source() const noexcept { return *source_; }
  [[nodiscard]] source_name name() const noexcept { return name_; }

  /// Guests that could not be taken in since the last one that was. Used by the accepting task
  /// only.
  unsigned failures = 0;
  /// How long accepting pauses at the next want of descriptors. Used by the accepting task only.
  std::chrono::milliseconds want_pause = first_want_pause;

 private:
  void end_watch() noexcept;
  void shut_down() noexcept;

  fd socket_;
  unsigned loop_;
  io_source* source_ = nullptr;          // used by start(), then by the accepting task
  atomic<io_source*> watched_{nullptr};  // start() or stop() takes it, and ends the watch
  source_name name_;
  atomic<bool> shared_;
  atomic<bool> refuses_{false};
  atomic<bool> stopped_{false};
};

/// True: the socket listens.
[[nodiscard]] bool is_listening(int socket) noexcept;

}  // namespace heddle::detail
