// SPDX-License-Identifier: MIT
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "common/heddle.h"
#include "udp/problem.h"

namespace {

heddle::task<> echo(heddle::datagram_socket s, long times) {
  std::array<char, 2048> room;
  for (long i = 0; i < times; ++i) {
    const auto got = co_await s.receive_into(room);
    co_await s.send_to(std::string_view(room.data(), got.size), got.sender);
  }
}

heddle::task<long> ask(heddle::datagram_socket s, long times) {
  const std::string message(bench::udp::bytes, 'x');
  std::array<char, 2048> room;
  long right = 0;
  for (long i = 0; i < times; ++i) {
    co_await s.send(message);
    const auto got = co_await s.receive_into(room);
    right += got.size == message.size();
  }
  co_return right;
}

heddle::task<long> all(long each) {
  std::vector<heddle::task_handle<void>> servers;
  std::vector<heddle::task_handle<long>> clients;
  for (int i = 0; i < bench::udp::pairs; ++i) {
    auto server = heddle::datagram_socket::bind(heddle::address::ip("127.0.0.1", 0));
    auto client = heddle::datagram_socket::connect(server.local_address());
    servers.push_back(heddle::create_task(echo(std::move(server), each)));
    clients.push_back(heddle::create_task(ask(std::move(client), each)));
  }
  long right = 0;
  for (auto& c : clients) right += co_await c;
  for (auto& s : servers) co_await s;
  co_return right;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"udp", "heddle"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::udp::default_size, bench::udp::size_means);
  const long each = bench::udp::each_of(with.size);
  return bench::run_all_on_heddle(who, with, each * bench::udp::pairs,
                                  [each] { return all(each); });
}
