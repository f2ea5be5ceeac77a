// SPDX-License-Identifier: MIT
// Internal to io; installed, since public headers need it.
// nlohmann::json by name alone. <nlohmann/json_fwd.hpp> is meant for that, but it includes
// <memory>, for std::allocator alone: a tenth of what a first program costs its compiler.
#pragma once

#include <nlohmann/detail/abi_macros.hpp>

#if NLOHMANN_JSON_VERSION_MAJOR == 3 && NLOHMANN_JSON_VERSION_MINOR == 11 && \
    NLOHMANN_JSON_VERSION_PATCH <= 2
#include <heddle/core/memory/memory.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

NLOHMANN_JSON_NAMESPACE_BEGIN
template <typename, typename>
struct adl_serializer;
template <template <typename, typename, typename...> class, template <typename, typename...> class,
          class, class, class, class, class, template <typename> class,
          template <typename, typename> class, class>
class basic_json;
NLOHMANN_JSON_NAMESPACE_END

namespace heddle::http {
using json_value = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t,
                                        std::uint64_t, double, std::allocator,
                                        nlohmann::adl_serializer, std::vector<std::uint8_t>>;
}  // namespace heddle::http

#else
#include <nlohmann/json_fwd.hpp>

namespace heddle::http {
using json_value = nlohmann::json;
}  // namespace heddle::http
#endif
