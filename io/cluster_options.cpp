// SPDX-License-Identifier: MIT
#include <heddle/core/errors.h>
#include <heddle/io/cluster_options.h>

#include <algorithm>
#include <cstdlib>

namespace heddle::cluster {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw bad_value(
      "the cluster's URL (HEDDLE_CLUSTER): " + what +
      "; it is written nats://[user:password@]host[:port][,host...][/name][?key=value]");
}

int digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decoded(std::string_view text, const char* part) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? digit_of(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? digit_of(text[i + 2]) : -1;
    if (high < 0 || low < 0)
      refuse(std::string("a % in the ") + part + " is not followed by two hexadecimal digits");
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

/// Cuts off what stands before the first `mark`. The rest is empty if there is none.
std::string_view cut(std::string_view& text, char mark) noexcept {
  const auto at = text.find(mark);
  const auto part = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return part;
}

endpoint endpoint_of(std::string_view text) {
  endpoint e;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) refuse("the host " + std::string(text) + " has no ']'");
    e.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && text.front() != ':') refuse("no ':' behind the host [" + e.host + "]");
    if (!text.empty()) port = text;
  } else {
    const auto colon = text.find(':');
    e.host = decoded(text.substr(0, colon), "host");
    if (colon != std::string_view::npos) port = text.substr(colon);
  }
  if (e.host.empty()) refuse("a host is empty");
  if (port.empty()) return e;
  if (!heddle::detail::parse_number(port.substr(1), e.port) || e.port == 0)
    refuse("the port of " + e.host + " is not a number from 1 to 65535");
  return e;
}

duration time_of(std::string_view text, const std::string& key) {
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  std::int64_t n = 0;
  const auto unit = text.substr(digits);
  constexpr std::int64_t most = 1'000'000'000;
  if (heddle::detail::parse_number(text.substr(0, digits), n, most)) {
    if (unit == "ms") return to_duration(std::chrono::milliseconds(n));
    if (unit == "s") return to_duration(std::chrono::seconds(n));
    if (unit == "min") return to_duration(std::chrono::minutes(n));
    if (unit == "h") return to_duration(std::chrono::hours(n));
  }
  refuse("the value of " + key + " is not a time such as 500ms, 10s, 5min or 1h");
}

template <class T>
void number_of(std::string_view text, const std::string& key, T& value) {
  if (!heddle::detail::parse_number(text, value)) refuse("the value of " + key + " is no number");
}

void read_query(std::string_view query, options& o) {
  while (!query.empty()) {
    auto value = cut(query, '&');
    const std::string key(cut(value, '='));
    if (key == "replicas")
      number_of(value, key, o.replicas);
    else if (key == "max_jobs")
      number_of(value, key, o.max_jobs);
    else if (key == "max_bytes")
      number_of(value, key, o.max_bytes);
    else if (key == "ack_wait")
      o.ack_wait = time_of(value, key);
    else if (key == "keep")
      o.keep = time_of(value, key);
    else if (key == "submit_within")
      o.submit_within = time_of(value, key);
    else
      refuse("the key \"" + key +
             "\" is unknown; there are replicas, ack_wait, keep, submit_within, max_jobs and "
             "max_bytes");
  }
}

void require(bool fine, const char* field, const char* range) {
  if (!fine) throw bad_value(std::string("cluster::options: ") + field + " must be " + range);
}

}  // namespace

options options::from_environment() {
  const char* url = std::getenv("HEDDLE_CLUSTER");
  auto o = from_url(url ? url : "");
  if (const char* creds = std::getenv("HEDDLE_CLUSTER_CREDS"))
    if (*creds && !o.servers.empty()) o.credentials = creds;
  return o;
}

options options::from_url(std::string_view url) {
  options o;
  if (url.empty() || url == "local:") return o;
  const bool tls = url.starts_with("tls://");
  if (!tls && !url.starts_with("nats://")) refuse("the scheme is not nats://, tls:// or local:");
  url.remove_prefix(tls ? 6 : 7);
  auto rest = url;
  auto place = cut(rest, '?');
  const auto query = rest;
  const auto slash = place.find('/');
  if (slash != std::string_view::npos) {
    const auto name = decoded(place.substr(slash + 1), "name");
    if (!name.empty()) o.name = name;
    place = place.substr(0, slash);
  }
  const auto at = place.rfind('@');
  if (at != std::string_view::npos) {
    auto login = place.substr(0, at);
    const bool pair = login.find(':') != std::string_view::npos;
    const auto user = cut(login, ':');
    if (pair) {
      o.user = decoded(user, "user");
      o.password = decoded(login, "password");
    } else {
      o.token = decoded(user, "token");
    }
    place.remove_prefix(at + 1);
  }
  if (place.empty()) refuse("there is no host");
  if (place.ends_with(',')) refuse("a host is empty");
  while (!place.empty()) o.servers.push_back(endpoint_of(cut(place, ',')));
  read_query(query, o);
  if (tls) o.tls = tls_context::client();
  o.check();
  return o;
}

void options::check() const {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  };
  require(!name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), good), "name",
          "1 to 64 letters, digits, '-' and '_'");
  require(replicas >= 1 && replicas <= 5, "replicas", "1 to 5");
  require(ack_wait >= any_duration(std::chrono::milliseconds(100)), "ack_wait", "at least 100 ms");
  require(keep >= any_duration(std::chrono::seconds(1)), "keep", "at least 1 s");
  require(keep_dead >= any_duration(std::chrono::seconds(1)), "keep_dead", "at least 1 s");
  require(max_jobs >= 1 && max_jobs <= std::uint64_t{1} << 40U, "max_jobs", "1 to 2^40");
  require(max_bytes >= 1024 && max_bytes <= std::uint64_t{1} << 60U, "max_bytes", "1024 to 2^60");
  require(first_pause.count() > 0 && first_pause <= last_pause, "first_pause",
          "positive and at most last_pause");
  require(connect_limit.count() > 0 && request_limit.count() > 0 && ping_interval.count() > 0 &&
              ping_limit.count() > 0,
          "connect_limit, request_limit, ping_interval and ping_limit", "positive");
  for (const auto& s : servers)
    require(!s.host.empty() && s.port != 0, "servers", "hosts with ports that are not 0");
}

}  // namespace heddle::cluster
