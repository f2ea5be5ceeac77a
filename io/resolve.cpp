// SPDX-License-Identifier: MIT
#include <heddle/io/resolve.h>

#include <heddle/core/errors.h>
#include <heddle/io/resolving/finding.h>
#include <heddle/io/resolving/look_ups.h>
#include <heddle/io/resolving/system_names.h>
#include <heddle/sched/to_thread.h>

#include <netdb.h>

#include <string>
#include <utility>
#include <vector>

namespace heddle {
namespace detail {
namespace {

name_query query_of(std::string host, port_number port, resolve_options o) {
  if (!o.service.empty() && port != 0)
    throw bad_value("resolve with a port and with a service (\"" + o.service + "\"): give one");
  name_query q;
  q.host = std::move(host);
  q.port = port;
  q.service = std::move(o.service);
  q.family = o.family;
  q.type = o.type;
  q.passive = o.passive;
  q.only_own_families = o.only_own_families;
  q.fresh = o.fresh;
  return q;
}

/// True: `host` is an address without a look-up. Throws bad_value.
bool needs_no_query(const std::string& host, port_number port, const resolve_options& options,
                    address& out) {
  if (host.find('\0') != std::string::npos) throw bad_value("a host name with a NUL byte");
  return options.service.empty() && is_literal(host, port, options.family, out);
}

}  // namespace
}  // namespace detail

task<std::vector<address>> resolve(std::string host, port_number port, resolve_options options) {
  address literal;
  if (detail::needs_no_query(host, port, options, literal))
    co_return std::vector<address>(1, literal);
  task<name_answer> finding =
      detail::find_addresses(detail::query_of(std::move(host), port, std::move(options)));
  name_answer a = co_await finding;
  co_return std::move(a.addresses);
}

task<name_answer> resolve_name(std::string host, port_number port, resolve_options options) {
  if (host.find('\0') != std::string::npos) throw bad_value("a host name with a NUL byte");
  name_query q = detail::query_of(std::move(host), port, std::move(options));
  q.canonical_name = true;
  task<name_answer> finding = detail::find_addresses(std::move(q));
  name_answer a = co_await finding;
  co_return a;
}

task<host_and_service> resolve_address(address of, reverse_options o) {
  if (!of.is_ip()) throw bad_value("resolve_address of what is no IPv4 or IPv6 address");
  const int flags = (o.numeric_host ? NI_NUMERICHOST : 0) |
                    (o.numeric_service ? NI_NUMERICSERV : 0) | (o.name_required ? NI_NAMEREQD : 0) |
                    (o.datagram ? NI_DGRAM : 0);
  detail::names found;
  if (o.numeric_host && o.numeric_service) {
    found = detail::names_of(of, flags);
  } else {
    auto looking =
        detail::look_ups::here().call([of, flags] { return detail::names_of(of, flags); });
    found = co_await std::move(looking);
  }
  host_and_service both{std::move(found.host), std::move(found.service)};
  co_return both;
}

void set_resolver(std::shared_ptr<resolver> by) { set_resolver(std::move(by), resolver_options()); }
void set_resolver(std::shared_ptr<resolver> by, const resolver_options& options) {
  if (!by) detail::throw_usage("set_resolver with an empty resolver: reset_resolver() goes back");
  detail::look_ups::here().replace({std::move(by), nullptr}, options);
}
void set_resolver(blocking_look_up by) { set_resolver(std::move(by), resolver_options()); }
void set_resolver(blocking_look_up by, const resolver_options& options) {
  if (!by) detail::throw_usage("set_resolver with an empty function: reset_resolver() goes back");
  detail::look_ups::here().replace(
      {nullptr, std::make_shared<const blocking_look_up>(std::move(by))}, options);
}
void reset_resolver() { reset_resolver(resolver_options()); }
void reset_resolver(const resolver_options& options) {
  detail::look_ups::here().replace({nullptr, nullptr}, options);
}

}  // namespace heddle
