// SPDX-License-Identifier: MIT
// No descriptor is left: the error names the call, nothing is leaked, and nothing is half done.
#include "fault_cases.h"

#include <heddle/io/datagram.h>
#include <heddle/io/file.h>
#include <heddle/io/pipe.h>
#include <heddle/io/resolve.h>
#include <heddle/io/run_process.h>
#include <heddle/io/unix_socket.h>

#include <filesystem>
#include <functional>

#include <fcntl.h>
#include <sys/resource.h>

namespace {

using namespace conformance;

REACTOR_CASES(IO_FAULT_EXHAUSTED);

/// Leaves this program `left` descriptors, until it is destroyed.
class few_descriptors {
 public:
  explicit few_descriptors(int left) {
    (void)::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = 512;
    (void)::setrlimit(RLIMIT_NOFILE, &low);
    for (int d = 0; (d = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) fillers_.push_back(d);
    for (int i = 0; i < left; ++i) drop();
  }
  few_descriptors(const few_descriptors&) = delete;
  ~few_descriptors() {
    while (!fillers_.empty()) drop();
    (void)::setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  void drop() {
    if (fillers_.empty()) return;
    ::close(fillers_.back());
    fillers_.pop_back();
  }
  rlimit before_{};
  std::vector<int> fillers_;
};

/// One way to use descriptors up. The task makes what it can, and lets it go.
using attempt = std::function<h::task<>()>;

/// With no descriptor, with one, with two, ... until the attempt succeeds: each failure says EMFILE
/// and leaks nothing. Yields how often it failed.
h::task<int> with_few(attempt make) {
  auto first = make();
  co_await first;  // what the process makes once is made
  const auto before = open_ends();
  for (int left = 0; left < 40; ++left) {
    std::exception_ptr error;
    {
      const few_descriptors few(left);
      auto trying = error_of(make());
      error = co_await trying;
    }
    co_await until_closed(before);
    if (!error) co_return left;
    EQUAL(code_of(error), EMFILE);
    HOLDS(says(error, "Too many open files"));
  }
  co_return -1;
}

/// All of them succeed in the end. What ends elsewhere may free a descriptor at any moment, so one
/// of them may succeed at once.
h::task<> all_with_few(std::vector<attempt> ways) {
  int failures = 0;
  for (const auto& way : ways) {
    auto trying = with_few(way);
    const int failed = co_await trying;
    HOLDS(failed >= 0);
    failures += failed;
  }
  HOLDS(failures > 0);
}

h::task<> connects(std::uint16_t port) {
  auto c = co_await h::open_connection("127.0.0.1", port);
  c.writer.close();
  co_await c.writer.wait_closed();
}
h::task<> starts_a_server() {
  auto s = co_await h::start_server(serve_echo, "127.0.0.1", 0);
  s.close();
  co_await s.wait_closed();
}
h::task<> starts_a_unix_server(std::string path) {
  std::exception_ptr error;
  try {
    auto s = co_await h::start_unix_server(serve_echo, path);
    s.close();
    co_await s.wait_closed();
  } catch (...) { error = std::current_exception(); }
  HOLDS(!std::filesystem::exists(path));
  if (error) std::rethrow_exception(error);
}
h::task<> opens_a_file(std::string path) {
  auto f = co_await h::file::open(path);
  co_await f.close();
}
h::task<> makes_a_pipe() {
  auto p = h::make_pipe();
  p.writer.write("x");
  p.writer.close();
  EQUAL(co_await p.reader.read(), "x");
}
h::task<> binds_a_datagram_socket() {
  auto s = h::datagram_socket::bind(h::address::ip("127.0.0.1", 0));
  auto c = h::datagram_socket::connect(s.local_address());
  co_await c.send("x");
  EQUAL((co_await s.receive()).bytes, "x");
}

TEST_P(IO_FAULT_EXHAUSTED, IO_FAULT_04_WithoutDescriptorsSocketsFilesAndPipesFailWhole) {
  run([]() -> h::task<> {
    auto s = co_await h::start_server(serve_echo, "127.0.0.1", 0);
    const auto port = s.port();
    const auto path = fresh_path("exhausted");
    std::vector<attempt> ways;
    ways.emplace_back([port] { return connects(port); });
    ways.emplace_back([] { return starts_a_server(); });
    ways.emplace_back([path] { return starts_a_unix_server(path); });
    ways.emplace_back([] { return opens_a_file("/etc/passwd"); });
    ways.emplace_back([] { return makes_a_pipe(); });
    ways.emplace_back([] { return binds_a_datagram_socket(); });
    co_await all_with_few(ways);
  });
}

/// The child makes a file; so a child that began, and was ended at once, may be known by it.
h::task<> spawns(h::process_options o, std::string path) {
  std::filesystem::remove(path);
  std::exception_ptr error;
  int code = -1;
  try {
    auto command = words("/bin/sh", "-c", "echo ran > " + path);
    auto starting = h::create_subprocess_exec(std::move(command), std::move(o));
    auto p = co_await starting;
    code = co_await p.wait();
  } catch (...) { error = std::current_exception(); }
  if (!error) {
    EQUAL(code, 0);
    HOLDS(std::filesystem::exists(path));
  } else {
    HOLDS(!std::filesystem::exists(path));
    std::rethrow_exception(error);
  }
}

h::process_options with_pipes() {
  h::process_options o;
  o.stdin = h::stdio::pipe;
  o.stdout = h::stdio::pipe;
  o.stderr = h::stdio::pipe;
  o.pipes = {h::child_pipe{7, h::child_pipe::both_ways}};
  return o;
}

TEST_P(IO_FAULT_EXHAUSTED, IO_FAULT_04_WithoutDescriptorsNoChildBegins) {
  run([]() -> h::task<> {
    const auto path = fresh_path("child");
    h::process_options on_terminal;
    on_terminal.terminal = h::terminal_size{};
    std::vector<attempt> ways;
    ways.emplace_back([path] { return spawns(h::process_options(), path); });
    ways.emplace_back([path] { return spawns(with_pipes(), path); });
    ways.emplace_back([path, on_terminal] { return spawns(on_terminal, path); });
    co_await all_with_few(ways);
    std::filesystem::remove(path);
  });
}

TEST_P(IO_FAULT_EXHAUSTED, IO_FAULT_04_WithoutDescriptorsALookUpSaysSo) {
  run([]() -> h::task<> {
    std::exception_ptr error;
    {
      const injected once({.where = call::getaddrinfo, .code = EMFILE});
      error = co_await error_of(h::resolve("localhost", 80));
    }
    EQUAL(code_of(error), EMFILE);
    HOLDS(says(error, "getaddrinfo"));
    HOLDS(says(error, "localhost"));
    EQUAL(code_of(co_await error_of(h::resolve("localhost", 80))), 0);
  });
}

h::task<std::exception_ptr> error_of_start(int nth, call where, int code) {
  const injected fault({.where = where, .code = code, .after = nth});
  const std::vector<std::string> hosts{"127.0.0.1", "127.0.0.2", "127.0.0.3"};
  std::exception_ptr error;
  try {
    auto starting = h::start_server(serve_echo, hosts, 0);
    auto s = co_await starting;
    s.close();
    co_await s.wait_closed();
  } catch (...) { error = std::current_exception(); }
  if (error) EQUAL(fault.met(), 1);
  co_return error;
}

h::task<> starts_whole_or_not_at_all(call where, int code, std::string name) {
  const auto before = open_ends();
  int failures = 0;
  for (;; ++failures) {
    auto starting = error_of_start(failures, where, code);
    const auto error = co_await starting;
    if (!error) break;
    EQUAL(code_of(error), code);
    HOLDS(says(error, name));
    co_await until_closed(before);
  }
  HOLDS(failures >= 3);  // at each of the three addresses
}

TEST_P(IO_FAULT_EXHAUSTED, IO_FAULT_04_AServerThatCannotStartHalfWayLeavesNothing) {
  run([]() -> h::task<> {
    co_await starts_whole_or_not_at_all(call::socket, EMFILE, "socket");
    if (h::current_runtime().reactor() == "epoll")
      co_await starts_whole_or_not_at_all(call::epoll_add, ENOSPC, "epoll_ctl");
  });
  EQUAL(report_count(), 0u);
}

}  // namespace
