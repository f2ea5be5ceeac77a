// SPDX-License-Identifier: MIT
#include "sockets.h"

#include "numbers.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>

namespace tool {
namespace {

constexpr const char* states[] = {"",           "established", "SYN sent",  "SYN received",
                                  "FIN wait 1", "FIN wait 2",  "time wait", "closed",
                                  "close wait", "last ACK",    "listening", "closing"};

/// "0100007F:1F90" -> "127.0.0.1:8080". The address stands in words of 4 bytes, each as a number of
/// this machine.
std::string address_of(const std::string& text) {
  const auto colon = text.find(':');
  if (colon == std::string::npos || (colon != 8 && colon != 32)) return text;
  unsigned char bytes[16];
  for (std::size_t i = 0; i < colon; i += 8) {
    const auto word =
        static_cast<std::uint32_t>(number_at(std::string_view(text).substr(i, 8), 16));
    std::memcpy(bytes + i / 2, &word, sizeof word);
  }
  char shown[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(colon == 8 ? AF_INET : AF_INET6, bytes, shown, sizeof shown);
  const auto port = std::to_string(number_at(std::string_view(text).substr(colon + 1), 16));
  return colon == 8 ? std::string(shown) + ":" + port : "[" + std::string(shown) + "]:" + port;
}

std::string in_table(const std::string& path, const char* name, const std::string& inode) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);  // the head
  while (std::getline(in, line)) {
    std::istringstream fields(line);
    std::string slot, local, peer, state, queues, timer, retransmits, user, timeout, its;
    fields >> slot >> local >> peer >> state >> queues >> timer >> retransmits >> user >> timeout >>
        its;
    if (its != inode || queues.size() < 17) continue;
    const auto number = number_at(state, 16);
    std::string text = std::string(name) + " " + address_of(local);
    if (number < sizeof states / sizeof states[0] && std::strcmp(states[number], "listening") != 0)
      text += " - " + address_of(peer);
    if (number < sizeof states / sizeof states[0] && number != 0)
      text += std::string(", ") + states[number];
    text += ", " + std::to_string(number_at(std::string_view(queues).substr(9), 16)) +
            " bytes to read, " +
            std::to_string(number_at(std::string_view(queues).substr(0, 8), 16)) + " to send";
    return text;
  }
  return {};
}

/// "Num RefCount Protocol Flags Type State Inode Path"; the path is missing where there is none.
std::string in_unix_table(const std::string& path, const std::string& inode) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);  // the head
  while (std::getline(in, line)) {
    std::istringstream fields(line);
    std::string slot, count, protocol, flags, type, state, its, name;
    fields >> slot >> count >> protocol >> flags >> type >> state >> its;
    if (its != inode) continue;
    std::getline(fields >> std::ws, name);
    const bool listens = (number_at(flags, 16) & 0x10000) != 0;
    return "a Unix socket" + (name.empty() ? std::string() : " " + name) +
           (listens                     ? ", listening"
            : number_at(state, 16) == 3 ? ", established"
                                        : "");
  }
  return {};
}

}  // namespace

std::string describe_descriptor(pid_t process, std::uint64_t number) {
  const std::string folder = "/proc/" + std::to_string(process);
  char target[4096];
  const auto n =
      ::readlink((folder + "/fd/" + std::to_string(number)).c_str(), target, sizeof target);
  if (n <= 0) return {};
  const std::string what(target, static_cast<std::size_t>(n));
  if (what.rfind("pipe:", 0) == 0) return "a pipe";
  if (what.rfind("socket:[", 0) != 0) return what;
  const std::string inode = what.substr(8, what.size() - 9);
  constexpr struct {
    const char* file;
    const char* name;
  } tables[] = {{"tcp", "TCP"}, {"tcp6", "TCP"}, {"udp", "UDP"}, {"udp6", "UDP"}};
  for (const auto& t : tables)
    if (auto text = in_table(folder + "/net/" + t.file, t.name, inode); !text.empty()) return text;
  const auto text = in_unix_table(folder + "/net/unix", inode);
  return text.empty() ? "a socket" : text;
}

}  // namespace tool
