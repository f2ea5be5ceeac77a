// SPDX-License-Identifier: MIT
// An application: what is called for which request, and what stands around it.
//
//   http::router users;
//   users.get("/{id:int}", [](http::path<int> id) { return "user " + std::to_string(id.get()); });
//   http::router r;
//   r.use(http::request_id());
//   r.nest("/users", users);
//
// Patterns: "/u/{id}" is one segment, "/u/{id:int}" a whole number, "/u/{id:[a-f]+}" what the
// regular expression takes as a whole, "/f/{name}.{ext}" parts of a segment (the last "." splits),
// and "/f/{rest*}" all that is left, perhaps nothing. Values are decoded once; "%2F" in a path
// separates nothing. In the text of {rest*} it stays "%2F". Of two routes that take a path, the one
// with fixed text goes first, whatever the order of adding; routes of equal shape go in order.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/http/files_options.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/middleware.h>
#include <heddle/io/http/serving/plan.h>
#include <heddle/io/http/websocket.h>

#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace heddle::http {

class router;

namespace detail {
struct router_access;
}

/// A route that was added, to be told more. It is a handle of its router, so the router's words go
/// on behind it:
///     r.get("/u/{id}", show).name("user").post("/u", make).body_limit(64 << 10);
/// Throws  usage_error once the server has started
class route {
 public:
  /// For request::url_for(). Throws bad_value if a route of the application has it already: at
  /// once, or when the server starts.
  route& name(std::string text);
  /// A middleware around this route alone, within those of its router.
  route& use(middleware m);
  route& body(body_mode mode);
  /// In place of limits::body_bytes of the server. Beyond it the answer is 413, or payload_error
  /// for a handler that reads the body itself.
  route& body_limit(std::size_t bytes);
  route& on_disconnect(disconnect what);
  /// False: a GET route that does not answer HEAD.
  route& head(bool answers);
  /// Not counted by server_options::max_requests, and served also beyond it: for checks of health
  /// that stand behind middlewares.
  route& always();

  route& get(std::string path, handler h);
  route& post(std::string path, handler h);
  route& put(std::string path, handler h);
  route& patch(std::string path, handler h);
  route& delete_(std::string path, handler h);
  route& any(std::string path, handler h);

 private:
  friend class router;
  route(std::shared_ptr<detail::router_plan> of, detail::route_plan* one) noexcept
      : of_(std::move(of)), one_(one) {}
  detail::route_plan& mine();

  std::shared_ptr<detail::router_plan> of_;
  detail::route_plan* one_;
};

/// Routes with what they share. A copy is a handle of the same router. It may be filled in any
/// order, also when it stands in another one already, until the server starts.
///
/// Throws  usage_error once the server has started; bad_value for a pattern that is none, which
///         names it
/// Thread-safety  one thread at a time, before the server starts
class router {
 public:
  router();

  /// Throws usage_error, which names both, if a route of this router has the method and the same
  /// shape of pattern already, or takes any method there.
  http::route route(method m, std::string path, handler h);
  http::route get(std::string path, handler h) {
    return route(method::get, std::move(path), std::move(h));
  }
  http::route post(std::string path, handler h) {
    return route(method::post, std::move(path), std::move(h));
  }
  http::route put(std::string path, handler h) {
    return route(method::put, std::move(path), std::move(h));
  }
  http::route patch(std::string path, handler h) {
    return route(method::patch, std::move(path), std::move(h));
  }
  http::route delete_(std::string path, handler h) {
    return route(method::delete_, std::move(path), std::move(h));
  }
  /// Every method that no other route of the pattern takes.
  http::route any(std::string path, handler h);
  /// Every path that begins with this text, which is no pattern. The longest one wins.
  http::route prefix(method m, std::string path, handler h);
  /// WebSockets: a GET route, as websocket_route() says. `h` takes websocket&, and then request& or
  /// typed arguments.
  template <class F>
  http::route websocket(std::string path, F h, ws_options options) {
    return get(std::move(path), websocket_route(std::move(h), std::move(options)));
  }
  template <class F>
  http::route websocket(std::string path, F h) {
    return websocket(std::move(path), std::move(h), ws_options());
  }
  /// The files below a directory, as file_root says. They are read on other threads. Throws
  /// std::system_error if there is no such directory.
  http::route files(std::string path, const std::string& directory) {
    return files(std::move(path), directory, files_options());
  }
  http::route files(std::string path, const std::string& directory, files_options options);
  /// What answers a path that no route has, in place of 404. The middlewares run around it.
  router& fallback(handler h);

