// SPDX-License-Identifier: MIT
#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "common/asio.h"

namespace {

namespace asio = boost::asio;

asio::awaitable<void> echo(asio::ip::tcp::socket socket) {
  std::array<char, 4096> bytes;
  for (;;) {
    const std::size_t got =
        co_await socket.async_read_some(asio::buffer(bytes), asio::use_awaitable);
    co_await asio::async_write(socket, asio::buffer(bytes, got), asio::use_awaitable);
  }
}

}  // namespace

int main(int argc, char** argv) { return bench::serve_on_asio(argc, argv, {"echo", "asio"}, echo); }
