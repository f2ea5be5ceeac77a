// SPDX-License-Identifier: MIT
// Internal to io; installed, since public headers need it.
// Values as CBOR. nlohmann's JSON value stands between; what it does not know (optional, bytes) or
// converts in silence (numbers out of range) is done here.
#pragma once

#include <heddle/core/errors.h>
#include <heddle/io/cluster_errors.h>

#include <nlohmann/json.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace heddle::cluster::detail {

using json = nlohmann::json;

template <class T>
struct codec;

template <class T>
json to_value(const T& v) {
  return codec<T>::encode(v);
}
template <class T>
T from_value(const json& j) {
  return codec<T>::decode(j);
}

[[noreturn]] void refuse_value(const char* wanted, const char* found);

template <class T>
concept byte_like = std::same_as<T, std::byte> || std::same_as<T, unsigned char>;
template <class T>
concept whole = std::integral<T> && !std::same_as<T, bool>;

/// What nlohmann's to_json and from_json know, or a user's own.
template <class T>
struct codec {
  static json encode(const T& v) { return json(v); }
  static T decode(const json& j) { return j.get<T>(); }
};
template <whole T>
struct codec<T> {
  static json encode(T v) {
    if constexpr (std::is_signed_v<T>)
      return json(static_cast<std::int64_t>(v));
    else
      return json(static_cast<std::uint64_t>(v));
  }
  static T decode(const json& j) {
    if (j.is_number_unsigned()) {
      const auto n = j.get<std::uint64_t>();
      if (n > static_cast<std::uint64_t>(std::numeric_limits<T>::max()))
        refuse_value("a whole number in the range of its type", "a greater one");
      return static_cast<T>(n);
    }
    if (!j.is_number_integer()) refuse_value("a whole number", j.type_name());
    const auto n = j.get<std::int64_t>();
    if (std::is_unsigned_v<T> || n < static_cast<std::int64_t>(std::numeric_limits<T>::min()))
      refuse_value("a whole number in the range of its type", "a lesser one");
    return static_cast<T>(n);
  }
};
template <std::floating_point T>
struct codec<T> {
  static json encode(T v) { return json(static_cast<double>(v)); }
  static T decode(const json& j) {
    if (!j.is_number()) refuse_value("a number", j.type_name());
    return static_cast<T>(j.get<double>());
  }
};
template <>
struct codec<std::string> {
  static json encode(const std::string& v) { return json(v); }
  static std::string decode(const json& j) {
    if (!j.is_string()) refuse_value("a string", j.type_name());
    return j.get<std::string>();
  }
};
/// An optional is an array of one or none, so that optionals of optionals stay apart.
template <class T>
struct codec<std::optional<T>> {
  static json encode(const std::optional<T>& v) {
    json j = json::array();
    if (v) j.push_back(to_value(*v));
    return j;
  }
  static std::optional<T> decode(const json& j) {
    if (!j.is_array() || j.size() > 1) refuse_value("an optional value", j.type_name());
    if (j.empty()) return std::nullopt;
    return from_value<T>(j[0]);
  }
};
template <byte_like T>
struct codec<std::vector<T>> {
  static json encode(const std::vector<T>& v) {
    json::binary_t bytes;
    bytes.resize(v.size());
    for (std::size_t i = 0; i < v.size(); ++i) bytes[i] = static_cast<std::uint8_t>(v[i]);
    return json(std::move(bytes));
  }
  static std::vector<T> decode(const json& j) {
    if (!j.is_binary()) refuse_value("bytes", j.type_name());
    const auto& bytes = j.get_binary();
    std::vector<T> v(bytes.size());
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<T>(bytes[i]);
    return v;
  }
};
template <class T>
struct codec<std::vector<T>> {
  static json encode(const std::vector<T>& v) {
    json j = json::array();
    for (const auto& one : v) j.push_back(to_value<T>(one));
    return j;
  }
  static std::vector<T> decode(const json& j) {
    if (!j.is_array()) refuse_value("an array", j.type_name());
    std::vector<T> v;
    v.reserve(j.size());
    for (const auto& one : j) v.push_back(from_value<T>(one));
    return v;
  }
};
template <class T, std::size_t N>
struct codec<std::array<T, N>> {
  static json encode(const std::array<T, N>& v) {
    json j = json::array();
    for (const auto& one : v) j.push_back(to_value(one));
    return j;
  }
  static std::array<T, N> decode(const json& j) {
    if (!j.is_array() || j.size() != N) refuse_value("an array of a fixed size", j.type_name());
    std::array<T, N> v{};
    for (std::size_t i = 0; i < N; ++i) v[i] = from_value<T>(j[i]);
    return v;
  }
};
/// A map is an array of pairs: any key may stand in it.
template <class K, class V>
struct codec<std::map<K, V>> {
  static json encode(const std::map<K, V>& v) {
    json j = json::array();
    for (const auto& [key, value] : v) j.push_back(json::array({to_value(key), to_value(value)}));
    return j;
  }
  static std::map<K, V> decode(const json& j) {
    if (!j.is_array()) refuse_value("a map", j.type_name());
    std::map<K, V> v;
    for (const auto& one : j) {
      if (!one.is_array() || one.size() != 2) refuse_value("a pair of a map", one.type_name());
      v.emplace(from_value<K>(one[0]), from_value<V>(one[1]));
    }
    return v;
  }
};
template <class... Ts>
struct codec<std::tuple<Ts...>> {
  static json encode(const std::tuple<Ts...>& v) {
    json j = json::array();
    std::apply([&](const auto&... one) { (j.push_back(to_value(one)), ...); }, v);
    return j;
  }
  static std::tuple<Ts...> decode(const json& j) {
    if (!j.is_array() || j.size() != sizeof...(Ts))
      refuse_value("as many values as the signature has", j.type_name());
    return decode_all(j, std::index_sequence_for<Ts...>());
  }

