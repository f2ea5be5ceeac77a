// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace serve {

/// A certificate and its key, as PEM text.
struct identity {
  std::string certificate;
  std::string key;
};

/// A certificate for `host`, "localhost" and the addresses of this machine to itself. It signed
/// itself, holds for a day, and no client trusts it unasked. Throws std::runtime_error.
identity self_made_certificate(const std::string& host);

}  // namespace serve
