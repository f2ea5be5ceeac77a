// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/client.h>

#include <heddle/io/http/serving/request_scope.h>

#include <algorithm>
#include <string_view>

namespace heddle::http::detail {
namespace {

// A client of a Unix socket has no address. In the list of trusted proxies this one, which no
// client can have, stands for all of them.
constexpr std::string_view unix_peer = "::";

}  // namespace

trusted_proxies read_trusted(const std::vector<std::string>& list) {
  auto networks = list;
  std::ranges::replace(networks, std::string("unix"), std::string(unix_peer));
  return trusted_proxies(networks);
}

asking_client client_of(const request& r) {
  asking_client c;
  c.scheme = "http";
  c.host = r.headers.get("host").value_or("");
  const auto* s = r.scope.get();
  if (s == nullptr || s->client == nullptr) return c;
  if (s->secure) c.scheme = "https";
  const auto peer = s->client->peer_address();
  if (peer.is_ip()) c.address = peer.host();
  if (s->trusted == nullptr) return c;
  const auto from =
      origin_of(peer.is_ip() ? std::string_view(c.address) : unix_peer, r.headers, *s->trusted);
  if (!from.remote.empty() && from.remote != unix_peer) c.address = from.remote;
  if (!from.scheme.empty()) c.scheme = from.scheme;
  if (!from.host.empty()) c.host = from.host;
  return c;
}

}  // namespace heddle::http::detail
