// SPDX-License-Identifier: MIT
#include "cluster_cases.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#ifndef HEDDLE_CLUSTER_WORKER
#define HEDDLE_CLUSTER_WORKER ""
#define HEDDLE_CLUSTER_TOOL ""
#endif

extern char** environ;

namespace conformance {

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(port);
  return a;
}

bool listens(std::uint16_t port) {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto a = loopback(port);
  const bool yes = ::connect(s, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
  ::close(s);
  return yes;
}

/// Calls `f` in a thread that ends with the process: children are killed when the thread that made
/// them ends, and the loops of a case end before the program does.
void in_lasting_thread(const std::function<void()>& f) {
  struct place {
    std::mutex turn, lock;
    std::condition_variable change;
    const std::function<void()>* job = nullptr;
  };
  static auto* p = [] {
    auto* made = new place;
    std::thread([made] {
      for (;;) {
        std::unique_lock hold(made->lock);
        made->change.wait(hold, [made] { return made->job != nullptr; });
        (*made->job)();
        made->job = nullptr;
        made->change.notify_all();
      }
    }).detach();
    return made;
  }();
  const std::lock_guard turn(p->turn);
  std::unique_lock hold(p->lock);
  p->job = &f;
  p->change.notify_all();
  p->change.wait(hold, [] { return p->job == nullptr; });
}

}  // namespace

std::uint16_t free_port() {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto a = loopback(0);
  socklen_t size = sizeof a;
  ::bind(s, reinterpret_cast<const sockaddr*>(&a), sizeof a);
  ::getsockname(s, reinterpret_cast<sockaddr*>(&a), &size);
  ::close(s);
  return ntohs(a.sin_port);
}

child::child(std::vector<std::string> words, std::vector<std::string> environment) {
  std::vector<char*> arguments, all;
  for (auto& w : words) arguments.push_back(w.data());
  arguments.push_back(nullptr);
  for (auto& e : environment) all.push_back(e.data());
  for (char** e = environ; *e; ++e)
    if (!std::string_view(*e).starts_with("HEDDLE_CLUSTER")) all.push_back(*e);
  all.push_back(nullptr);
  in_lasting_thread([&] {
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvpe(arguments[0], arguments.data(), all.data());
    ::_exit(127);
  });
  EXPECT_GT(pid_, 0) << "fork";
}

child::~child() {
  if (pid_ <= 0 || status_ >= 0) return;
  ::kill(pid_, SIGKILL);
  (void)wait();
}

void child::send(int signal) const {
  if (pid_ > 0 && status_ < 0) ::kill(pid_, signal);
}

int child::wait() {
  if (status_ >= 0) return status_;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return status_;
}

bool child::takes(int signal) const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  for (std::string word; status >> word;)
    if (word == "SigCgt:" || word == "SigBlk:") {
      std::uint64_t mask = 0;
      status >> std::hex >> mask >> std::dec;
      if ((mask >> (signal - 1) & 1) != 0) return true;
    }
  return false;
}

bool child::ended() {
  if (status_ >= 0) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return true;
}

own_folder::own_folder()
    : path_((std::filesystem::temp_directory_path() / "heddle-clu-XXXXXX").string()) {
  if (!::mkdtemp(path_.data())) throw std::runtime_error("no folder can be made at " + path_);
}

own_folder::~own_folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

nats_server::nats_server(std::vector<std::string> more) : more_(std::move(more)) {
  port_ = free_port();
  start();
}

nats_server& nats_server::common() {
  static nats_server one;
  return one;
}

void nats_server::start() {
  const char* newer = std::getenv("HEDDLE_NATS_SERVER");
  std::vector<std::string> words{newer && *newer ? newer : "nats-server",
                                 "-js",
                                 "-sd",
                                 folder_.path(),
                                 "-a",
                                 "127.0.0.1",
                                 "-p",
                                 std::to_string(port_),
                                 "-l",
                                 folder_.path() + "/log"};
  words.insert(words.end(), more_.begin(), more_.end());
  process_ = std::make_unique<child>(std::move(words), std::vector<std::string>());
  for (int i = 0; i < 3000 && !listens(port_) && !process_->ended(); ++i)
    std::this_thread::sleep_for(10ms);
  if (process_->ended()) ADD_FAILURE() << "nats-server has ended: " << log();
}

