// SPDX-License-Identifier: MIT
// What the cases of WebSocket share: frames as bytes, a peer without the library, and pairs of ends
// over memory.
#pragma once

#include "../io_cases.h"

#include <heddle/io/http/errors.h>
#include <heddle/io/http/websocket.h>
#include <heddle/io/memory_pair.h>
#include <heddle/sync/event.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conformance {

namespace http = h::http;

inline constexpr unsigned fin = 0x80;
inline constexpr unsigned rsv1 = 0x40;
inline constexpr unsigned text_op = 1;
inline constexpr unsigned binary_op = 2;
inline constexpr unsigned close_op = 8;
inline constexpr unsigned ping_op = 9;
inline constexpr unsigned pong_op = 10;

/// A frame whose first byte is `first`; a client's is masked.
inline std::string frame(unsigned first, std::string_view body, bool masked) {
  std::string f(1, static_cast<char>(first));
  const unsigned mask = masked ? 0x80 : 0;
  const std::size_t n = body.size();
  if (n < 126) {
    f += static_cast<char>(mask | static_cast<unsigned>(n));
  } else {
    const int width = n <= 0xffff ? 2 : 8;
    f += static_cast<char>(mask | (width == 2 ? 126U : 127U));
    for (int i = width; i-- > 0;) f += static_cast<char>((n >> (8 * i)) & 0xff);
  }
  const std::string key = "\x11\x83\xf5\x07";
  if (masked) f += key;
  for (std::size_t i = 0; i < n; ++i)
    f += masked ? static_cast<char>(body[i] ^ key[i % key.size()]) : body[i];
  return f;
}
inline std::string from_client(unsigned first, std::string_view body) {
  return frame(first, body, true);
}
inline std::string from_server(unsigned first, std::string_view body) {
  return frame(first, body, false);
}
inline std::string close_body(int code, std::string_view reason = {}) {
  std::string b;
  b += static_cast<char>(code >> 8);
  b += static_cast<char>(code & 0xff);
  return b.append(reason);
}

/// A frame that was read.
struct seen_frame {
  unsigned first = 0;
  bool masked = false;
  std::string key;
  std::string body;
};

/// Takes a whole frame from the front of `bytes`.
inline std::optional<seen_frame> take_frame(std::string& bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.size() < 2) return {};
  seen_frame f;
  f.first = at(0);
  f.masked = (at(1) & 0x80U) != 0;
  std::uint64_t n = at(1) & 0x7fU;
  const std::size_t width = n == 126 ? 2 : n == 127 ? 8 : 0;
  const std::size_t head = 2 + width + (f.masked ? 4 : 0);
  if (bytes.size() < head) return {};
  if (width > 0) n = 0;
  for (std::size_t i = 0; i < width; ++i) n = n << 8U | at(2 + i);
  if (bytes.size() < head + n) return {};
  if (f.masked) f.key = bytes.substr(2 + width, 4);
  f.body = bytes.substr(head, n);
  for (std::size_t i = 0; f.masked && i < n; ++i)
    f.body[i] = static_cast<char>(f.body[i] ^ f.key[i % 4]);
  bytes.erase(0, head + n);
  return f;
}

/// "text(abc)", "pong(x)", "close(1002)", ...; "+" behind a fragment that is not the last.
inline std::string describe(const seen_frame& f) {
  static const char* const names[] = {"more", "text", "binary", "?",    "?",   "?",
                                      "?",    "?",    "close",  "ping", "pong"};
  const unsigned op = f.first & 0x0fU;
  std::string text = op < 11 ? names[op] : "?";
  if (op == close_op && f.body.size() >= 2) {
    const auto high = static_cast<unsigned char>(f.body[0]);
    const auto low = static_cast<unsigned char>(f.body[1]);
    return text + "(" + std::to_string(high << 8U | low) + ")";
  }
  text += "(" + (f.body.size() > 40 ? std::to_string(f.body.size()) + " bytes" : f.body) + ")";
  return (f.first & fin) == 0 ? text + "+" : text;
}

/// The next frame; nothing at the end.
inline h::task<std::optional<seen_frame>> read_frame(h::connection& c, std::string& bytes) {
  for (;;) {
    std::optional<seen_frame> f = take_frame(bytes);
    if (f) co_return f;
    bool more = false;
    try {
      more = co_await c.reader.fill();
    } catch (const std::system_error&) {}
    if (!more) co_return std::nullopt;
    bytes += c.reader.buffered();
    c.reader.consume(c.reader.buffered().size());
  }
}

