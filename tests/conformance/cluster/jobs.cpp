// SPDX-License-Identifier: MIT
#include "jobs.h"

#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <thread>

namespace jobs {

using namespace std::chrono_literals;
namespace h = heddle;

std::atomic<int> running_now{0}, running_most{0};

const cl::job<std::string(std::string)> echo{"echo"};
const cl::job<int(int)> twice{"twice"};
const cl::job<std::string(std::string, int, int)> log_and_wait{"log_and_wait"};
const cl::job<std::string(std::string, int, int)> log_and_block{"log_and_block"};
const cl::job<int(std::string)> fails{"fails"};
const cl::job<int()> throws_an_int{"throws_an_int"};
const cl::job<unsigned(std::string, unsigned)> fails_until{
    "fails_until", {.retry = {.times = 2, .delay = 100ms, .factor = 2}}};
const cl::job<int(std::string)> fails_for_good{"fails_for_good",
                                               {.retry = {.times = 5, .delay = 10ms}}};
const cl::job<int()> crashes{"crashes", {.attempts = 3}};
const cl::job<std::string(std::size_t)> makes_bytes{"makes_bytes"};
const cl::job<int(int)> nested{"nested"};
const cl::job<int(std::string, int)> hogs{"hogs"};
const cl::job<int(int)> tells{"tells"};
const cl::job<void(int)> nothing{"nothing"};
const cl::job<std::int64_t(std::int64_t)> same_integer{"same_integer"};
const cl::job<std::uint64_t(std::uint64_t)> same_natural{"same_natural"};
const cl::job<double(double)> same_double{"same_double"};
const cl::job<std::vector<std::byte>(std::vector<std::byte>)> same_bytes{"same_bytes"};
const cl::job<std::optional<std::optional<int>>(std::optional<std::optional<int>>)> same_optional{
    "same_optional"};
const cl::job<std::map<int, std::string>(std::map<int, std::string>)> same_map{"same_map"};
const cl::job<scene(scene)> same_scene{"same_scene"};
const cl::job<int(int)> nobodys{"nobodys"};
const cl::job<int(int)> of_others{"of_others"};

namespace {

/// One write each: lines of several processes stay whole.
void append(const std::string& file, const std::string& line) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const auto text = line + "\n";
  if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error("the log of a job cannot be written: " + file);
  ::close(fd);
}

struct counted {
  counted() {
    const int now = ++running_now;
    int most = running_most;
    while (most < now && !running_most.compare_exchange_weak(most, now)) {}
  }
  ~counted() { --running_now; }
};

h::task<std::string> log_then_wait(cl::context& c, std::string file, int number, int ms) {
  const counted here;
  const auto text = std::to_string(number) + " " + c.worker() + " " + std::to_string(c.attempt());
  append(file, "begin " + text);
  try {
    co_await h::sleep(std::chrono::milliseconds(ms));
  } catch (const h::cancelled_error&) {
    append(file, "cancelled " + text);
    throw;
  }
  append(file, "end " + text);
  co_return c.worker();
}

std::string log_then_block(cl::context& c, std::string file, int number, int ms) {
  const counted here;
  const auto text = std::to_string(number) + " " + c.worker() + " " + std::to_string(c.attempt());
  append(file, "begin " + text);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (std::chrono::steady_clock::now() < end) {
    if (c.stopping()) {
      append(file, "stopping " + text);
      return "stopped";
    }
    std::this_thread::sleep_for(2ms);
  }
  append(file, "end " + text);
  return c.worker();
}

int fail(std::string why) {
  try {
    throw std::invalid_argument("the inner cause");
  } catch (...) { std::throw_with_nested(std::runtime_error(why)); }
}

h::task<int> nest(int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await h::to_cluster(nested, depth - 1);
  co_return below + 1;
}

h::task<int> hog(std::string file, int ms) {
  append(file, "begin");
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  const auto spin = [end] {
    while (std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  };
  for (unsigned i = 1; i < h::current_runtime().loop_count(); ++i)
    h::create_task([spin]() -> h::task<> {
      spin();
      co_return;
    });
  spin();
  co_return 1;
}

h::task<int> tell(cl::context& c, int steps) {
  for (int i = 1; i <= steps; ++i) {
    c.progress(static_cast<double>(i) / steps);
    if (i % 16 == 0) co_await h::sleep(1ms);
  }
  co_return steps;
}

template <class T>
T same(T v) {
  return v;
}

[[maybe_unused]] const auto all = [] {
  cl::implement(echo, [](std::string s) -> h::task<std::string> { co_return s; });
  cl::implement(twice, [](int n) { return 2 * n; });
  cl::implement(log_and_wait, log_then_wait);
  cl::implement(log_and_block, log_then_block);
  cl::implement(fails, fail);
  cl::implement(throws_an_int, []() -> int { throw 5; });
  cl::implement(fails_until, [](cl::context& c, std::string file, unsigned good) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    append(file,
           std::to_string(c.attempt()) + " " +
               std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
    if (c.attempt() < good) throw std::runtime_error("not yet");
    return c.attempt();
  });
  cl::implement(fails_for_good, [](cl::context& c, std::string file) -> int {
    append(file, std::to_string(c.attempt()));
    throw cl::permanent("never");
  });
  cl::implement(crashes, []() -> int {
    ::signal(SIGSEGV, SIG_DFL);
    ::raise(SIGSEGV);
    return 0;
  });
  cl::implement(makes_bytes, [](std::size_t n) { return std::string(n, 'x'); });
  cl::implement(nested, nest);
  cl::implement(hogs, hog);
  cl::implement(tells, tell);
  cl::implement(nothing, [](int) {});
  cl::implement(same_integer, same<std::int64_t>);
  cl::implement(same_natural, same<std::uint64_t>);
  cl::implement(same_double, same<double>);
  cl::implement(same_bytes, same<std::vector<std::byte>>);
  cl::implement(same_optional, same<std::optional<std::optional<int>>>);
  cl::implement(same_map, same<std::map<int, std::string>>);
  return cl::implement(same_scene, same<scene>);
}();

}  // namespace
}  // namespace jobs
