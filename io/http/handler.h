// SPDX-License-Identifier: MIT
// What a route calls, and what a handler may use: its errors, and the way to stream a body.
//
//   s.get("/hello", [](http::request& r) {
//     return http::response::text("hello " + r.query("name").value_or("nobody"));
//   });
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/problem.h>
#include <heddle/io/stream.h>

#include <concepts>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace heddle::detail {
class open_file;
}

namespace heddle::http {

namespace detail {
class conversation;
class engine;
struct file_sender;
struct filter_job;
struct handler_access;
class watched;

/// As body_source::filter.
using body_filter = std::function<void(std::string_view piece, bool last, std::string& out)>;
}  // namespace detail

/// Thrown by a handler, it becomes the answer: `throw http::status_error(409, "no tea")`.
class status_error : public std::runtime_error {
 public:
  explicit status_error(int status, const std::string& what = {})
      : std::runtime_error(what), status_(status) {}
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  int status_;
};

/// Where a handler's `response::stream` writes its body, piece by piece.
/// Thread-safety  one call at a time, by the task that was given it.
class body_writer {
 public:
  /// Sends a piece, and waits while the client takes its time. The piece may go when the call has
  /// returned. An empty piece sends nothing.
  /// Cancel  the piece is sent all the same, and the handler may go on to write. If the handler
  ///         ends behind a cancelled write, its connection is reset.
  /// Throws  connection_lost (errors.h) when the client is gone, at the first call after the server
  ///         has heard of it; std::system_error when the client takes nothing for write_timeout;
  ///         usage_error for more than the promised length.
  [[nodiscard]] task<> write(std::string_view piece);
  /// For a stream that has no end of its own. When the server stops, from now on, the handler is
  /// cancelled at its present or next wait, and is_stopping() is true. False: it stops already.
  [[nodiscard]] bool end_when_stopping() noexcept;
  /// The server stops.
  [[nodiscard]] bool is_stopping() const noexcept;

 private:
  friend class detail::conversation;
  friend struct detail::file_sender;
  /// Sends `n` bytes of the file from `offset` on, which are a part of the promised length. As
  /// write(), but a cancelled call leaves the rest of the file unsent.
  [[nodiscard]] task<> send_part(std::shared_ptr<heddle::detail::open_file> from,
                                 std::uint64_t offset, std::uint64_t n);
  body_writer(stream_writer& out, std::string& buffer, detail::watched& watched,
              bool ends_with_client) noexcept
      : out_(out), buffer_(buffer), watched_(watched), ends_with_client_(ends_with_client) {}

  void stage(std::string_view piece);
  task<> put(std::string_view piece);
  task<> put_filtered(std::string_view piece, bool last);
  task<> put_large(std::string_view piece);
  task<> filter_elsewhere(std::shared_ptr<detail::filter_job> job, std::exception_ptr& cancelled);

