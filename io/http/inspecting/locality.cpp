// SPDX-License-Identifier: MIT
#include <heddle/io/http/inspecting/locality.h>

#include <heddle/io/address.h>
#include <heddle/io/http/serving/request_scope.h>
#include <heddle/io/stream.h>

#include <algorithm>

namespace heddle::http::detail {
namespace {

/// 127.0.0.0/8, ::1, and the first one written as an address of IPv6.
bool is_loopback(std::string_view address) noexcept {
  constexpr std::string_view mapped = "::ffff:";
  if (address.starts_with(mapped)) address.remove_prefix(mapped.size());
  if (address == "::1") return true;
  if (!address.starts_with("127.") || std::ranges::count(address, '.') != 3) return false;
  return address.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

bool names_this_machine(std::string_view host) noexcept {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    if (end == std::string_view::npos) return false;
    const auto rest = host.substr(end + 1);
    return is_loopback(host.substr(1, end - 1)) && (rest.empty() || rest.starts_with(':'));
  }
  const auto name = host.substr(0, host.find(':'));
  return same_token(name, "localhost") || is_loopback(name);
}

std::string_view why_not_local(const request& r) {
  const auto* const s = r.scope.get();
  for (const auto* const field : {"Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"})
    if (r.headers.contains(field)) return "the request came through a proxy";
  if (s == nullptr || s->client == nullptr) return {};
  const auto peer = s->client->peer_address();
  if (!peer.is_ip()) return {};
  if (!is_loopback(peer.host())) return "the client is on another machine";
  if (!names_this_machine(r.headers.get("host").value_or("")))
    return "the Host field is no name of this machine";
  return {};
}

}  // namespace heddle::http::detail
