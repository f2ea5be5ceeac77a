// SPDX-License-Identifier: MIT
#include "common/heddle_server.h"

namespace {

heddle::task<> echo(heddle::connection peer) {
  while (co_await peer.reader.fill()) {
    const std::string_view bytes = peer.reader.buffered();
    peer.writer.write(bytes);
    peer.reader.consume(bytes.size());
    co_await peer.writer.drain();
  }
}

heddle::task<> serve(std::uint16_t port) {
  heddle::server server = co_await heddle::start_server(echo, "127.0.0.1", port);
  co_await server.serve_forever();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve_on_heddle(argc, argv, {"echo", "heddle"}, serve);
}
