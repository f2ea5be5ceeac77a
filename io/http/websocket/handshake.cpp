// SPDX-License-Identifier: MIT
#include <heddle/io/http/websocket/handshake.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/websocket/negotiation.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>
#include <vector>

namespace heddle::http::detail {
namespace {

constexpr int key_bytes = 16;
constexpr std::size_t key_text = 24;  // of 16 bytes in base64
constexpr std::size_t most_shown_body = 1024;

std::string base64(const unsigned char* bytes, std::size_t n) {
  std::string text((n + 2) / 3 * 4 + 1, '\0');
  const int size =
      ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(n));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

/// 16 bytes in base64: 21 free characters, one of which two bits are used, and "==".
bool is_key(std::string_view text) noexcept {
  constexpr std::string_view letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() != key_text || !text.ends_with("==")) return false;
  return text.substr(0, key_text - 2).find_first_not_of(letters) == std::string_view::npos;
}

/// The tokens of all fields of that name, in order.
std::vector<std::string_view> tokens_of(const headers& h, std::string_view name) {
  std::vector<std::string_view> all;
  for (auto text : h.all(name)) {
    while (!text.empty()) {
      const auto comma = std::min(text.find(','), text.size());
      auto one = text.substr(0, comma);
      text.remove_prefix(std::min(comma + 1, text.size()));
      while (!one.empty() && (one.front() == ' ' || one.front() == '\t')) one.remove_prefix(1);
      while (!one.empty() && (one.back() == ' ' || one.back() == '\t')) one.remove_suffix(1);
      if (!one.empty()) all.push_back(one);
    }
  }
  return all;
}

std::string joined(const std::vector<std::string_view>& parts) {
  std::string text;
  for (const auto p : parts) text += (text.empty() ? "" : ", ") + std::string(p);
  return text;
}

std::optional<response> refuse(int status, std::string_view why) {
  return response::error(status, why);
}

[[noreturn]] void fail(const response& r, const std::string& why) {
  throw handshake_error("no WebSocket: " + why, r.status, r.headers,
                        r.body.substr(0, most_shown_body));
}

/// These the handshake itself writes.
bool is_own_field(std::string_view name) {
  static constexpr std::array<std::string_view, 8> own = {
      "upgrade",        "connection",        "sec-websocket-key",      "sec-websocket-version",
      "content-length", "transfer-encoding", "sec-websocket-protocol", "sec-websocket-extensions"};
  return std::ranges::any_of(own, [&](std::string_view o) { return same_token(o, name); });
}

}  // namespace

void check_options(const ws_options& o) {
  (void)heddle::detail::checked<std::size_t>(o.receive_buffer, "receive_buffer", 1);
  (void)heddle::detail::checked<std::size_t>(o.send_buffer, "send_buffer", 1);
  if (o.deflate) {
    (void)heddle::detail::checked<int>(o.deflate->window, "deflate.window", 9, 15);
    (void)heddle::detail::checked<int>(o.deflate->memory, "deflate.memory", 1, 9);
  }
  const auto positive = [](const std::optional<any_duration>& d, const char* name) {
    if (d && d->get() <= duration::zero())
      throw bad_value(std::string(name) + " of a WebSocket must be more than zero");
  };
  positive(o.heartbeat, "heartbeat");
  positive(o.idle, "idle");
  positive(o.max_lifetime, "max_lifetime");
  for (std::size_t i = 0; i < o.protocols.size(); ++i) {
    const auto& p = o.protocols[i];
    headers probe;
    probe.add(p, "");  // throws bad_value for what is no token
    if (std::ranges::count(o.protocols, p) > 1)
      throw bad_value("the protocol \"" + p + "\" is named twice");
  }
}

std::string fresh_key() {
  std::array<unsigned char, key_bytes> bytes;
  if (::RAND_bytes(bytes.data(), int{key_bytes}) != 1)
    throw std::runtime_error("the system gives no random numbers for a WebSocket's key");
  return base64(bytes.data(), bytes.size());
}

std::string accept_of(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (::EVP_Digest(text.data(), text.size(), digest.data(), &size, ::EVP_sha1(), nullptr) != 1)
    throw std::runtime_error("SHA-1 of a WebSocket's key fails");
  return base64(digest.data(), size);
}

