// SPDX-License-Identifier: MIT
// Internal to io.
// The arithmetic of Digest (RFC 7616, 3.4), as functions of values.
#pragma once

#include <heddle/io/http/challenge.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::http::detail {

/// What a server asks for, in a form that can be answered.
struct digest_question {
  enum class protection : std::uint8_t { none, auth, auth_int };

  std::string realm;
  std::string nonce;
  std::optional<std::string> opaque;
  std::string domain;
  std::string algorithm;     // as the server spells it; "": it names none
  const char* hash = "MD5";  // OpenSSL's name
  bool session = false;      // "-sess"
  bool hides_user = false;   // userhash
  protection qop = protection::none;
};

/// Nothing: it is no challenge of Digest, or one that cannot be answered.
[[nodiscard]] std::optional<digest_question> read_question(const challenge& c);

struct digest_credentials {
  std::string user;
  std::string password;
};

struct digest_request {
  std::string_view method;
  std::string_view target;
  std::string_view body;  // for auth_int
};

/// The value of the Authorization field. `nc` counts the requests of this nonce, from 1.
[[nodiscard]] std::string answer_digest(const digest_question& q, const digest_credentials& who,
                                        const digest_request& r, std::string_view cnonce,
                                        std::uint32_t nc);

}  // namespace heddle::http::detail
