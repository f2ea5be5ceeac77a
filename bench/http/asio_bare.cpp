// SPDX-License-Identifier: MIT
//
// HTTP by hand on Boost.Asio coroutines: finds the ends of requests and does not parse them. A real
// server on Asio cannot be faster than this one; http/beast.cpp shows what parsing costs it.
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <string>
#include <string_view>

#include "common/asio.h"

namespace {

namespace asio = boost::asio;

constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
constexpr std::string_view head_end = "\r\n\r\n";

asio::awaitable<void> talk(asio::ip::tcp::socket socket) {
  std::array<char, 4096> piece;
  std::string received;
  std::string answers;
  for (;;) {
    const std::size_t got =
        co_await socket.async_read_some(asio::buffer(piece), asio::use_awaitable);
    received.append(piece.data(), got);
    answers.clear();
    std::size_t done = 0;
    for (std::size_t end = received.find(head_end); end != received.npos;
         end = received.find(head_end, done)) {
      done = end + head_end.size();
      answers += answer;
    }
    received.erase(0, done);
    if (!answers.empty()) {
      co_await asio::async_write(socket, asio::buffer(answers), asio::use_awaitable);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve_on_asio(argc, argv, {"http", "asio_bare"}, talk);
}
