// SPDX-License-Identifier: MIT
// Internal to io.
// What CONNECT says to log in: user and password, a token, or an nkey that signs the server's
// nonce.
#pragma once

#include <string>

namespace heddle::cluster {
struct options;
}

namespace heddle::cluster::detail {

struct nats_login {
  std::string user;
  std::string password;
  std::string token;
  std::string jwt;
  std::string nkey;       // the public key
  std::string signature;  // of the nonce, in base64 for URLs without padding
};

/// Throws bad_value for credentials that cannot be used, without a word of them; std::system_error
/// for a file that cannot be read. Reads a file in the calling thread.
[[nodiscard]] nats_login login_of(const options& o, const std::string& nonce);

}  // namespace heddle::cluster::detail
