// SPDX-License-Identifier: MIT
//
// The handler of the echo servers on heddle, with TLS and without.
#pragma once

#include "common/heddle_server.h"

namespace bench {

inline heddle::task<> echo(heddle::connection peer) {
  while (co_await peer.reader.fill()) {
    const std::string_view bytes = peer.reader.buffered();
    peer.writer.write(bytes);
    peer.reader.consume(bytes.size());
    co_await peer.writer.drain();
  }
}

}  // namespace bench