/// All frames up to the end, described, with blanks between.
inline h::task<std::string> read_frames(h::connection& c) {
  std::string all;
  std::string bytes;
  for (;;) {
    h::task<std::optional<seen_frame>> next = read_frame(c, bytes);
    const std::optional<seen_frame> f = co_await next;
    if (!f) break;
    all += (all.empty() ? "" : " ") + describe(*f);
  }
  co_return all;
}

/// Writes `bytes` in pieces, and lets others run between them.
inline h::task<> write_cut(h::connection& c, std::string bytes, std::size_t piece) {
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    c.writer.write(std::string_view(bytes).substr(at, piece));
    co_await h::yield_now();
    co_await c.writer.drain();
  }
}

/// Receives to the end. "t:abc b:xyz", with blanks between the messages.
inline h::task<std::string> receive_all(http::websocket& ws) {
  std::string all;
  for (;;) {
    h::task<std::optional<http::ws_message>> next = ws.receive();
    const std::optional<http::ws_message> m = co_await next;
    if (!m) break;
    all += (all.empty() ? "" : " ") + std::string(m->is_text() ? "t:" : "b:");
    all += m->data.size() > 40 ? std::to_string(m->data.size()) + " bytes" : m->data;
  }
  co_return all;
}

/// What became of bytes that a peer sent.
struct outcome {
  std::string messages;
  std::string wire;
  int code = 0;
  bool operator==(const outcome&) const = default;
};
inline std::ostream& operator<<(std::ostream& out, const outcome& o) {
  return out << "messages \"" << o.messages << "\" wire \"" << o.wire << "\" code " << o.code;
}

inline http::ws_options plain_options() {
  http::ws_options o;
  o.deflate.reset();
  return o;
}

inline h::task<> write_all(h::connection& c, std::string bytes, std::size_t piece) {
  try {
    h::task<> work = write_cut(c, std::move(bytes), piece);
    co_await work;
  } catch (const std::system_error&) {}  // the other end has heard enough
}

/// Sends bytes to an end of a WebSocket in pieces, and says what came of it. The peer ends the
/// connection when the end does.
inline h::task<outcome> tell(std::string bytes, std::size_t piece, http::ws_side side,
                             http::ws_options options) {
  auto [mine, theirs] = h::memory_pair();
  http::websocket ws(std::move(theirs), side, std::move(options));
  auto writing = h::create_task(write_all(mine, std::move(bytes), piece));
  auto receiving = h::create_task(receive_all(ws));
  outcome o;
  h::task<std::string> reading = read_frames(mine);
  o.wire = co_await reading;
  co_await writing;
  mine.writer.close();
  o.messages = co_await receiving;
  h::task<> closing = ws.close();
  co_await closing;
  o.code = ws.close_code();
  co_return o;
}
inline h::task<outcome> tell(std::string bytes, std::size_t piece = 1 << 20) {
  return tell(std::move(bytes), piece, http::ws_side::server, plain_options());
}

/// Two ends over memory.
struct ws_pair {
  http::websocket client;
  http::websocket server;
};
inline ws_pair connect_pair(const http::ws_options& client, const http::ws_options& server) {
  auto [a, b] = h::memory_pair();
  return {http::websocket(std::move(a), http::ws_side::client, client),
          http::websocket(std::move(b), http::ws_side::server, server)};
}
inline ws_pair connect_pair() { return connect_pair(plain_options(), plain_options()); }

/// What the task of an awaitable yields, by a name: g++ 12 wants no temporaries.
inline h::task<std::string> next_text(http::websocket& ws) {
  h::task<std::optional<http::ws_message>> next = ws.receive();
  std::optional<http::ws_message> m = co_await next;
  co_return m ? std::move(m->data) : "(end)";
}
inline h::task<> send_text(http::websocket& ws, std::string text) {
  h::task<> sent = ws.send_text(text);
  co_await sent;
}
inline h::task<> close_ws(http::websocket& ws) {
  h::task<> closing = ws.close();
  co_await closing;
}

/// Returns each message to its sender.
inline h::task<> echo_ws(http::websocket& ws) {
  for (;;) {
    h::task<std::optional<http::ws_message>> next = ws.receive();
    const std::optional<http::ws_message> m = co_await next;
    if (!m) co_return;
    h::task<> sent = ws.send(*m);
    co_await sent;
  }
}

inline h::task<> echo_handler(http::websocket& ws, http::request&) {
  h::task<> work = echo_ws(ws);
  co_await work;
}

}  // namespace conformance
