// SPDX-License-Identifier: MIT
//
// Boost.Beast on Asio coroutines: requests are parsed and answered one at a time, as its own
// examples do.
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "common/asio.h"

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

http::response<http::string_body> answer_to(const http::request<http::string_body>& request) {
  const bool found = request.target() == "/plaintext";
  http::response<http::string_body> response(found ? http::status::ok : http::status::not_found,
                                             request.version());
  response.set(http::field::content_type, "text/plain");
  response.keep_alive(request.keep_alive());
  if (found) response.body() = "Hello, World!";
  response.prepare_payload();
  return response;
}

asio::awaitable<void> talk(asio::ip::tcp::socket socket) {
  boost::beast::flat_buffer buffer;
  for (;;) {
    http::request<http::string_body> request;
    co_await http::async_read(socket, buffer, request, asio::use_awaitable);
    http::response<http::string_body> response = answer_to(request);
    co_await http::async_write(socket, response, asio::use_awaitable);
    if (!request.keep_alive()) co_return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::serve_on_asio(argc, argv, {"http", "beast"}, talk);
}
