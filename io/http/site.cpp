// SPDX-License-Identifier: MIT
#include <heddle/io/http/site.h>

#include <heddle/core/errors.h>
#include <heddle/io/given_sockets.h>
#include <heddle/io/http/message.h>

#include <cstdint>

namespace heddle::http {
namespace {

[[noreturn]] void refuse(std::string_view text, const char* why) {
  throw bad_value("\"" + printable(text) + "\" is no place to listen at: " + why);
}

std::vector<site> sites_of(std::optional<std::string_view> name) {
  std::vector<site> all;
  for (const auto& one : given_sockets())
    if (!name || one.name == *name) all.push_back(site::given({one.descriptor}));
  return all;
}

}  // namespace

site site::parse(std::string_view text) {
  constexpr std::string_view socket_mark = "unix:";
  if (text.starts_with(socket_mark)) {
    const auto path = text.substr(socket_mark.size());
    if (path.empty()) refuse(text, "there is no path behind \"unix:\"");
    return unix_socket(std::string(path));
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse(text, "a port is missing, as in \"127.0.0.1:8080\"");
  std::uint16_t port = 0;
  if (!heddle::detail::parse_number(text.substr(colon + 1), port))
    refuse(text, "the port is a number from 0 to 65535");
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    refuse(text, "an IPv6 address stands in brackets, as in \"[::1]:8080\"");
  }
  return tcp(std::string(host), port);
}

std::vector<site> given_sites() { return sites_of(std::nullopt); }
std::vector<site> given_sites(std::string_view name) { return sites_of(name); }

}  // namespace heddle::http
