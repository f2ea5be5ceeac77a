// SPDX-License-Identifier: MIT
#include <heddle/io/cluster/codec.h>
#include <heddle/io/cluster/token.h>

namespace heddle::cluster::detail {

void refuse_value(const char* wanted, const char* found) {
  throw bad_arguments(std::string("expected ") + wanted + ", found " + found);
}

void refuse(const std::string& kind, const char* what, const char* why) {
  throw bad_arguments(std::string(what) + " of " + kind + " do not fit its signature: " + why);
}

std::string cbor_of(const json& j) {
  std::string out;
  json::to_cbor(j, nlohmann::detail::output_adapter<char>(out));
  return out;
}

json json_of_cbor(const std::string& kind, std::string_view bytes) {
  try {
    return json::from_cbor(bytes.begin(), bytes.end());
  } catch (const json::exception& e) { refuse(kind, "the bytes", e.what()); }
}

std::uint64_t hash_names(const char* const* names, std::size_t n) noexcept {
  std::uint64_t hash = hash_of("heddle");
  for (std::size_t i = 0; i < n; ++i) hash = hash_of("|", hash_of(names[i], hash));
  return hash;
}

}  // namespace heddle::cluster::detail
