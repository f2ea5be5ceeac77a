// SPDX-License-Identifier: MIT
#include "load/websocket_client.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "load/loopback.h"

namespace bench {
namespace {

// RFC 6455, 1.3 has this key and its answer as its example.
constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr const char* accepted = "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

std::string frame_head(std::size_t bytes, bool masked) {
  std::string head{'\x82'};  // final, binary
  const auto mark = static_cast<std::uint8_t>(masked ? 0x80 : 0);
  auto put = [&head](std::uint64_t byte) { head.push_back(static_cast<char>(byte)); };
  if (bytes < 126) {
    put(mark | bytes);
    return head;
  }
  const int wide = bytes < 65536 ? 2 : 8;
  put(mark | (wide == 2 ? 126u : 127u));
  for (int i = wide - 1; i >= 0; --i) put(bytes >> (8 * i) & 255);
  return head;
}

}  // namespace

void upgrade(int socket, const std::string& path) {
  const std::string request = "GET " + path +
                              " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: " +
                              std::string(key) + "\r\n\r\n";
  if (!send_whole(socket, request.data(), request.size()))
    throw std::system_error(errno, std::generic_category(), "handshake: send");
  std::string answer;
  while (answer.find("\r\n\r\n") == answer.npos) {
    char piece[1024];
    const ssize_t got = recv(socket, piece, sizeof piece, 0);
    if (got < 0) throw std::system_error(errno, std::generic_category(), "handshake: recv");
    if (got == 0) throw std::runtime_error("the server closed the connection in its handshake");
    answer.append(piece, static_cast<std::size_t>(got));
  }
  if (!answer.starts_with("HTTP/1.1 101") || strcasestr(answer.c_str(), accepted) == nullptr)
    throw std::runtime_error("no WebSocket: " + answer.substr(0, answer.find('\r')));
  if (!answer.ends_with("\r\n\r\n"))
    throw std::runtime_error("the server sends before it is asked");
}

std::string websocket_message(std::size_t bytes) {
  constexpr std::array<char, 4> mask{'\x37', '\x5a', '\x21', '\x6d'};
  std::string message = frame_head(bytes, true);
  message.append(mask.data(), mask.size());
  for (std::size_t i = 0; i < bytes; ++i)
    message.push_back(static_cast<char>('x' ^ mask[i % mask.size()]));
  return message;
}

std::string websocket_echo(std::size_t bytes) {
  return frame_head(bytes, false) + std::string(bytes, 'x');
}

}  // namespace bench
