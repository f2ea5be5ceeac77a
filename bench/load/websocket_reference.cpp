// SPDX-License-Identifier: MIT
//
// The bare path of a WebSocket echo: one epoll set, the upgrade, frames unmasked into the answer,
// one recv and one send a message. No limits, no UTF-8, no fragments, no timers. The yardstick for
// WebSocket servers, as reference_server.cpp is for plain ones.
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "common/program.h"
#include "load/loopback.h"

namespace {

constexpr bench::identity who{"load", "websocket_reference"};

/// The frame at the front of `bytes`, as far as it is there.
struct frame {
  std::size_t head = 0;  // with the mask; 0: more of it is needed
  std::size_t size = 0;  // of the payload
  std::uint8_t first = 0;
};

frame frame_of(std::string_view bytes) {
  auto byte = [&bytes](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  if (bytes.size() < 2) return {};
  const std::size_t told = byte(1) & 0x7f;
  const std::size_t wide = told < 126 ? 0 : told == 126 ? 2 : 8;
  if (bytes.size() < 2 + wide + 4) return {};
  std::size_t size = wide == 0 ? told : 0;
  for (std::size_t i = 0; i < wide; ++i) size = size << 8 | byte(2 + i);
  return {2 + wide + 4, size, byte(0)};
}

/// Appends the frame as a server sends it.
void answer(std::string& to, const frame& f, std::string_view bytes) {
  const std::size_t mask_at = f.head - 4;
  const std::size_t begin = to.size() + mask_at;
  to.append(bytes, 0, mask_at);  // the same size, so the same head, but not masked
  to[begin - mask_at + 1] = static_cast<char>(to[begin - mask_at + 1] & 0x7f);
  to.append(bytes, f.head, f.size);
  std::array<char, 8> mask;
  std::copy_n(bytes.data() + mask_at, 4, mask.begin());
  std::copy_n(bytes.data() + mask_at, 4, mask.begin() + 4);
  std::uint64_t wide_mask = 0;
  std::memcpy(&wide_mask, mask.data(), sizeof wide_mask);
  char* at = to.data() + begin;
  std::size_t i = 0;
  for (; i + 8 <= f.size; i += 8) {
    std::uint64_t piece = 0;
    std::memcpy(&piece, at + i, sizeof piece);
    piece ^= wide_mask;
    std::memcpy(at + i, &piece, sizeof piece);
  }
  for (; i < f.size; ++i) at[i] = static_cast<char>(at[i] ^ mask[i % 4]);
}

/// The answer to a handshake, or nothing if the request names no key.
std::string upgrade_of(std::string_view request) {
  constexpr std::string_view field = "Sec-WebSocket-Key: ";
  const std::size_t at = request.find(field);
  if (at == request.npos) return {};
  const std::string_view rest = request.substr(at + field.size());
  const std::string keyed =
      std::string(rest.substr(0, rest.find('\r'))) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  SHA1(reinterpret_cast<const unsigned char*>(keyed.data()), keyed.size(), digest.data());
  std::array<unsigned char, 32> text{};
  EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest.size()));
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: " +
         std::string(reinterpret_cast<const char*>(text.data())) + "\r\n\r\n";
}

struct client {
  explicit client(int s) : socket(s) {}
  int socket;
  bool open = false;   // the handshake is done
  std::string unread;  // what is no whole frame yet
};

class echo_server {
 public:
  explicit echo_server(std::uint16_t port)
      : listener_(bench::listen_on(port)),
        set_(bench::checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    bench::watch(set_, EPOLL_CTL_ADD, listener_, EPOLLIN, {.ptr = nullptr});
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 1024> events;
    for (;;) {
      const int count = epoll_wait(set_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        auto* c = static_cast<client*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (c == nullptr) {
          accept_all();
        } else if (!serve(*c)) {
          close(c->socket);
          delete c;
        }
      }
    }
  }

 private:
  void accept_all() {
    for (;;) {
      const int socket = bench::accept_from(listener_);
      if (socket < 0) return;
      bench::watch(set_, EPOLL_CTL_ADD, socket, EPOLLIN, {.ptr = new client(socket)});
    }
  }

  // One turn of one connection; false when it is over.
  bool serve(client& c) {
    const ssize_t got = recv(c.socket, received_.data(), received_.size(), 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    std::string_view bytes(received_.data(), static_cast<std::size_t>(got));
    const bool keeps = !c.unread.empty();
    if (keeps) bytes = c.unread.append(bytes);
    answers_.clear();
    const std::size_t used = c.open ? answer_all(bytes) : answer_handshake(c, bytes);
    if (keeps)
      c.unread.erase(0, used);
    else
      c.unread.assign(bytes.substr(used));
    if (c.unread.empty() && c.unread.capacity() > 64) c.unread.shrink_to_fit();
    return bench::send_whole(c.socket, answers_.data(), answers_.size()) && !closing_;
  }

  /// Bytes of the whole frames, which are answered. A close frame is answered by itself.
  std::size_t answer_all(std::string_view bytes) {
    closing_ = false;
    std::size_t used = 0;
    for (;;) {
      const std::string_view rest = bytes.substr(used);
      const frame f = frame_of(rest);
      if (f.head == 0 || rest.size() < f.head + f.size) return used;
      answer(answers_, f, rest);
      used += f.head + f.size;
      closing_ = (f.first & 0x0f) == 8;
      if (closing_) return bytes.size();
    }
  }

  std::size_t answer_handshake(client& c, std::string_view bytes) {
    closing_ = false;
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == bytes.npos) return 0;
    answers_ = upgrade_of(bytes.substr(0, end));
    c.open = !answers_.empty();
    closing_ = !c.open;
    return end + 4;
  }

  int listener_;
  int set_;
  bool closing_ = false;  // the client that is served now
  std::vector<char> received_ = std::vector<char>(std::size_t{256} * 1024);
  std::string answers_;
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<char*> rest(argv, argv + argc);
  if (argc > 1 && std::string_view(argv[1]) == "websocket") rest.erase(rest.begin() + 1);
  const auto with = bench::read_server_settings(static_cast<int>(rest.size()), rest.data(), who);
  try {
    echo_server(with.port).run();
  } catch (const std::exception& e) { bench::give_up(who, e.what()); }
}