 private:
  template <std::size_t... I>
  static std::tuple<Ts...> decode_all([[maybe_unused]] const json& j, std::index_sequence<I...>) {
    return std::tuple<Ts...>{from_value<Ts>(j[I])...};
  }
};
template <class A, class B>
struct codec<std::pair<A, B>> {
  static json encode(const std::pair<A, B>& v) {
    return json::array({to_value(v.first), to_value(v.second)});
  }
  static std::pair<A, B> decode(const json& j) {
    if (!j.is_array() || j.size() != 2) refuse_value("a pair", j.type_name());
    return {from_value<A>(j[0]), from_value<B>(j[1])};
  }
};

[[nodiscard]] std::string cbor_of(const json& j);
/// Throws bad_arguments.
[[nodiscard]] json json_of_cbor(const std::string& kind, std::string_view bytes);
/// bad_arguments: "what" does not fit `kind`.
[[noreturn]] void refuse(const std::string& kind, const char* what, const char* why);
[[nodiscard]] std::uint64_t hash_names(const char* const* names, std::size_t n) noexcept;

template <class T>
std::string encode_value(const std::string& kind, const T& v) {
  try {
    return cbor_of(to_value(v));
  } catch (const json::exception& e) { refuse(kind, "the result", e.what()); }
}
template <class T>
T decode_value(const std::string& kind, std::string_view bytes) {
  try {
    return from_value<T>(json_of_cbor(kind, bytes));
  } catch (const json::exception& e) { refuse(kind, "the result", e.what()); }
}
template <class... Args>
std::string encode_arguments(const std::string& kind, const Args&... args) {
  try {
    json j = json::array();
    (j.push_back(to_value(args)), ...);
    return cbor_of(j);
  } catch (const json::exception& e) { refuse(kind, "the arguments", e.what()); }
}
template <class... Args>
std::tuple<Args...> decode_arguments(const std::string& kind, std::string_view bytes) {
  try {
    return from_value<std::tuple<Args...>>(json_of_cbor(kind, bytes));
  } catch (const json::exception& e) { refuse(kind, "the arguments", e.what()); }
}

template <class R, class... Args>
std::uint64_t signature_of() noexcept {
  const char* const names[] = {typeid(R).name(), typeid(std::decay_t<Args>).name()...};
  return hash_names(names, 1 + sizeof...(Args));
}

}  // namespace heddle::cluster::detail
