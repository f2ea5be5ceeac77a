// SPDX-License-Identifier: MIT
// An application of which a second process takes over. `restart_peer NAME REACTOR given`: serves on
// the sockets of its environment (LISTEN_FDS). `restart_peer NAME REACTOR PORT`: shares that port
// with others (0: the kernel picks one). Prints its port, answers all requests with its name, and
// ends at SIGTERM.
#include <heddle/heddle.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace h = heddle;
namespace http = heddle::http;

namespace {

http::run_options options_for(const std::string& where) {
  http::run_options o;
  if (where == "given") {
    o.listen = http::given_sites();
  } else {
    h::server_options shared;
    shared.share_port = true;
    o.listen = {http::listen("127.0.0.1", std::atoi(where.c_str()))};
    o.listen.front().options(shared);
  }
  o.on_started = [](http::server& s) {
    std::printf("%u\n", static_cast<unsigned>(s.port()));
    std::fflush(stdout);
  };
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string name = argv[1];
  h::options o;
  o.loops = 2;
  o.reactor =
      std::string_view(argv[2]) == "uring" ? h::reactor_kind::uring : h::reactor_kind::epoll;
  http::router r;
  r.get("/", [name](http::request&) { return http::response::text(name); });
  return h::run(http::run_app(r, options_for(argv[3])), o);
}
