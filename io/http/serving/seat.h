// SPDX-License-Identifier: MIT
// Internal to io.
// How a handler takes its connection over, for a protocol that begins as a request of HTTP. And how
// it learns that the server stops.
#pragma once

#include <heddle/core/base/spin_lock.h>
#include <heddle/io/stream.h>

namespace heddle::http::detail {

/// Is told when the server stops. It stands in a list of `departures`.
class leaver {
 public:
  /// Does not wait, and calls nothing of the list.
  virtual void server_stops() noexcept = 0;

 protected:
  ~leaver() = default;

 private:
  friend class departures;
  leaver* previous_ = nullptr;
  leaver* next_ = nullptr;
};

/// Connections that were taken over. The watch of a server leaves them alone, so the server tells
/// them that it stops.
/// Thread-safety  everything, from any loop
class departures {
 public:
  /// False: the server stops already, and `one` was not added.
  [[nodiscard]] bool add(leaver& one) noexcept;
  /// `one` is not told anything once this has returned.
  void remove(leaver& one) noexcept;
  void announce() noexcept;

 private:
  // all of it: under lock_
  heddle::detail::spin_lock lock_;
  leaver* first_ = nullptr;
  bool announced_ = false;
};

/// What a handler that may wait finds at request::seat.
class seat {
 public:
  /// Gives the connection away. All answers before this request are written. The conversation ends
  /// when the handler does, and drops its answer. Bytes that the client sent behind its request are
  /// in the reader.
  [[nodiscard]] virtual connection take_over() = 0;
  /// The client has ended or reset the connection.
  [[nodiscard]] virtual bool client_is_gone() const noexcept = 0;
  [[nodiscard]] virtual departures& leaving() noexcept = 0;

 protected:
  ~seat() = default;
};

}  // namespace heddle::http::detail
