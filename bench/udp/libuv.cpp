// SPDX-License-Identifier: MIT
#include <uv.h>

#include <array>
#include <memory>
#include <vector>

#include "udp/problem.h"

namespace {

constexpr bench::identity who{"udp", "libuv"};

void checked(int result, const char* call) {
  if (result < 0) bench::give_up(who, call);
}

struct totals {
  long right = 0;
};

struct end {
  uv_udp_t handle{};
  bool echoes = false;
  long left = 0;
  totals* sum = nullptr;
  std::array<char, 2048> room{};
};

// A try first, as libuv's own documents advise; small datagrams always fit here.
void send(end& e, std::size_t n, const sockaddr* to) {
  uv_buf_t bytes = uv_buf_init(e.room.data(), static_cast<unsigned>(n));
  checked(uv_udp_try_send(&e.handle, &bytes, 1, to), "uv_udp_try_send");
}

void received(uv_udp_t* h, ssize_t got, const uv_buf_t*, const sockaddr* from, unsigned) {
  auto& e = *static_cast<end*>(h->data);
  if (got <= 0 || !from) return;
  const auto n = static_cast<std::size_t>(got);
  --e.left;
  if (e.echoes) {
    send(e, n, from);
  } else {
    e.sum->right += n == bench::udp::bytes;
    if (e.left > 0) send(e, n, nullptr);
  }
  if (e.left == 0) uv_close(reinterpret_cast<uv_handle_t*>(h), nullptr);
}

void begin(end& e, uv_loop_t& loop) {
  checked(uv_udp_init(&loop, &e.handle), "uv_udp_init");
  e.handle.data = &e;
}

void listen(end& e) {
  checked(uv_udp_recv_start(
              &e.handle,
              [](uv_handle_t* h, std::size_t, uv_buf_t* room) {
                auto& mine = *static_cast<end*>(h->data);
                *room = uv_buf_init(mine.room.data(), static_cast<unsigned>(mine.room.size()));
              },
              &received),
          "uv_udp_recv_start");
}

long all(long each) {
  uv_loop_t loop;
  checked(uv_loop_init(&loop), "uv_loop_init");
  totals sum;
  std::vector<std::unique_ptr<end>> ends;
  for (int i = 0; i < bench::udp::pairs; ++i) {
    auto& server = *ends.emplace_back(std::make_unique<end>());
    auto& client = *ends.emplace_back(std::make_unique<end>());
    sockaddr_in a = bench::udp::any_port_of_loopback();
    auto* at = reinterpret_cast<sockaddr*>(&a);
    int size = sizeof a;
    server.echoes = true;
    server.left = client.left = each;
    server.sum = client.sum = &sum;
    begin(server, loop);
    checked(uv_udp_bind(&server.handle, at, 0), "uv_udp_bind");
    checked(uv_udp_getsockname(&server.handle, at, &size), "uv_udp_getsockname");
    listen(server);
    begin(client, loop);
    checked(uv_udp_connect(&client.handle, at), "uv_udp_connect");
    listen(client);
    send(client, bench::udp::bytes, nullptr);
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
  return sum.right;
}

}  // namespace

int main(int argc, char** argv) {
  const auto with =
      bench::read_settings(argc, argv, who, bench::udp::default_size, bench::udp::size_means);
  const long each = bench::udp::each_of(with.size);
  return bench::run_all(who, with, each * bench::udp::pairs, [each] { return all(each); });
}
