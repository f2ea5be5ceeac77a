// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/finding.h>

#include <heddle/core/errors.h>
#include <heddle/io/resolving/look_ups.h>
#include <heddle/io/resolving/system_names.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace heddle::detail {
namespace {

/// Each address once, and with a port.
void tidy(std::vector<address>& all, std::uint16_t port) {
  std::vector<address> once;
  for (auto& a : all) {
    if (a.port() == 0) a.set_port(port);
    if (std::find(once.begin(), once.end(), a) == once.end()) once.push_back(a);
  }
  all.swap(once);
}

}  // namespace

task<name_answer> find_addresses(name_query q) {
  if (q.host.find('\0') != std::string::npos) throw bad_value("a host name with a NUL byte");
  name_answer a;
  address literal;
  if (q.service.empty() && !q.canonical_name && is_literal(q.host, q.port, q.family, literal)) {
    a.addresses.push_back(literal);
    co_return a;
  }
  name_query by_number = q;
  by_number.service.clear();
  const bool known = is_numeric(by_number, a);
  if (known && !q.service.empty()) {
    // The name of a service stands in a file, so a thread reads it.
    auto looking = look_ups::here().call([q] { return system_look_up(q); });
    a = co_await std::move(looking);
  }
  if (!known) {
    check_host_name(q.host);
    task<name_answer> looking = look_ups::here().look_up(q);
    a = co_await looking;
    if (a.addresses.empty()) throw_name_error(name_error::no_data, q.host);
  }
  tidy(a.addresses, q.port);
  co_return a;
}

}  // namespace heddle::detail
