// SPDX-License-Identifier: MIT
#include <heddle/io/servers/proxy_header.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/stream.h>
#include <heddle/io/streams/reading.h>
#include <heddle/sched/timeout.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

namespace heddle::detail {
namespace {

using verdict = proxy_header::verdict;

constexpr std::string_view line_start = "PROXY ";
constexpr std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t fixed_part = 16;  // of version 2

proxy_header bad(const char* why) {
  proxy_header h;
  h.is = verdict::bad;
  h.why = why;
  return h;
}

/// True: `bytes` may still become, or has become, something that begins with `start`.
bool may_begin_with(std::string_view bytes, std::string_view start) noexcept {
  const auto n = std::min(bytes.size(), start.size());
  return bytes.substr(0, n) == start.substr(0, n);
}

// --- version 1: a line of text ---

/// The text up to the next space, which is dropped, too.
std::string_view next_word(std::string_view& rest) noexcept {
  const auto end = std::min(rest.find(' '), rest.size());
  const auto word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return word;
}

bool parse_port(std::string_view text, std::uint16_t& port) noexcept {
  if (text.size() > 5 || (text.size() > 1 && text[0] == '0')) return false;
  return parse_number(text, port);
}

/// An address of `family` in numbers, with its port.
bool parse_address(std::string_view host, std::string_view port_text, int family, address& into) {
  std::uint16_t port = 0;
  in6_addr unused;
  const std::string text(host);
  if (!parse_port(port_text, port) || ::inet_pton(family, text.c_str(), &unused) != 1) return false;
  into = address::ip(text, port);
  return true;
}

proxy_header parse_line(std::string_view bytes) {
  const auto end = bytes.substr(0, longest_proxy_line).find("\r\n");
  if (end == bytes.npos)
    return bytes.size() >= longest_proxy_line ? bad("its line is longer than 107 bytes")
                                              : proxy_header();
  proxy_header h;
  h.is = verdict::good;
  h.size = end + 2;
  std::string_view rest = bytes.substr(line_start.size(), end - line_start.size());
  if (rest.find('\0') != rest.npos) return bad("a byte of zero stands in its line");
  const auto kind = next_word(rest);
  if (kind == "UNKNOWN") return h;
  if (kind != "TCP4" && kind != "TCP6") return bad("its protocol is none of TCP4, TCP6, UNKNOWN");
  const int family = kind == "TCP4" ? AF_INET : AF_INET6;
  const auto from = next_word(rest);
  const auto to = next_word(rest);
  const auto from_port = next_word(rest);
  const auto to_port = rest;  // a space behind it makes it no number
  if (!parse_address(from, from_port, family, h.source) ||
      !parse_address(to, to_port, family, h.destination))
    return bad("its addresses or ports cannot be read");
  return h;
}

// --- version 2: bytes ---

unsigned byte_at(std::string_view bytes, std::size_t i) noexcept {
  return static_cast<unsigned char>(bytes[i]);
}
unsigned pair_at(std::string_view bytes, std::size_t i) noexcept {
  return byte_at(bytes, i) << 8 | byte_at(bytes, i + 1);
}

address v4_at(std::string_view host, std::string_view port) noexcept {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  std::memcpy(&a.sin_addr, host.data(), 4);
  std::memcpy(&a.sin_port, port.data(), 2);
  return {reinterpret_cast<const sockaddr*>(&a), sizeof a};
}
address v6_at(std::string_view host, std::string_view port) noexcept {
  sockaddr_in6 a{};
  a.sin6_family = AF_INET6;
  std::memcpy(&a.sin6_addr, host.data(), 16);
  std::memcpy(&a.sin6_port, port.data(), 2);
  return {reinterpret_cast<const sockaddr*>(&a), sizeof a};
}
/// Up to its first zero; empty if that is the first byte. A name of 108 bytes loses its last one.
address unix_at(std::string_view path) {
  const auto end = std::min(path.find('\0'), std::size_t{107});
  return end == 0 ? address() : address::unix_path(path.substr(0, end));
}

/// The checksum of Castagnoli, of the header with zeros in place of the checksum itself.
std::uint32_t checksum(std::string_view header, std::size_t at) noexcept {
  std::uint32_t sum = ~std::uint32_t{0};
  for (std::size_t i = 0; i < header.size(); ++i) {
    sum ^= i >= at && i < at + 4 ? 0 : byte_at(header, i);
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ ((sum & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~sum;
}

/// The fields behind the addresses: kind, length in two bytes, value. Null: they are good.
const char* judge_fields(std::string_view header, std::size_t at) noexcept {
  constexpr unsigned crc32c = 0x03;
  while (at != header.size()) {
    if (header.size() - at < 3) return "its last field is cut off";
    const std::size_t length = pair_at(header, at + 1);
    const std::size_t value = at + 3;
    if (header.size() - value < length) return "a field is longer than the header";
    if (byte_at(header, at) == crc32c) {
      if (length != 4) return "its checksum has a wrong length";
      const auto told =
          std::uint32_t{pair_at(header, value)} << 16 | std::uint32_t{pair_at(header, value + 2)};
      if (told != checksum(header, value)) return "its checksum is wrong";
    }
    at = value + length;
  }
  return nullptr;
}

proxy_header parse_binary(std::string_view bytes, std::size_t most) {
  if (bytes.size() >= 13) {
    const unsigned version_and_command = byte_at(bytes, 12);
    if (version_and_command != 0x20 && version_and_command != 0x21)
      return bad("its version is not 2, or its command is none of LOCAL, PROXY");
  }
  if (bytes.size() < fixed_part) return {};
  const std::size_t size = fixed_part + pair_at(bytes, 14);
  if (size > most) return bad("it is longer than proxy_header_bytes");
  const bool is_local = byte_at(bytes, 12) == 0x20;
  const unsigned family = byte_at(bytes, 13);
  std::size_t addresses = 0;
  switch (family) {
    case 0x00: break;
    case 0x11: addresses = 12; break;
    case 0x21: addresses = 36; break;
    case 0x31: addresses = 216; break;
    default:
      if (!is_local) return bad("its family is none of TCP over IPv4, TCP over IPv6, Unix stream");
  }
  if (!is_local && size < fixed_part + addresses) return bad("it is too short for its addresses");
  if (bytes.size() < size) return {};

  proxy_header h;
  h.is = verdict::good;
  h.size = size;
  if (is_local || addresses == 0) return h;
  const auto header = bytes.substr(0, size);
  const auto at = header.substr(fixed_part);
  if (family == 0x11) {
    h.source = v4_at(at.substr(0, 4), at.substr(8, 2));
    h.destination = v4_at(at.substr(4, 4), at.substr(10, 2));
  } else if (family == 0x21) {
    h.source = v6_at(at.substr(0, 16), at.substr(32, 2));
    h.destination = v6_at(at.substr(16, 16), at.substr(34, 2));
  } else {
    h.source = unix_at(at.substr(0, 108));
    h.destination = unix_at(at.substr(108, 108));
  }
  const char* const why = judge_fields(header, fixed_part + addresses);
  return why ? bad(why) : h;
}

task<> read_header(stream_core& core, std::size_t most) {
  const reading role(core);
  for (;;) {
    const auto bytes = core.input().view();
    const proxy_header h = proxy_header::parse(bytes, most);
    if (h.is == verdict::good) {
      core.set_addresses(h.source, h.destination);
      core.input().consume(h.size);
      core.tell_again();
      co_return;
    }
    const char* why = h.is == verdict::bad ? h.why : nullptr;
    if (!why) {
      fill_wait more(core, false);
      const bool goes_on = co_await more;
      if (goes_on || core.input().size() != bytes.size()) continue;
      // Closed by us, or without a byte, as by a proxy that asks whether the server lives.
      if (core.is_closing() || bytes.empty())
        throw_system_error(ECONNABORTED, "PROXY header", "of " + core.peer().to_string());
      why = "the connection ended before it was complete";
    }
    throw_system_error(EPROTO, "PROXY header", "of " + core.peer().to_string() + ": " + why);
  }
}

}  // namespace

proxy_header proxy_header::parse(std::string_view bytes, std::size_t most) {
  if (bytes.empty()) return {};
  if (may_begin_with(bytes, line_start))
    return bytes.size() < line_start.size() ? proxy_header() : parse_line(bytes);
  if (may_begin_with(bytes, signature))
    return bytes.size() < signature.size() ? proxy_header() : parse_binary(bytes, most);
  return bad("there is none");
}

task<> take_proxy_header(stream_core& core, const server_options& options) {
  const std::size_t most = options.proxy_header_bytes;
  bool late = false;
  try {
    const auto body = [&core, most] { return read_header(core, most); };
    task<> work = timeout(options.proxy_header_limit.get(), body);
    co_await work;
  } catch (const timeout_error&) { late = true; }
  if (late)
    throw_system_error(ETIMEDOUT, "PROXY header",
                       "of " + core.peer().to_string() + " within proxy_header_limit");
}

}  // namespace heddle::detail
