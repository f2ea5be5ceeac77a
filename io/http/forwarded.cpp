// SPDX-License-Identifier: MIT
#include <heddle/io/http/forwarded.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/message.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

namespace heddle::http {
namespace {

using address_bytes = std::array<std::uint8_t, 16>;
constexpr unsigned mapped_bits = 96;  // in front of an IPv4 address in IPv6

/// IPv4 as it is mapped into IPv6. Nothing: the text is no address.
std::optional<address_bytes> bytes_of(std::string_view text, bool& v4) noexcept {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size()) return std::nullopt;
  std::memcpy(copy.data(), text.data(), text.size());
  address_bytes bytes{};
  v4 = ::inet_pton(AF_INET, copy.data(), bytes.data() + 12) == 1;
  if (v4) {
    bytes[10] = bytes[11] = 0xff;
    return bytes;
  }
  if (::inet_pton(AF_INET6, copy.data(), bytes.data()) == 1) return bytes;
  return std::nullopt;
}

bool same_bits(const address_bytes& a, const address_bytes& b, unsigned bits) noexcept {
  const std::size_t whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin()))
    return false;
  const unsigned rest = bits % 8;
  return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

/// "192.0.2.1:80" and "[2001:db8::1]:80" without port and brackets.
std::string_view address_in(std::string_view node) noexcept {
  if (node.starts_with('[')) {
    const auto close = node.find(']');
    return close == std::string_view::npos ? node : node.substr(1, close - 1);
  }
  const auto colon = node.find(':');
  if (colon == std::string_view::npos || node.find(':', colon + 1) != std::string_view::npos)
    return node;  // no port, or IPv6 without brackets
  return node.substr(0, colon);
}

/// All fields of that name as one list, and nothing if there is none.
std::optional<std::string> joined(const headers& of, std::string_view name) {
  std::optional<std::string> all;
  for (const auto f : of) {
    if (!same_token(f.name, name)) continue;
    if (all)
      all->append(", ").append(f.value);
    else
      all.emplace(f.value);
  }
  return all;
}

std::vector<std::string_view> items_of(std::string_view list) {
  std::vector<std::string_view> items;
  detail::field_scanner from(list);
  do { items.push_back(from.until(",")); } while (from.take(','));
  return items;
}

/// The item that belongs to the hop which is `back` from the end; the first of a shorter list.
std::string item_at(const std::vector<std::string_view>& items, std::size_t back) {
  if (items.empty()) return "";
  return std::string(items[items.size() - 1 - std::min(back, items.size() - 1)]);
}

/// The X-Forwarded fields as hops.
std::vector<forwarded_hop> old_hops(const headers& of) {
  const auto chain = joined(of, "x-forwarded-for");
  const std::string protos_text = joined(of, "x-forwarded-proto").value_or("");
  const std::string hosts_text = joined(of, "x-forwarded-host").value_or("");
  const auto clients = items_of(chain ? std::string_view(*chain) : std::string_view());
  const auto protos = items_of(protos_text);
  const auto hosts = items_of(hosts_text);
  std::vector<forwarded_hop> hops(clients.size());
  for (std::size_t i = 0; i < hops.size(); ++i) {
    const std::size_t back = hops.size() - 1 - i;
    hops[i].from = clients[i];
    hops[i].proto = item_at(protos, back);
    hops[i].host = item_at(hosts, back);
  }
  return hops;
}

}  // namespace

forwarded_hops parse_forwarded(std::string_view field) {
  forwarded_hops found;
  detail::field_scanner from(field);
  do {
    forwarded_hop hop;
    bool any = false;
    do {
      const auto name = from.token();
      if (name.empty()) {
        from.skip_blanks();
        if (from.at_end() || from.rest().front() == ',' || from.rest().front() == ';') continue;
        found.broken = true;
        return found;
      }
      std::string value;
      if (!from.take('=') || !from.value(value)) {
        found.broken = true;
        return found;
      }
      any = true;
      if (same_token(name, "for"))
        hop.from = std::move(value);
      else if (same_token(name, "by"))
        hop.by = std::move(value);
      else if (same_token(name, "host"))
        hop.host = std::move(value);
      else if (same_token(name, "proto"))
        hop.proto = std::move(value);
    } while (from.take(';'));
    from.skip_blanks();
    if (!from.at_end() && from.rest().front() != ',') {
      found.broken = true;
      return found;
    }
    if (any) found.hops.push_back(std::move(hop));
  } while (from.take(','));
  return found;
}

trusted_proxies::trusted_proxies(const std::vector<std::string>& networks) {
  for (const std::string& text : networks) {
    const auto slash = text.find('/');
    bool v4 = false;
    const auto bytes = bytes_of(std::string_view(text).substr(0, slash), v4);
    unsigned bits = v4 ? 32 : 128;
    const bool fine = bytes && (slash == std::string::npos ||
                                heddle::detail::parse_number(
                                    std::string_view(text).substr(slash + 1), bits, bits));
    if (!fine)
      throw bad_value("\"" + printable(text) + "\" is no address and no network of proxies");
    networks_.push_back({*bytes, v4 ? bits + mapped_bits : bits});
  }
}

bool trusted_proxies::contains(std::string_view address) const noexcept {
  bool v4 = false;
  const auto bytes = bytes_of(address, v4);
  return bytes && std::ranges::any_of(networks_, [&](const network& n) {
           return same_bits(n.address, *bytes, n.bits);
         });
}

request_origin origin_of(std::string_view peer, const headers& of, const trusted_proxies& trusted) {
  request_origin found;
  found.remote = peer;
  if (!trusted.contains(peer)) return found;
  const auto field = joined(of, "forwarded");
  const forwarded_hops standard = field ? parse_forwarded(*field) : forwarded_hops{};
  if (standard.broken) return found;
  const std::vector<forwarded_hop> hops = field ? standard.hops : old_hops(of);
  for (auto hop = hops.rbegin(); hop != hops.rend(); ++hop) {
    if (hop->from.empty()) break;
    found.remote = address_in(hop->from);
    found.scheme = detail::lower_case(hop->proto);
    found.host = hop->host;
    if (!trusted.contains(found.remote)) break;
  }
  return found;
}

}  // namespace heddle::http