void nats_server::kill() {
  process_->send(SIGKILL);
  (void)process_->wait();
}
void nats_server::pause() const { process_->send(SIGSTOP); }
void nats_server::go_on() const { process_->send(SIGCONT); }

std::string nats_server::log() const {
  std::ostringstream out;
  out << std::ifstream(folder_.path() + "/log").rdbuf();
  return out.str();
}

std::string fresh_file() {
  static const own_folder all;
  static std::atomic<int> number{0};
  return all.path() + "/" + std::to_string(++number);
}

std::vector<std::string> lines_of(const std::string& file) {
  std::vector<std::string> all;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

std::size_t count_lines(const std::string& file, const std::string& beginning) {
  std::size_t n = 0;
  for (const auto& line : lines_of(file)) n += line.starts_with(beginning);
  return n;
}

std::size_t cluster_size(std::size_t usual, std::size_t full) {
  const char* asked = std::getenv("HEDDLE_SIZE");
  if (asked && std::string_view(asked) == "full") return full;
  return sanitized ? std::max<std::size_t>(usual / 10, 1) : usual;
}

cl::options fresh_cluster() {
  static std::atomic<int> number{0};
  cl::options o;
  o.servers = {{"127.0.0.1", nats_server::common().port()}};
  o.name = "t" + std::to_string(::getpid()) + "-" + std::to_string(++number);
  o.max_bytes = 16 * 1024 * 1024;
  o.submit_within = 60s;  // a busy machine
  o.connect_limit = 20s;
  o.request_limit = 20s;
  return o;
}

std::string url_of(const cl::options& o) {
  const auto ms = [](const auto& d) { return std::to_string(d.count() / 1'000'000) + "ms"; };
  return "nats://" + o.servers.front().host + ":" + std::to_string(o.servers.front().port) + "/" +
         o.name + "?ack_wait=" + ms(o.ack_wait) + "&keep=" + ms(o.keep) +
         "&max_bytes=" + std::to_string(o.max_bytes);
}

child worker_process(const cl::options& o, const std::string& name, unsigned slots,
                     const std::string& queues, int drain_ms) {
  return child(
      {HEDDLE_CLUSTER_WORKER, std::to_string(slots), queues, std::to_string(drain_ms), name},
      {"HEDDLE_CLUSTER=" + url_of(o)});
}

std::string cluster_tool(const cl::options& o, std::vector<std::string> words, int* status) {
  const auto out = fresh_file();
  std::string line = "exec /usr/bin/python3 -B '" HEDDLE_CLUSTER_TOOL "'";
  for (const auto& w : words) line += " '" + w + "'";
  child tool({"/bin/sh", "-c", line + " > " + out + " 2>&1"}, {"HEDDLE_CLUSTER=" + url_of(o)});
  *status = tool.wait();
  std::ostringstream text;
  text << std::ifstream(out).rdbuf();
  std::filesystem::remove(out);
  return text.str();
}

namespace {
cl::worker_options options_of(unsigned slots, std::vector<std::string> queues) {
  cl::worker_options o;
  o.slots = slots;
  o.queues = std::move(queues);
  return o;
}
}  // namespace

here_worker::here_worker(cl::client c, unsigned slots, std::vector<std::string> queues)
    : here_worker(std::move(c), options_of(slots, std::move(queues))) {}
here_worker::here_worker(cl::client c, cl::worker_options o) : worker_(std::move(o), std::move(c)) {
  serving = h::create_task(worker_.serve());
}

h::task<int> here_worker::stop() {
  worker_.drain();
  co_return co_await serving;
}

h::task<bool> eventually(std::function<bool()> f) {
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (!f()) {
    if (std::chrono::steady_clock::now() > end) co_return false;
    co_await h::sleep(5ms);
  }
  co_return true;
}

}  // namespace conformance
