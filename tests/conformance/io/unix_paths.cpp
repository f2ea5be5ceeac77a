// SPDX-License-Identifier: MIT
// The paths of Unix servers: who gets one, who may connect, and who removes it.
#include "descriptor_count.h"
#include "reactor_cases.h"

#include <heddle/io/address.h>

#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <thread>

namespace conformance {
namespace {

REACTOR_CASES(IO_UNIX_PATHS);

/// A path where a server was killed: its socket stands there, and nobody has it.
void leave_stale(const std::string& path) {
  const auto at = h::address::unix_path(path);
  const int s = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EQUAL(::bind(s, at.data(), at.size()), 0);
  ::close(s);
}

h::task<std::string> ask_at(std::string path) {
  h::connection c = co_await h::open_unix_connection(path);
  c.writer.write("hello\n");
  std::string line = co_await c.reader.read_line();
  c.writer.close();
  co_return line;
}

h::task<std::shared_ptr<h::server>> try_to_start(std::string path, std::atomic<int>& in_use) {
  std::shared_ptr<h::server> made;
  try {
    auto starting = h::start_unix_server(echo, path);
    h::server s = co_await std::move(starting);
    made = std::make_shared<h::server>(std::move(s));
  } catch (const std::system_error& e) {
    if (e.code().value() == EADDRINUSE) ++in_use;
  }
  co_return made;
}

TEST_P(IO_UNIX_PATHS, IO_UNIX_02_OfServersThatStartAtAStalePathOneWins) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    const auto path = fresh_path("raced");
    const std::size_t times = sized(40, 1000);
    for (std::size_t i = 0; i < times; ++i) {
      leave_stale(path);
      std::atomic<int> in_use{0};
      std::vector<h::task_handle<std::shared_ptr<h::server>>> starts;
      for (int k = 0; k < 3; ++k) starts.push_back(h::create_task(try_to_start(path, in_use)));
      std::shared_ptr<h::server> winner;
      for (auto& one : starts) {
        auto made = co_await one;
        HOLDS(!made || !winner);
        if (made) winner = std::move(made);
      }
      HOLDS(winner != nullptr);
      EQUAL(in_use.load(), 2);
      if (!winner) co_return;
      const std::string line = co_await ask_at(path);
      EQUAL(line, "hello\n");
      winner->close();
      co_await winner->wait_closed();
      HOLDS(!std::filesystem::exists(path));
    }
  });
  EQUAL(open_ends(), before);
}

TEST_P(IO_UNIX_PATHS, IO_UNIX_02_AServerThatIsBoundAndDoesNotListenYetIsAlive) {
  run([]() -> h::task<> {
    const auto path = fresh_path("bound");
    h::server_options o;
    o.start_serving = false;
    h::server s = co_await h::start_unix_server(echo, path, o);
    auto starting = h::create_task(error_of(h::start_unix_server(echo, path)));
    co_await until_waiting(starting);
    s.start_serving();
    const std::exception_ptr error = co_await starting;
    EQUAL(code_of(error), EADDRINUSE);
    const std::string line = co_await ask_at(path);
    EQUAL(line, "hello\n");
    { std::ofstream(path + ".text") << "precious"; }
    auto other = h::start_unix_server(echo, path + ".text");
    EQUAL(code_of(co_await error_of(std::move(other))), EADDRINUSE);
    EQUAL(std::filesystem::file_size(path + ".text"), 8u);
    std::filesystem::remove(path + ".text");
  });
}

/// Tries to connect from the moment on when the path is there. Yields the mode that the file had
/// when the first connection was made.
mode_t mode_at_first_connection(const std::string& path) {
  const auto at = h::address::unix_path(path);
  struct stat s{};
  for (;;) {
    const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool connected = ::connect(client, at.data(), at.size()) == 0;
    if (connected) (void)::lstat(path.c_str(), &s);
    ::close(client);
    if (connected) return s.st_mode & 07777;
  }
}

