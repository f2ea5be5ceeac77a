// SPDX-License-Identifier: MIT
// Internal to io.
// What few handshakes of clients are told.
#pragma once

#include <string>

namespace heddle::detail {

struct tls_extras {
  std::string protocol = {};  // offered if the context offers none (ALPN); "": none
  bool inside = false;        // the stream may have TLS: the new one goes inside of that
};

}  // namespace heddle::detail
