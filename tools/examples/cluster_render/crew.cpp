// SPDX-License-Identifier: MIT
#include "crew.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cluster_render {
namespace {

namespace h = heddle;
using namespace std::chrono_literals;

constexpr auto start_limit = 30s;  // until a server listens
constexpr auto end_limit = 5s;     // between SIGTERM and SIGKILL
constexpr auto look_again = 20ms;  // whether the server listens

/// HEDDLE_NATS_SERVER, or the one in PATH, or in /usr/sbin, which is not in every PATH.
std::string find_server() {
  const char* named = std::getenv("HEDDLE_NATS_SERVER");
  if (named && *named) return named;
  const char* path = std::getenv("PATH");
  std::istringstream folders(std::string(path ? path : "/usr/bin") + ":/usr/sbin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto file = folder + "/nats-server";
    if (::access(file.c_str(), X_OK) == 0) return file;
  }
  throw std::runtime_error(
      "nats-server is not installed: apt-get install nats-server, or run "
      "without a cluster by --workers 0");
}

std::uint16_t free_port() {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  const bool fine = s >= 0 && ::bind(s, reinterpret_cast<sockaddr*>(&at), size) == 0 &&
                    ::getsockname(s, reinterpret_cast<sockaddr*>(&at), &size) == 0;
  const int error = errno;
  if (s >= 0) ::close(s);
  if (!fine) throw std::system_error(error, std::generic_category(), "a free port for nats-server");
  return ntohs(at.sin_port);
}

/// All that we start dies with us, however we end.
h::process_options dies_with_us() {
  h::process_options o;
  o.stdin = h::stdio::null;
  o.parent_death_signal = SIGKILL;
  return o;
}

bool runs(const crew::member& m) { return m.process.valid() && !m.process.returncode(); }

/// True: it ran, and has the signal.
bool signal_to(crew::member& m, int number) {
  if (!runs(m)) return false;
  try {
    m.process.send_signal(number);
  } catch (const h::no_such_process&) { return false; }
  return true;
}

h::task<> end(crew::member& m, bool gently) {
  if (!signal_to(m, gently ? SIGTERM : SIGKILL)) co_return;
  bool late = false;
  try {
    auto ending = h::wait_for(m.process.wait(), end_limit);
    (void)co_await std::move(ending);
  } catch (const h::timeout_error&) { late = true; }
  if (late) {
    signal_to(m, SIGKILL);
    auto dying = m.process.wait();
    (void)co_await std::move(dying);
  }
  m.up = false;
}

[[noreturn]] void ended_by_itself(const crew::member& m, int code) {
  throw std::runtime_error(
      m.name + " has ended by itself, " +
      (code < 0 ? "by signal " + std::to_string(-code) : "with status " + std::to_string(code)));
}

}  // namespace

crew::crew(const settings& s, std::string folder)
    : settings_(s),
      folder_(std::move(folder)),
      run_log_(folder_ + "/runs"),
      luck_(s.seed),
      server_luck_(~s.seed) {
  server_.name = "nats-server";
  for (unsigned n = 1; n <= s.workers; ++n) workers_.push_back({"w" + std::to_string(n)});
  const std::ofstream made(run_log_);  // workers do not make it: it may be gone for good
  if (!made) throw std::runtime_error(run_log_ + ": cannot be written");
}

std::string crew::url() const {
  return "nats://127.0.0.1:" + std::to_string(port_) +
         "/render?ack_wait=" + std::to_string(settings_.ack_wait.count()) + "ms";
}

unsigned crew::deaths_of_workers() const noexcept {
  unsigned all = 0;
  for (const auto& w : workers_) all += w.deaths;
  return all;
}

h::task<bool> crew::listens() const {
  try {
    auto connecting = h::open_connection("127.0.0.1", port_);
    const auto connection = co_await std::move(connecting);
    co_return true;
  } catch (const std::system_error&) { co_return false; }
}

h::task<> crew::start_server() {
  if (program_.empty()) {
    program_ = find_server();
    port_ = free_port();
  }
  const auto log = folder_ + "/nats.log";
  std::vector<std::string> words{program_, "-js",       "-sd", folder_ + "/store",
                                 "-a",     "127.0.0.1", "-p",  std::to_string(port_),
                                 "-l",     log};
  auto starting = h::create_subprocess_exec(std::move(words), dies_with_us());
  server_.process = co_await std::move(starting);
  const auto end_of_patience = h::clock::now() + start_limit;
  for (;;) {
    auto looking = listens();
    const bool ready = co_await std::move(looking);
    if (ready) break;
    if (server_.process.returncode() || h::clock::now() > end_of_patience) {
      std::ostringstream said;
      said << std::ifstream(log).rdbuf();
      throw std::runtime_error("nats-server does not listen on 127.0.0.1:" + std::to_string(port_) +
                               "; it says:\n" + said.str());
    }
    co_await h::sleep(look_again);
  }
  server_.up = true;
}

h::task<> crew::keep_server() {
  for (;;) {
    auto ending = server_.process.wait();
    const int code = co_await std::move(ending);
    server_.up = false;
    if (code != -SIGKILL) ended_by_itself(server_, code);
    ++server_.deaths;
    auto starting = start_server();
    co_await std::move(starting);
  }
}

h::task<> crew::keep_worker(std::size_t number) {
  auto& w = workers_[number];
  for (;;) {
    std::vector<std::string> words{
        "/proc/self/exe", "--serve", url(), w.name, std::to_string(settings_.slots), run_log_};
    auto starting = h::create_subprocess_exec(std::move(words), dies_with_us());
    w.process = co_await std::move(starting);
    w.up = true;
    auto ending = w.process.wait();
    const int code = co_await std::move(ending);
    w.up = false;
    if (code != -SIGKILL) ended_by_itself(w, code);
    ++w.deaths;
  }
}

h::duration crew::about(std::chrono::milliseconds pause, std::mt19937_64& luck) {
  // From a half to one and a half. Not a distribution of the standard library: those differ.
  return h::to_duration(pause * (500 + luck() % 1001) / 1000);
}

h::task<> crew::kill_workers() {
  if (settings_.kill == 0ms || workers_.empty()) co_return;
  for (unsigned killed = 0; killed < settings_.kills;) {
    co_await h::sleep(about(settings_.kill, luck_));
    killed += kill_one() ? 1 : 0;
  }
}

h::task<> crew::kill_servers() {
  if (settings_.kill_server == 0ms) co_return;
  for (unsigned killed = 0; killed < settings_.server_kills;) {
    co_await h::sleep(about(settings_.kill_server, server_luck_));
    killed += kill_server() ? 1 : 0;
  }
}

bool crew::kill_one() {
  const auto first = luck_() % workers_.size();
  for (std::size_t i = 0; i < workers_.size(); ++i)
    if (signal_to(workers_[(first + i) % workers_.size()], SIGKILL)) return true;
  return false;
}

bool crew::kill_server() { return server_.up && signal_to(server_, SIGKILL); }

h::task<> crew::stop(bool gently) {
  std::vector<h::task<>> endings;
  for (auto& w : workers_) endings.push_back(end(w, gently));
  auto all = h::gather(std::move(endings));
  co_await std::move(all);
  auto last = end(server_, gently);
  co_await std::move(last);
}

}  // namespace cluster_render
