// SPDX-License-Identifier: MIT
// Arguments that a handler gets from its request, by their types.
//
//   r.get("/u/{id:int}", [](http::path<int> id, http::state<store> db) {
//     return db->find(id.get());  // a std::optional<std::string>: text, or 404
//   });
//
// An argument that cannot be made ends the request with 4xx and application/problem+json, which
// names what is wrong, and the handler is not called. A std::optional of one of these is empty if
// the request brings nothing; what it brings wrongly is 4xx as well. typed.h has those that read
// JSON. For types of your own specialise from_request (handler.h).
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/checked.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/problem.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace heddle::http {

/// A text that is a template argument: cookie_value<"session">.
template <std::size_t N>
struct fixed_text {
  consteval fixed_text(const char (&literal)[N]) {
    for (std::size_t i = 0; i < N; ++i) text[i] = literal[i];
  }
  [[nodiscard]] constexpr std::string_view view() const noexcept { return {text, N - 1}; }
  char text[N] = {};
};

namespace detail {

/// The values of the path's parameters, in order.
[[nodiscard]] const std::vector<std::string>& values_of(const request& r) noexcept;
/// Throws usage_error: the application has no such state.
[[noreturn]] void throw_no_state(const std::type_info& type);
/// Throws usage_error: the pattern has fewer parameters.
[[noreturn]] void throw_no_value(const request& r, std::size_t wanted);
/// Throws problem 400: `text`, which is `what`, is no `wanted`.
[[noreturn]] void throw_unreadable(std::string_view what, std::string_view text,
                                   std::string_view wanted);
[[nodiscard]] heddle::detail::counted* state_of(const request& r, const void* key) noexcept;

/// The text as a T: text itself, a whole number that fits, a fraction, "true" or "false".
template <class T>
T read_text(std::string_view text, std::string_view what) {
  if constexpr (std::constructible_from<T, std::string_view>) {
    return T(text);
  } else if constexpr (std::same_as<T, bool>) {
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
    throw_unreadable(what, text, "true or false");
  } else if constexpr (std::integral<T>) {
    const bool negative = std::signed_integral<T> && text.starts_with('-');
    std::uint64_t n = 0;
    const auto most = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    if (!heddle::detail::parse_digits(text.substr(negative ? 1 : 0), most + (negative ? 1U : 0U),
                                      n))
      throw_unreadable(what, text, "whole number in its range");
    return static_cast<T>(negative ? 0 - n : n);
  } else {
    static_assert(std::floating_point<T>, "text, numbers and bool are read from a text");
    const bool negative = text.starts_with('-');
    double value = 0;
    if (!heddle::detail::parse_number(text.substr(negative ? 1 : 0), value,
                                      std::numeric_limits<double>::max()))
      throw_unreadable(what, text, "number");
    return static_cast<T>(negative ? -value : value);
  }
}

/// A value and the way to it.
template <class T>
class extracted {
 public:
  explicit extracted(T value) : value_(std::move(value)) {}
  [[nodiscard]] T& get() noexcept { return value_; }
  [[nodiscard]] const T& get() const noexcept { return value_; }
  [[nodiscard]] const T& operator*() const noexcept { return value_; }
  [[nodiscard]] const T* operator->() const noexcept { return &value_; }
  operator const T&() const noexcept { return value_; }  // it stands for its value

 private:
  T value_;
};

}  // namespace detail

/// The parameters of the path, in the order of the pattern: path<int>, path<std::string, int>. With
/// one type get() is the value, with several a tuple. A pattern that has fewer parameters is a bug
/// of the route: usage_error, so 500.
template <class... T>
class path : public detail::extracted<std::tuple<T...>> {
  using detail::extracted<std::tuple<T...>>::extracted;
};
template <class T>
class path<T> : public detail::extracted<T> {
  using detail::extracted<T>::extracted;
};

/// A state of the application: what router::state() keeps for T. A missing one is a bug:
/// usage_error that names the type, so 500.
template <class T>
class state {
 public:
  explicit state(std::shared_ptr<T> value) noexcept : value_(std::move(value)) {}
  [[nodiscard]] T& operator*() const noexcept { return *value_; }
  [[nodiscard]] T* operator->() const noexcept { return value_.get(); }
  [[nodiscard]] const std::shared_ptr<T>& get() const noexcept { return value_; }

 private:
  std::shared_ptr<T> value_;
};

/// A query parameter, the first of its name; a cookie; a header field.
template <fixed_text Name, class T = std::string>
class query_param : public detail::extracted<T> {
  using detail::extracted<T>::extracted;
};
template <fixed_text Name>
class cookie_value : public detail::extracted<std::string> {
  using detail::extracted<std::string>::extracted;
};
template <fixed_text Name>
class header_value : public detail::extracted<std::string> {
  using detail::extracted<std::string>::extracted;
};

namespace detail {

template <class... T, std::size_t... I>
std::tuple<T...> read_path(const request& r, std::index_sequence<I...>) {
  const auto& values = values_of(r);
  if (values.size() < sizeof...(T)) throw_no_value(r, sizeof...(T));
  return std::tuple<T...>{read_text<T>(values[I], "the path")...};
}

template <class T>
T present(std::optional<T> value, std::string_view kind, std::string_view name) {
  if (!value) throw problem(400, std::string(kind) + " " + std::string(name) + " is missing");
  return std::move(*value);
}

}  // namespace detail

template <class T>
struct from_request<path<T>> {
  static path<T> from(request& r) {
    return path<T>(std::get<0>(detail::read_path<T>(r, std::index_sequence<0>())));
  }
  static bool absent(const request& r) { return detail::values_of(r).empty(); }
};
template <class... T>
struct from_request<path<T...>> {
  static path<T...> from(request& r) {
    return path<T...>(detail::read_path<T...>(r, std::index_sequence_for<T...>()));
  }
  static bool absent(const request& r) { return detail::values_of(r).empty(); }
};
template <class T>
struct from_request<state<T>> {
  static state<T> from(request& r) {
    auto* const kept = detail::state_of(r, &detail::type_key<T>);
    if (kept == nullptr) detail::throw_no_state(typeid(T));
    return state<T>(static_cast<detail::kept_value<std::shared_ptr<T>>*>(kept)->value);
  }
  static bool absent(const request& r) {
    return detail::state_of(r, &detail::type_key<T>) == nullptr;
  }
};
template <fixed_text Name, class T>
struct from_request<query_param<Name, T>> {
  static query_param<Name, T> from(request& r) {
    const auto text = detail::present(r.query(Name.view()), "the query parameter", Name.view());
    return query_param<Name, T>(detail::read_text<T>(text, Name.view()));
  }
  static bool absent(const request& r) { return !r.query(Name.view()); }
};
template <fixed_text Name>
struct from_request<cookie_value<Name>> {
  static cookie_value<Name> from(request& r) {
    return cookie_value<Name>(detail::present(r.cookie(Name.view()), "the cookie", Name.view()));
  }
  static bool absent(const request& r) { return !r.cookie(Name.view()); }
};
template <fixed_text Name>
struct from_request<header_value<Name>> {
  static header_value<Name> from(request& r) {
    return header_value<Name>(
        std::string(detail::present(r.headers.get(Name.view()), "the field", Name.view())));
  }
  static bool absent(const request& r) { return !r.headers.contains(Name.view()); }
};
template <class T>
struct from_request<std::optional<T>> {
  static std::optional<T> from(request& r) {
    if (from_request<T>::absent(r)) return std::nullopt;
    return from_request<T>::from(r);
  }
};

}  // namespace heddle::http
