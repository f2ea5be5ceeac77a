// SPDX-License-Identifier: MIT
// Runtimes whose names come from a name server of the test's own, by c-ares.
#pragma once

#include "conn_support.h"
#include "name_server.h"

#include <heddle/io/ares_resolver.h>
#include <heddle/io/resolve.h>

#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace conformance {

using found = std::vector<h::address>;

/// Asks only that server, and waits for ever; no files.
inline h::ares_resolver_options ask_only(const name_server& s) {
  h::ares_resolver_options o;
  o.servers.push_back(s.at());
  o.timeout = 1h;
  o.tries = 1;
  o.hosts_file = "";
  return o;
}
inline std::shared_ptr<h::ares_resolver> use(const h::ares_resolver_options& o) {
  auto names = h::ares_resolver::make(o);
  h::set_resolver(names);
  return names;
}

/// Asks for IPv4 alone: one question a name.
inline h::task<found> four(std::string name) {
  h::resolve_options how;
  how.family = AF_INET;
  return h::resolve(std::move(name), 80, how);
}
/// The first address, or the code of the error.
inline h::task<std::string> first_four(std::string name) {
  std::string text;
  try {
    h::task<found> looking = four(std::move(name));
    const found got = co_await looking;
    text = got.front().host();
  } catch (const std::system_error& e) { text = std::to_string(e.code().value()); }
  co_return text;
}

}  // namespace conformance
