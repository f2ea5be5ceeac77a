// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/forwarded.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/address.h>
#include <heddle/io/http/serving/request_scope.h>

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>

namespace heddle::http::detail {
namespace {

std::string_view trimmed(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// IPv4 addresses stand as IPv6 ones (::ffff:a.b.c.d).
using ip_bytes = std::array<unsigned char, 16>;

std::optional<ip_bytes> parse_ip(std::string_view text) {
  const std::string copy(text);
  ip_bytes bytes{};
  if (::inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return bytes;
  if (::inet_pton(AF_INET, copy.c_str(), bytes.data() + 12) != 1) return std::nullopt;
  bytes[10] = bytes[11] = 0xff;
  return bytes;
}

struct network {
  ip_bytes bytes{};
  unsigned bits = 128;
};

std::optional<network> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  const auto ip = text.substr(0, slash);
  const auto bytes = parse_ip(ip);
  if (!bytes) return std::nullopt;
  network n{*bytes, 128};
  if (slash == std::string_view::npos) return n;
  const bool v4 = ip.find(':') == std::string_view::npos;
  if (!heddle::detail::parse_number(text.substr(slash + 1), n.bits, v4 ? 32U : 128U))
    return std::nullopt;
  if (v4) n.bits += 96;
  return n;
}

bool has(const network& n, const ip_bytes& ip) noexcept {
  const std::size_t whole = n.bits / 8;
  if (!std::equal(ip.begin(), ip.begin() + static_cast<std::ptrdiff_t>(whole), n.bytes.begin()))
    return false;
  const unsigned rest = n.bits % 8;
  return rest == 0 || ((ip[whole] ^ n.bytes[whole]) >> (8 - rest)) == 0;
}

/// The address in a node ("192.0.2.1:80", "[::1]:80", "::1"). Empty for "unknown" and "_names".
std::string_view address_of(std::string_view node) {
  if (node.starts_with('[')) {
    const auto end = node.find(']');
    node = end == std::string_view::npos ? std::string_view() : node.substr(1, end - 1);
  } else if (std::ranges::count(node, ':') == 1) {
    node = node.substr(0, node.find(':'));
  }
  return parse_ip(node) ? node : std::string_view();
}

/// All values of a field, as one list.
std::vector<std::string> list_of(const headers& h, std::string_view name) {
  std::vector<std::string> all;
  for (auto rest : h.all(name)) {
    while (!rest.empty()) {
      const auto item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      all.emplace_back(trimmed(item));
    }
  }
  return all;
}

/// What one hop says.
struct hop {
  std::string node;
  std::string scheme;
  std::string host;
};

std::vector<hop> hops_of(const headers& h) {
  std::vector<hop> all;
  if (h.contains("forwarded")) {
    std::vector<forwarded_element> elements;
    for (const auto field : h.all("forwarded"))
      if (!parse_forwarded(field, elements)) return {};
    for (const auto& element : elements) {
      hop one;
      for (const auto& [name, value] : element) {
        if (name == "for") one.node = value;
        if (name == "proto") one.scheme = value;
        if (name == "host") one.host = value;
      }
      all.push_back(std::move(one));
    }
    return all;
  }
  const auto schemes = list_of(h, "x-forwarded-proto");
  const auto hosts = list_of(h, "x-forwarded-host");
  // Each hop appends to the list of addresses. Of the other two, most proxies send one value.
  const auto value_for = [&](const std::vector<std::string>& values, std::size_t at,
                             std::size_t of) {
    return values.empty() ? std::string() : values.size() == of ? values[at] : values.back();
  };
  const auto nodes = list_of(h, "x-forwarded-for");
  for (std::size_t i = 0; i < nodes.size(); ++i)
    all.push_back(
        {nodes[i], value_for(schemes, i, nodes.size()), value_for(hosts, i, nodes.size())});
  if (nodes.empty() && !(schemes.empty() && hosts.empty()))
    all.push_back({"", value_for(schemes, 0, 0), value_for(hosts, 0, 0)});
  return all;
}

bool is_scheme(std::string_view text) noexcept {
  return same_token(text, "http") || same_token(text, "https");
}

/// Takes "name=value" or "name=\"value\"" off the front. False: it is malformed.
bool take_pair(std::string_view& rest, std::string& name, std::string& value) {
  const auto equals = rest.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  name = rest.substr(0, equals);
  if (name.find_first_of(" \t\",;") != std::string::npos) return false;
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  rest.remove_prefix(equals + 1);
  value.clear();
  if (!rest.starts_with('"')) {
    const auto end = std::min(rest.find_first_of(" \t,;\""), rest.size());
    value = rest.substr(0, end);
    rest.remove_prefix(end);
    return !value.empty() && !rest.starts_with('"');
  }
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '"') {
      rest.remove_prefix(i + 1);
      return true;
    }
    if (rest[i] == '\\' && ++i == rest.size()) return false;
    value += rest[i];
  }
  return false;
}

}  // namespace

bool parse_forwarded(std::string_view field, std::vector<forwarded_element>& into) {
  forwarded_element element;
  for (auto rest = trimmed(field);;) {
    if (rest.empty() || rest.front() == ',') {
      if (!element.empty()) into.push_back(std::exchange(element, {}));
      if (rest.empty()) return true;
      rest = trimmed(rest.substr(1));
      continue;
    }
    if (rest.front() == ';') {
      rest = trimmed(rest.substr(1));
      continue;
    }
    std::string name, value;
    if (!take_pair(rest, name, value)) return false;
    element.emplace_back(std::move(name), std::move(value));
    rest = trimmed(rest);
    if (!rest.empty() && rest.front() != ',' && rest.front() != ';') return false;
  }
}

bool is_listed(const std::vector<std::string>& list, std::string_view address) {
  if (list.empty()) return false;
  const auto ip = parse_ip(address);
  if (!ip) return false;
  return std::ranges::any_of(list, [&](const std::string& entry) {
    const auto n = parse_network(entry);
    return n && has(*n, *ip);
  });
}

void check_listed(const std::vector<std::string>& list) {
  for (const auto& entry : list) {
    if (entry != "unix" && !parse_network(entry))
      throw bad_value("trusted_proxies: \"" + entry +
                      "\" is no address, no network and not \"unix\"");
  }
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
  const auto& trusted = s->options->trusted_proxies;
  if (trusted.empty()) return c;
  const bool by_unix = !peer.is_ip() && std::ranges::find(trusted, "unix") != trusted.end();
  if (!by_unix && !is_listed(trusted, c.address)) return c;
  const auto hops = hops_of(r.headers);
  for (auto at = hops.rbegin(); at != hops.rend(); ++at) {
    if (is_scheme(at->scheme)) c.scheme = same_token(at->scheme, "https") ? "https" : "http";
    if (!at->host.empty()) c.host = at->host;
    const auto address = address_of(at->node);
    if (address.empty()) break;  // it hides its client, or is malformed
    c.address = address;
    if (!is_listed(trusted, address)) break;
  }
  return c;
}

}  // namespace heddle::http::detail
