// SPDX-License-Identifier: MIT
// Internal to io.
// Who asks: what a request, its connection and trusted proxies say of it together.
#pragma once

#include <heddle/io/http/forwarded.h>
#include <heddle/io/http/message.h>

#include <string>
#include <vector>

namespace heddle::http::detail {

struct asking_client {
  std::string address;
  std::string scheme;
  std::string host;
};
[[nodiscard]] asking_client client_of(const request& r);

/// What server_options::trusted_proxies says. Throws bad_value.
[[nodiscard]] trusted_proxies read_trusted(const std::vector<std::string>& list);

}  // namespace heddle::http::detail