  stream_writer& out_;
  std::shared_ptr<detail::body_filter> filter_;  // sees the pieces, if there is one
  std::string& buffer_;                          // the head waits here for the first piece
  detail::watched& watched_;
  std::uint64_t left_ = 0;  // of the promised length
  std::uint64_t sent_ = 0;  // bytes of the body, as they went
  const bool ends_with_client_;
  bool chunked_ = false;
  bool counted_ = false;  // a length was promised
  bool begun_ = false;    // the head has been sent
  bool gone_ = false;     // the client is gone
  bool cut_off_ = false;  // the filter's thread was left alone with a piece
};

/// Makes an argument of a handler from a request. Specialise it for types of your own:
/// `static T from(request&)` yields the value, or throws status_error or problem. The body of the
/// request is there, unless the route has body_mode::stream. extract.h and typed.h have more.
template <class T>
struct from_request;
template <>
struct from_request<request> {
  static request& from(request& r) noexcept { return r; }
};

/// Makes an answer of what a handler returns. Specialise it for types of your own:
/// `static response from(T)`. Here: response and what becomes one (problem, redirect); text as
/// text/plain; std::optional, where nothing is 404; std::variant, by what is in it. typed.h adds
/// all types that have a to_json.
template <class T>
struct to_response;

namespace detail {

template <class T>
concept text_like = std::convertible_to<T, std::string_view>;

/// For types that are no answer by themselves. Defined in <heddle/io/http/typed.h>.
template <class T>
struct json_answer;

template <class F>
struct call_shape;  // the types of a callable's arguments and result
template <class R, class... Args>
struct call_shape<R (*)(Args...)> {
  using result = R;
  using arguments = std::tuple<std::remove_cvref_t<Args>...>;
};
template <class C, class R, class... Args>
struct call_shape<R (C::*)(Args...)> : call_shape<R (*)(Args...)> {};
template <class C, class R, class... Args>
struct call_shape<R (C::*)(Args...) const> : call_shape<R (*)(Args...)> {};
template <class C, class R, class... Args>
struct call_shape<R (C::*)(Args...) noexcept> : call_shape<R (*)(Args...)> {};
template <class C, class R, class... Args>
struct call_shape<R (C::*)(Args...) const noexcept> : call_shape<R (*)(Args...)> {};

template <class F>
struct shape_of : call_shape<decltype(&F::operator())> {};
template <class R, class... Args>
struct shape_of<R (*)(Args...)> : call_shape<R (*)(Args...)> {};

template <class T>
struct task_result {
  static constexpr bool is_task = false;
  using type = T;
};
template <class T>
struct task_result<task<T>> {
  static constexpr bool is_task = true;
  using type = T;
};

template <class F, class... Args>
decltype(auto) call_with(F& f, request& r, std::tuple<Args...>*) {
  return f(from_request<Args>::from(r)...);
}

}  // namespace detail

template <class T>
struct to_response {
  static response from(T value) {
    if constexpr (std::convertible_to<T, response>)
      return value;  // which moves
    else if constexpr (detail::text_like<T>)
      return response::text(std::string(std::string_view(value)));
    else
      return detail::json_answer<T>::from(value);
  }
};
template <class T>
struct to_response<std::optional<T>> {
  static response from(std::optional<T> value) {
    return value ? to_response<T>::from(std::move(*value)) : response::error(404);
  }
};
template <class... T>
struct to_response<std::variant<T...>> {
  static response from(std::variant<T...> value) {
    return std::visit(
        [](auto&& one) {
          using type = std::remove_cvref_t<decltype(one)>;
          return to_response<type>::from(std::forward<decltype(one)>(one));
        },
        std::move(value));
  }
};

namespace detail {

/// A handler with typed arguments that has to wait. `f` lives in the route.
template <class F, class Args, class R>
task<response> answer_typed(F& f, request& r) {
  task<R> work = call_with(f, r, static_cast<Args*>(nullptr));
  if constexpr (std::is_void_v<R>) {
    co_await work;
    response done;
    done.status = 204;
    co_return done;
  } else {
    R value = co_await work;
    co_return to_response<R>::from(std::move(value));
  }
}

}  // namespace detail

/// What a route calls. It takes the request, or arguments that are made of it (from_request), and
/// returns a `response` or what becomes one (to_response; nothing becomes 204), or a task of that
/// if it has to wait for something. A generic lambda takes `request&`.
///
/// Answers to pipelined requests leave in one send. Before a handler that may wait is called, the
/// answers that are ready are sent: no answer waits for another request. For the fastest
/// pipelining, return a `response` where nothing needs awaiting.
///
/// Cancel  The task that runs a handler is the connection's. If the method is GET, HEAD, OPTIONS or
///         TRACE, the task is cancelled when the client has reset the connection, which is noticed
///         within half a second. With other methods a handler finishes its work, and its answer is
///         dropped. Every handler is cancelled when the grace of stop() is over. A client that has
///         only ended its sending is still answered, and no time-out of the server ends its
///         handler: put a wait_for around what may never end. A cancelled_error of another task
///         that the handler awaited is an error like any other.
/// Throws  status_error, problem, redirect and what on_error() names are answers; a timeout_error
///         is 504. Anything else is answered with 500 and reported.
/// Thread-safety  a handler is called from all loops at once.
class handler {
 public:
  using direct = std::function<response(request&)>;
  using waiting = std::function<task<response>(request&)>;

  template <class F>
    requires(!std::same_as<std::decay_t<F>, handler>)
  handler(F&& f) {  // implicit: routes are given lambdas
    using callable = std::decay_t<F>;
    if constexpr (std::is_invocable_v<callable&, request&>) {
      using result = std::invoke_result_t<callable&, request&>;
      if constexpr (std::convertible_to<result, response>)
        direct_ = std::forward<F>(f);
      else if constexpr (std::same_as<result, task<response>>)
        waiting_ = std::forward<F>(f);
      else
        take_typed<std::tuple<request>, result>(callable(std::forward<F>(f)));
    } else {
      using shape = detail::shape_of<callable>;
      take_typed<typename shape::arguments, typename shape::result>(callable(std::forward<F>(f)));
    }
  }

 private:
  friend class detail::engine;
  friend struct detail::handler_access;

  template <class Args, class Result, class F>
  void take_typed(F f) {
    using result = detail::task_result<Result>;
    using type = typename result::type;
    if constexpr (result::is_task) {
      waiting_ = [f = std::move(f)](request& r) mutable {
        return detail::answer_typed<F, Args, type>(f, r);
      };
    } else if constexpr (std::is_void_v<type>) {
      direct_ = [f = std::move(f)](request& r) mutable {
        detail::call_with(f, r, static_cast<Args*>(nullptr));
        response done;
        done.status = 204;
        return done;
      };
    } else {
      direct_ = [f = std::move(f)](request& r) mutable {
        return to_response<std::remove_cvref_t<type>>::from(
            detail::call_with(f, r, static_cast<Args*>(nullptr)));
      };
    }
  }

  direct direct_;  // one of these two is set
  waiting waiting_;
};

namespace detail {
/// The way from the wings to what a handler holds.
struct handler_access {
  static const handler::direct& direct(const handler& h) noexcept { return h.direct_; }
  static const handler::waiting& waiting(const handler& h) noexcept { return h.waiting_; }
};
}  // namespace detail

}  // namespace heddle::http
