// SPDX-License-Identifier: MIT
// What stands in place of ares_resolver.cpp where heddle is built without c-ares.
#include <heddle/core/errors.h>
#include <heddle/io/ares_resolver.h>

#include <cerrno>

namespace heddle {
namespace detail {

class name_engine {};

}  // namespace detail

ares_resolver::ares_resolver(const ares_resolver_options&) {}
ares_resolver::~ares_resolver() = default;

std::shared_ptr<ares_resolver> ares_resolver::make(const ares_resolver_options&) {
  detail::throw_system_error(
      ENOTSUP, "ares_resolver",
      "heddle was built without c-ares; install the Debian package libc-ares-dev, and build again");
}

bool ares_resolver::is_available() noexcept { return false; }

void ares_resolver::flush() {}

task<name_answer> ares_resolver::look_up(name_query q) {
  throw_name_error(name_error::server_failure, q.host);
  co_return name_answer{};  // makes it a coroutine
}

}  // namespace heddle