std::optional<response> refusal_of(const request& r, const ws_options& o) {
  if (r.method != method::get) {
    auto no = response::error(405, "a WebSocket is opened by GET");
    no.headers.add("Allow", "GET");
    return no;
  }
  if (r.version != version::http_1_1) return refuse(400, "a WebSocket needs HTTP/1.1");
  if (!r.headers.has_token("Upgrade", "websocket"))
    return refuse(400, "Upgrade does not name websocket");
  if (!r.headers.has_token("Connection", "upgrade"))
    return refuse(400, "Connection does not name upgrade");
  const auto versions = r.headers.all("Sec-WebSocket-Version");
  if (versions.size() != 1 || versions[0] != "13") {
    auto no = response::error(426, "version 13 of WebSocket is spoken here");
    no.headers.add("Sec-WebSocket-Version", "13");
    no.headers.add("Upgrade", "websocket");
    return no;
  }
  const auto keys = r.headers.all("Sec-WebSocket-Key");
  if (keys.size() != 1 || !is_key(keys[0]))
    return refuse(400, "Sec-WebSocket-Key is not 16 bytes in base64");
  if (!r.body.empty()) return refuse(400, "a request for a WebSocket has no body");
  if (const auto origin = r.headers.get("Origin"); origin && !o.origins.empty()) {
    const auto same = [&](const std::string& let_in) { return same_token(let_in, *origin); };
    if (std::ranges::none_of(o.origins, same)) return refuse(403, "this origin is not let in");
  }
  return {};
}

ws_agreed agree(const request& r, const ws_options& o, std::string& extensions) {
  ws_agreed with;
  for (const auto wanted : tokens_of(r.headers, "Sec-WebSocket-Protocol")) {
    if (std::ranges::find(o.protocols, wanted) == o.protocols.end()) continue;
    with.protocol = wanted;
    break;
  }
  if (!o.deflate) return with;
  const auto offers = joined(r.headers.all("Sec-WebSocket-Extensions"));
  if (auto choice = choose_deflate(offers, *o.deflate)) {
    with.deflate = choice->terms;
    extensions = std::move(choice->answer);
  }
  return with;
}

std::string switching_head(const request& r, const ws_agreed& with, std::string_view extensions,
                           const headers& extra) {
  std::string head =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: ";
  head += accept_of(r.headers.get("Sec-WebSocket-Key").value_or(""));
  head += "\r\n";
  if (!with.protocol.empty()) head += "Sec-WebSocket-Protocol: " + with.protocol + "\r\n";
  if (!extensions.empty()) head += "Sec-WebSocket-Extensions: " + std::string(extensions) + "\r\n";
  for (const auto f : extra) {
    if (is_own_field(f.name) || same_token(f.name, "sec-websocket-accept"))
      throw bad_value("the field \"" + std::string(f.name) + "\" belongs to the handshake");
    head.append(f.name).append(": ").append(f.value).append("\r\n");
  }
  head += "\r\n";
  return head;
}

headers opening_fields(const ws_options& o, std::string_view key) {
  headers h;
  h.add("Upgrade", "websocket");
  h.add("Connection", "Upgrade");
  h.add("Sec-WebSocket-Key", key);
  h.add("Sec-WebSocket-Version", "13");
  if (!o.protocols.empty()) {
    const std::vector<std::string_view> names(o.protocols.begin(), o.protocols.end());
    h.add("Sec-WebSocket-Protocol", joined(names));
  }
  if (o.deflate) h.add("Sec-WebSocket-Extensions", deflate_offer(*o.deflate));
  for (const auto f : o.headers) {
    if (is_own_field(f.name))
      throw bad_value("the field \"" + std::string(f.name) + "\" belongs to the handshake");
    h.add(f.name, f.value);
  }
  return h;
}

ws_agreed judge_answer(const response& r, const ws_options& o, std::string_view key) {
  if (r.status != 101) fail(r, "the answer has the status " + std::to_string(r.status));
  if (!r.headers.has_token("Upgrade", "websocket")) fail(r, "Upgrade does not name websocket");
  if (!r.headers.has_token("Connection", "upgrade")) fail(r, "Connection does not name upgrade");
  const auto accepts = r.headers.all("Sec-WebSocket-Accept");
  if (accepts.size() != 1 || accepts[0] != accept_of(key))
    fail(r, "Sec-WebSocket-Accept does not belong to the key");
  ws_agreed with;
  const auto protocols = r.headers.all("Sec-WebSocket-Protocol");
  if (protocols.size() > 1) fail(r, "the server names two protocols");
  if (!protocols.empty()) {
    if (std::ranges::find(o.protocols, protocols[0]) == o.protocols.end())
      fail(r, "the server names a protocol that was not offered");
    with.protocol = protocols[0];
  }
  const auto extensions = joined(r.headers.all("Sec-WebSocket-Extensions"));
  if (extensions.empty()) return with;
  if (!o.deflate) fail(r, "the server names an extension that was not offered");
  deflate_terms terms;
  if (const char* wrong = accept_deflate(extensions, *o.deflate, terms)) fail(r, wrong);
  with.deflate = terms;
  return with;
}

}  // namespace heddle::http::detail
