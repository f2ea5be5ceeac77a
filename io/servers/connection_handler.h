// SPDX-License-Identifier: MIT
// Internal to io; installed, since public headers need it.
// The function that a server calls for each connection. The type of the user's handler is erased.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/task.h>
#include <heddle/io/stream.h>

#include <type_traits>
#include <utility>

namespace heddle::detail {

using connection_handler = std::function<task<>(connection)>;

/// Wraps a handler of the user. It may take the two halves or the connection, and return a task or
/// nothing.
template <class F>
connection_handler make_connection_handler(F&& f) {
  using D = std::decay_t<F>;
  constexpr bool two = std::is_invocable_v<D&, stream_reader, stream_writer>;
  static_assert(
      two || std::is_invocable_v<D&, connection>,
      "a connection handler is called with (stream_reader, stream_writer) or with (connection)");
  // Counted, since std::function makes copies and a handler need not be copyable. All loops call
  // the one handler at the same time; start_server() says so.
  struct kept final : counted {
    explicit kept(F&& g) : f(std::forward<F>(g)) {}
    D f;
  };
  const counted_ptr<kept> handler(new kept(std::forward<F>(f)));
  return [handler](connection c) -> task<> {
    if constexpr (two) {
      using R = std::invoke_result_t<D&, stream_reader, stream_writer>;
      if constexpr (is_task<R>)
        return handler->f(std::move(c.reader), std::move(c.writer));
      else
        return [](counted_ptr<kept> g, connection own) -> task<> {
          g->f(std::move(own.reader), std::move(own.writer));
          co_return;
        }(handler, std::move(c));
    } else {
      using R = std::invoke_result_t<D&, connection>;
      if constexpr (is_task<R>)
        return handler->f(std::move(c));
      else
        return [](counted_ptr<kept> g, connection own) -> task<> {
          g->f(std::move(own));
          co_return;
        }(handler, std::move(c));
    }
  };
}

}  // namespace heddle::detail
