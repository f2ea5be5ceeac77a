// SPDX-License-Identifier: MIT
// Internal to io; installed, since public headers need it.
// What a router has been told, until the server starts.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/middleware.h>

#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

/// How a route takes the body of a request: `whole`, before its handler is called, or `stream`, by
/// request::body_stream().
enum class body_mode : unsigned char { whole, stream };

/// What becomes of a handler whose client is gone. `by_method`: it is cancelled if the method is
/// GET, HEAD, OPTIONS or TRACE, and finishes its work otherwise.
enum class disconnect : unsigned char { by_method, cancel, finish };

namespace detail {

/// An answer to exceptions of one type and those that derive from it.
struct error_mapping {
  /// Nothing: the exception is of another type.
  std::function<std::optional<response>(const std::exception_ptr&, request&)> answer;
  void (*throw_pointer)() = nullptr;                   // throws a null pointer to the type
  bool (*catches)(void (*throw_pointer)()) = nullptr;  // true: that type derives from this one
};

/// A page in place of the short text of an error. Nothing: the short text.
using error_page =
    std::function<std::optional<response>(const request&, int status, std::string_view detail)>;

/// Sees an answer before it leaves, and may change its fields.
using prepare_hook = std::function<void(request&, response&)>;

/// What begins before the first request and ends behind the last one.
struct context_plan {
  std::function<task<>()> enter;  // one of the two may be empty
  std::function<task<>()> exit;
};

struct route_plan {
  std::optional<method> asked;  // none: any
  std::string path;
  bool is_prefix = false;
  handler answer;
  std::vector<middleware> around = {};
  std::string name = {};
  body_mode mode = body_mode::whole;
  std::optional<std::size_t> body_limit = {};
  disconnect gone = disconnect::by_method;
  bool head = true;
  bool always = false;
  std::string shape = {};  // pattern::shape() of the path; of a prefix none
};

struct router_plan {
  using counted_ptr = heddle::detail::counted_ptr<heddle::detail::counted>;
  struct nested {
    std::string where;  // a prefix, or a host
    std::shared_ptr<router_plan> what;
  };

  std::vector<std::unique_ptr<route_plan>> routes;
  std::vector<middleware> around;
  std::vector<std::pair<const void*, counted_ptr>> states;
  std::vector<error_mapping> mappings;
  error_page page;
  std::vector<prepare_hook> prepare;
  std::optional<handler> fallback;
  std::vector<nested> below;
  std::vector<nested> domains;
  std::vector<context_plan> contexts;
  std::vector<std::function<task<>()>> background;
  bool started = false;
};

}  // namespace detail
}  // namespace heddle::http
