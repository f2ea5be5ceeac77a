// SPDX-License-Identifier: MIT
// Internal to io.
// The calls of the C library for names.
#pragma once

#include <heddle/io/address.h>
#include <heddle/io/resolver.h>

#include <cstdint>
#include <string>

namespace heddle::detail {

/// A plain numeric address of the wanted family, like "127.0.0.1" or "::1". Makes no system call.
[[nodiscard]] bool is_literal(const std::string& host, std::uint16_t port, int family,
                              address& out);
/// Answers without a query: numeric addresses in all spellings, and "". False: it is a name.
/// query.service is empty. Does not block. Throws std::system_error for a family that the address
/// is not of.
[[nodiscard]] bool is_numeric(const name_query& query, name_answer& out);
/// A host and a service.
struct names {
  std::string host;
  std::string service;
};
/// getnameinfo with these flags. Throws std::system_error. Blocks, unless both are to be numbers.
[[nodiscard]] names names_of(const address& of, int flags);
/// Throws bad_value for what can be no name of a host. A name with a blank inside is one that does
/// not exist (name_error::no_such_name), as getaddrinfo says.
void check_host_name(const std::string& host);

}  // namespace heddle::detail