  /// The other router's routes below this prefix, which is whole segments: "/admin" takes "/admin"
  /// itself (its route "/" ) and "/admin/x", and not "/adminx". Its middlewares stand within those
  /// of this one. What it has not (a state, an answer to an error) is looked for here.
  router& nest(std::string prefix, router below);
  /// The other router's routes as if they stood here, with their own middlewares, state and answers
  /// to errors within those of this one. What no route takes stays this router's.
  router& mount(router other);
  /// The other router for requests to this host; "*.b.com" is every host below b.com.
  router& domain(std::string host, router other);

  /// Around every route of this router and of those that stand in it, the first one outermost. It
  /// also sees what the server itself answers: 404, 405, and what is malformed or too large.
  router& use(middleware m);

  /// Keeps a value that handlers of this router and of those that stand in it can have, as
  /// http::state<T> (extract.h). One of each type: a second one replaces the first.
  template <class T>
  router& state(std::shared_ptr<T> value) {
    auto* kept = new detail::kept_value<std::shared_ptr<T>>(std::move(value));
    return keep(&detail::type_key<T>, detail::router_plan::counted_ptr(kept));
  }

  /// What is answered if a handler throws an E, or what derives from E. `f` takes (const E&) or
  /// (const E&, request&), and returns what a handler may return. If several fit, the one of the
  /// most derived type does; a router's own go before those of the routers around it. The exception
  /// is not reported then.
  template <class E, class F>
  router& on_error(F f) {
    detail::error_mapping m;
    m.answer = [f = std::move(f)](const std::exception_ptr& e,
                                  request& r) mutable -> std::optional<response> {
      try {
        std::rethrow_exception(e);
      } catch (const E& error) {
        if constexpr (std::is_invocable_v<F&, const E&, request&>)
          return to_response<std::remove_cvref_t<decltype(f(error, r))>>::from(f(error, r));
        else
          return to_response<std::remove_cvref_t<decltype(f(error))>>::from(f(error));
      } catch (...) { return std::nullopt; }
    };
    m.throw_pointer = [] { throw static_cast<E*>(nullptr); };
    m.catches = [](void (*throw_pointer)()) {
      try {
        throw_pointer();
      } catch (E*) { return true; } catch (...) {
      }
      return false;
    };
    return map_error(std::move(m));
  }
  /// Makes the page for a status that the server answers by itself, or for which a handler threw
  /// status_error. Nothing: the short text stays. See negotiated_error().
  router& error_page(detail::error_page f);

  /// Calls `f` with each answer of this router, and of those that stand in it, before its head
  /// leaves: for fields that all answers have. The answer is complete then, but for what the server
  /// itself writes (Date, Connection, the framing); a body that streams is still to come. It sees
  /// errors too, and the refusals of the server but 408. Not those of a WebSocket. Those of routers
  /// around this one are called first. If it throws, the answer is 500, and that is reported. It
  /// takes (request&, response&).
  /// Cost  nothing for an application that has none
  /// Thread-safety  `f` is called from all loops at once
  router& on_prepare(detail::prepare_hook f);

  /// Runs `enter` before the server listens and `exit` when it has stopped, in the reverse order. A
  /// router's come before those of the routers in it. If an `enter` throws, those that have entered
  /// exit, and start() throws the error. If several exits throw, stop() throws an exception_group.
  router& context(std::function<task<>()> enter, std::function<task<>()> exit);
  router& on_startup(std::function<task<>()> f) { return context(std::move(f), {}); }
  router& on_cleanup(std::function<task<>()> f) { return context({}, std::move(f)); }
  /// A task that runs beside the server: it begins behind the contexts, and is cancelled and
  /// awaited before they exit. If it fails, that is reported.
  router& background(std::function<task<>()> make);

 private:
  friend class http::route;
  friend struct detail::router_access;
  explicit router(std::shared_ptr<detail::router_plan> plan) noexcept : plan_(std::move(plan)) {}
  detail::router_plan& open() const;
  http::route add(std::optional<method> m, std::string path, handler h, bool is_prefix);
  router& keep(const void* key, detail::router_plan::counted_ptr value);
  router& map_error(detail::error_mapping m);

  std::shared_ptr<detail::router_plan> plan_;
};

namespace detail {
/// The way from servers to what a router holds.
struct router_access {
  static router_plan& plan(const router& r) noexcept { return *r.plan_; }
};
}  // namespace detail

/// A page for an error_page(): application/problem+json if the client prefers JSON, HTML if it
/// prefers that, else nothing.
[[nodiscard]] std::optional<response> negotiated_error(const request& r, int status,
                                                       std::string_view detail);

}  // namespace heddle::http
