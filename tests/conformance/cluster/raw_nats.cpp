// SPDX-License-Identifier: MIT
#include "raw_nats.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <heddle/io/cluster/remote.h>

#include <cstdlib>

namespace conformance {

namespace {

const heddle::cluster::options& options_of(const cl::client& c) {
  return dynamic_cast<heddle::cluster::detail::remote&>(*c.place()).core().settings();
}

}  // namespace

raw_nats::raw_nats(const cl::client& c)
    : raw_nats(nats_server::common().port(), options_of(c).name) {}

raw_nats::raw_nats(std::uint16_t port, std::string cluster) : cluster_(std::move(cluster)) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(port);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0)
    ADD_FAILURE() << "no nats-server on port " << port;
  timeval limit{30, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const std::string hello =
      "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB _RAW.> 1\r\n";
  (void)::send(socket_, hello.data(), hello.size(), MSG_NOSIGNAL);
}

raw_nats::~raw_nats() { ::close(socket_); }

std::string raw_nats::line() {
  for (;;) {
    const auto end = in_.find("\r\n");
    if (end != std::string::npos) {
      auto text = in_.substr(0, end);
      in_.erase(0, end + 2);
      return text;
    }
    char piece[4096];
    const auto n = ::recv(socket_, piece, sizeof piece, 0);
    if (n <= 0) return {};
    in_.append(piece, static_cast<std::size_t>(n));
  }
}

std::string raw_nats::bytes(std::size_t n) {
  while (in_.size() < n + 2) {
    char piece[4096];
    const auto got = ::recv(socket_, piece, sizeof piece, 0);
    if (got <= 0) return {};
    in_.append(piece, static_cast<std::size_t>(got));
  }
  auto text = in_.substr(0, n);
  in_.erase(0, n + 2);
  return text;
}

void raw_nats::publish(const std::string& subject, const std::string& payload) {
  const auto text =
      "PUB " + subject + " " + std::to_string(payload.size()) + "\r\n" + payload + "\r\n";
  (void)::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
}

std::pair<std::string, std::string> raw_nats::ask(const std::string& subject,
                                                  const std::string& headers,
                                                  const std::string& payload) {
  const auto inbox = "_RAW." + std::to_string(++asked_) + "." + std::to_string(::getpid());
  std::string text = headers.empty() ? "PUB " : "HPUB ";
  text += subject + " " + inbox + " ";
  if (!headers.empty()) text += std::to_string(headers.size()) + " ";
  text += std::to_string(headers.size() + payload.size()) + "\r\n" + headers + payload + "\r\n";
  (void)::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
  for (;;) {
    const auto head = line();
    if (head.empty()) return {};
    if (head == "PING") {
      (void)::send(socket_, "PONG\r\n", 6, MSG_NOSIGNAL);
      continue;
    }
    if (!head.starts_with("MSG ") && !head.starts_with("HMSG ")) continue;
    const auto total = std::strtoul(head.substr(head.rfind(' ') + 1).c_str(), nullptr, 10);
    const auto body = bytes(total);
    if (!head.starts_with("HMSG")) return {head, body};
    const auto before = head.rfind(' ', head.rfind(' ') - 1);
    const auto size = std::strtoul(head.substr(before + 1).c_str(), nullptr, 10);
    return {head + "\n" + body.substr(0, size), body.substr(size)};
  }
}

std::uint64_t raw_nats::number(const std::string& text, const std::string& name) {
  const auto at = text.find("\"" + name + "\":");
  if (at == std::string::npos) return ~std::uint64_t{0};
  return std::strtoull(text.c_str() + at + name.size() + 3, nullptr, 10);
}

std::uint64_t raw_nats::messages(const std::string& stream) {
  return number(ask("$JS.API.STREAM.INFO." + stream + cluster_, {}, {}).second, "messages");
}

std::uint64_t raw_nats::unacknowledged(const std::string& durable) {
  return number(ask("$JS.API.CONSUMER.INFO.HJ_" + cluster_ + "." + durable, {}, {}).second,
                "num_ack_pending");
}

std::string raw_nats::take_job() {
  const auto answer = ask("$JS.API.CONSUMER.MSG.NEXT.HJ_" + cluster_ + ".default_1", {},
                          "{\"batch\":1,\"expires\":20000000000}");
  const auto at = answer.first.find("$JS.ACK.");
  if (at == std::string::npos) return {};
  return answer.first.substr(at, answer.first.find(' ', at) - at);
}

bool raw_nats::store_value(const std::string& id, const std::string& cbor) {
  const auto answer = ask(
      "h." + cluster_ + ".r." + id,
      "NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\nHeddle-Kind: value\r\nHeddle-Id: " +
          id + "\r\nHeddle-Job: raw.1\r\nHeddle-Worker: raw\r\nHeddle-Attempt: 1\r\n\r\n",
      cbor);
  return answer.second.find("\"seq\"") != std::string::npos;
}

}  // namespace conformance