TEST_P(IO_UNIX_PATHS, IO_UNIX_03_ModeAndGroupAreSetBeforeAnybodyCanConnect) {
  run([]() -> h::task<> {
    const auto path = fresh_path("mode");
    std::atomic<mode_t> seen{0};
    std::thread early([&] { seen = mode_at_first_connection(path); });
    h::server_options o;
    o.socket_mode = 0620;
    o.socket_group = ::getgid();
    h::server s = co_await h::start_unix_server(echo, path, o);
    early.join();
    EQUAL(seen.load(), mode_t{0620});
    struct stat now{};
    EQUAL(::lstat(path.c_str(), &now), 0);
    EQUAL(now.st_gid, ::getgid());
    const std::string line = co_await ask_at(path);
    EQUAL(line, "hello\n");
    h::server_options bad;
    bad.socket_mode = 01777;
    auto starting = h::start_unix_server(echo, path + "2", bad);
    const std::string how = co_await ending(std::move(starting));
    EQUAL(how, "BadValue");
    HOLDS(!std::filesystem::exists(path + "2"));
  });
}

TEST_P(IO_UNIX_PATHS, IO_UNIX_04_OnlyTheServersOwnPathIsRemoved) {
  run([]() -> h::task<> {
    const auto path = fresh_path("own");
    {
      h::server s = co_await h::start_unix_server(echo, path);
      s.close();
      HOLDS(!std::filesystem::exists(path));
    }
    {
      h::server s = co_await h::start_unix_server(echo, path);
      std::filesystem::remove(path);
      s.close();  // it is gone already
      HOLDS(!std::filesystem::exists(path));
    }
    {
      h::server s = co_await h::start_unix_server(echo, path);
      std::filesystem::remove(path);
      { std::ofstream(path) << "another file"; }
      s.close();
      HOLDS(std::filesystem::exists(path));
      std::filesystem::remove(path);
    }
    h::server_options keep;
    keep.cleanup_socket = false;
    h::server s = co_await h::start_unix_server(echo, path, keep);
    s.close();
    HOLDS(std::filesystem::exists(path));
    co_await s.wait_closed();
    std::filesystem::remove(path);
  });
}

TEST_P(IO_UNIX_PATHS, IO_UNIX_04_ARelativePathIsRemovedAfterAChangeOfDirectory) {
  run([]() -> h::task<> {
    const auto home = std::filesystem::current_path();
    const auto path = fresh_path("relative");
    std::filesystem::current_path(std::filesystem::temp_directory_path());
    auto starting = h::start_unix_server(echo, std::filesystem::path(path).filename().string());
    h::server s = co_await std::move(starting);
    std::filesystem::current_path(home);
    HOLDS(std::filesystem::exists(path));
    s.close();
    HOLDS(!std::filesystem::exists(path));
  });
}

int bound_socket(const std::string& path) {
  const auto at = h::address::unix_path(path);
  const int s = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EQUAL(::bind(s, at.data(), at.size()), 0);
  return s;
}

TEST_P(IO_UNIX_PATHS, IO_UNIX_05_AServerOnABoundSocketServesAndRemovesItsPathIfAsked) {
  const auto before = open_ends();
  run([]() -> h::task<> {
    const auto path = fresh_path("given");
    for (const bool removes : {true, false}) {
      h::server_options o;
      o.cleanup_socket = removes;
      h::server s = co_await h::start_unix_server_on(echo, bound_socket(path), o);
      EQUAL(s.addresses().front().to_string(), path);
      const std::string line = co_await ask_at(path);
      EQUAL(line, "hello\n");
      s.close();
      co_await s.wait_closed();
      EQUAL(std::filesystem::exists(path), !removes);
      std::filesystem::remove(path);
    }
    const int unbound = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int packets = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int tcp = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (const int bad : {unbound, packets, tcp}) {
      auto starting = h::start_unix_server_on(echo, bad);
      const std::string how = co_await ending(std::move(starting));
      EQUAL(how, "BadValue");
      EQUAL(::close(bad), 0);  // it is ours still
    }
  });
  EQUAL(open_ends(), before);
}

}  // namespace
}  // namespace conformance
