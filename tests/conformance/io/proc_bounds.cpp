// SPDX-License-Identifier: MIT
// Processes: what a child may use, who it is, where it stands, and what it has used.
#include "proc_cases.h"

#include <heddle/io/pipe.h>

#include <sys/resource.h>
#include <sys/wait.h>

#include <filesystem>
#include <thread>

namespace {

using namespace conformance;

REACTOR_CASES(IO_PROC_BOUNDS);

TEST_P(IO_PROC_BOUNDS, IO_PROC_13_LimitsNiceMaskAndDirectory) {
  run([]() -> h::task<> {
    h::process_options o;
    o.limits = {h::resource_limit{RLIMIT_NOFILE, 77, 88}, h::resource_limit{RLIMIT_CORE, 0, 0}};
    o.nice = 7;
    o.umask = 0137;
    o.cwd = "/tmp";
    const std::string told =
        co_await said(o, "ulimit -Sn; ulimit -Hn; ulimit -c; nice; umask; pwd");
    EQUAL(told, "77\n88\n0\n7\n0137\n/tmp\n");
    // Ours are as they were.
    const std::string ours = co_await said(plain(), "nice");
    EQUAL(ours, std::to_string(::getpriority(PRIO_PROCESS, 0)) + "\n");
    h::process_options too_nice;
    too_nice.nice = 20;
    EQUAL(name_of(co_await error_of(start(too_nice, words("true")))), "BadValue");
    h::process_options wrong, nowhere;
    wrong.limits = {h::resource_limit{RLIMIT_NOFILE, 10, 5}};
    const auto refused = co_await error_of(start(wrong, words("true")));
    EQUAL(code_of(refused), EINVAL);
    HOLDS(h::describe(refused).find("setrlimit") != std::string::npos);
    nowhere.cwd = "/no/such/place";
    const auto lost = co_await error_of(start(nowhere, words("true")));
    EQUAL(code_of(lost), ENOENT);
    HOLDS(h::describe(lost).find("chdir") != std::string::npos);
    HOLDS(h::describe(lost).find("/no/such/place") != std::string::npos);
    HOLDS(no_child_left());
  });
}

TEST_P(IO_PROC_BOUNDS, IO_PROC_13_ALimitEndsTheChildAndItsUsageIsTold) {
  run([]() -> h::task<> {
    const auto path = fresh_path("too-large");
    h::process_options o;
    o.limits = {h::resource_limit{RLIMIT_FSIZE, 4096, 4096}, h::resource_limit{RLIMIT_CORE, 0, 0}};
    auto large = co_await shell(o, "exec head -c 100000 /dev/zero > " + path);
    const int code = co_await large.wait();
    EQUAL(code, -SIGXFSZ);
    EQUAL(std::filesystem::file_size(path), 4096u);
    std::filesystem::remove(path);
    auto p = piped(true, false);
    auto busy = co_await shell(p, "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; read x");
    HOLDS(!busy.usage().has_value());
    busy.stdin.close();
    (void)co_await busy.wait();
    const auto used = busy.usage();
    HOLDS(used.has_value());
    HOLDS(used->user_time + used->system_time > h::duration::zero());
    HOLDS(used->peak_memory > 100'000);
    HOLDS(used->minor_faults > 0);
  });
}

TEST_P(IO_PROC_BOUNDS, IO_PROC_13_AnotherUserAndGroup) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may choose a user";
  run([]() -> h::task<> {
    h::process_options o;
    o.user = 65534;
    o.group = 65533;
    const std::string plain = co_await said(o, "id -u; id -g; id -G");
    EQUAL(plain, "65534\n65533\n65533\n");
    o.groups.emplace();
    o.groups->push_back(4242);
    const std::string more = co_await said(o, "id -G");
    EQUAL(more, "65533 4242\n");
    EQUAL(::geteuid(), 0u);
  });
}

/// A program in the middle starts a child by this library, and then ends without a word to it.
TEST_P(IO_PROC_BOUNDS, IO_PROC_13_TheChildDiesWithItsParent) {
  int tell[2];
  HOLDS(::pipe(tell) == 0);
  const pid_t middle = ::fork();
  if (middle == 0) {
    h::options o;
    o.loops = 1;
    h::run(
        [](int to) -> h::task<> {
          h::process_options dies;
          dies.parent_death_signal = SIGKILL;
          auto p = co_await start(dies, words("sleep", "1000"));
          const pid_t pid = p.pid();
          const auto n = ::write(to, &pid, sizeof pid);
          (void)n;
          ::_exit(0);
        }(tell[1]),
        o);
  }
  ::close(tell[1]);
  pid_t pid = 0;
  HOLDS(::read(tell[0], &pid, sizeof pid) == static_cast<ssize_t>(sizeof pid));
  ::close(tell[0]);
  (void)::waitpid(middle, nullptr, 0);
  for (int i = 0; i < 10'000 && !is_over(pid); ++i) ::usleep(1000);
  HOLDS(pid > 0 && is_over(pid));
  if (!is_over(pid)) ::kill(pid, SIGKILL);
}

/// Handlers, masks and ignored signals of this program.
TEST_P(IO_PROC_BOUNDS, IO_PROC_13_SignalsAreAsAProgramExpectsThem) {
  const auto was = std::signal(SIGUSR1, [](int) {});
  const auto was_ignored = std::signal(SIGUSR2, SIG_IGN);
  run([]() -> h::task<> {
    const std::string masks =
        co_await said(plain(), "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status");
    const auto word = [&masks](const char* name) {
      return std::stoull(masks.substr(masks.find(name) + 8), nullptr, 16);
    };
    EQUAL(word("SigBlk:"), 0u);
    EQUAL(word("SigCgt:") & (1ull << (SIGUSR1 - 1)), 0u);
    HOLDS((word("SigIgn:") & (1ull << (SIGUSR2 - 1))) != 0);
    EQUAL(word("SigIgn:") & (1ull << (SIGPIPE - 1)), 0u);
  });
  std::signal(SIGUSR1, was);
  std::signal(SIGUSR2, was_ignored);
}

/// Signals come all the time while children start: no handler runs in a child, and none is lost.
TEST_P(IO_PROC_BOUNDS, IO_PROC_13_StartingUnderAStormOfSignals) {
  static std::atomic<int> strangers;
  static std::atomic<pid_t> self;
  strangers = 0;
  self = ::getpid();
  const auto was = std::signal(SIGUSR1, [](int) {
    if (::getpid() != self.load()) ++strangers;  // the memory is shared, so it would show here
  });
  std::atomic<bool> stop{false};
  std::thread storm([&stop] {
    while (!stop) {
      ::kill(::getpid(), SIGUSR1);
      std::this_thread::yield();
    }
  });
  run([]() -> h::task<> {
    for (int i = 0; i < rounds(20); ++i) {
      const std::string text = co_await said(plain(), "echo whole");
      EQUAL(text, "whole\n");
    }
  });
  stop = true;
  storm.join();
  std::signal(SIGUSR1, was);
  EQUAL(strangers.load(), 0);
}

}  // namespace
