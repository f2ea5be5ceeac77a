// SPDX-License-Identifier: MIT
// Internal to io.
// From what OpenSSL leaves behind to the errors of tls.h.
#pragma once

#include <heddle/io/tls/setup.h>

#include <exception>
#include <string>
#include <string_view>

namespace heddle::detail {

/// The two ends of a connection, for texts.
struct tls_ends {
  bool is_server = false;
  std::string host;  // a client: the name that it wants
  std::string peer;  // the address
};

/// What a failed call was about.
struct tls_attempt {
  const tls_ends& ends;
  handshake_notes& notes;
  std::string_view began;  // the first bytes of the peer
  bool shaking_hands = false;
};

/// The error of a call of OpenSSL that has just failed. Reads and empties the queue of errors of
/// this thread, so nothing of OpenSSL may be called in between.
std::exception_ptr tls_failure(const tls_attempt& a);

/// The error of a stream that ended without the peer's word for it.
std::exception_ptr tls_truncation(const tls_ends& ends, const std::string& asked_name,
                                  bool shaking_hands);

}  // namespace heddle::detail
