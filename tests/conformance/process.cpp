// SPDX-License-Identifier: MIT
#include "io_cases.h"

#include <heddle/io/process.h>

#include <sys/wait.h>

namespace {

using namespace conformance;

CASES(PROC);

h::process_options piped(bool in, bool out, bool error = false) {
  h::process_options o;
  if (in) o.stdin = h::stdio::pipe;
  if (out) o.stdout = h::stdio::pipe;
  if (error) o.stderr = h::stdio::pipe;
  return o;
}

h::task<h::process> start(h::process_options o, std::vector<std::string> command) {
  return h::create_subprocess_exec(std::move(command), std::move(o));
}
h::task<int> exit_of(h::process& p) { return p.wait(); }

/// Bytes of which no two places look alike.
std::string pattern(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>((i * 2654435761u) >> 13);
  return s;
}

TEST_P(PROC, PROC_01_CatGivesBackWhatItGets) {
  run([]() -> h::task<> {
    auto p = co_await start(piped(true, true), words("cat"));
    HOLDS(p.pid() > 0);
    p.stdin.write("some data");
    p.stdin.close();
    const std::string got = co_await p.stdout.read();
    EQUAL(got, "some data");
    const int code = co_await p.wait();
    EQUAL(code, 0);
    EQUAL(p.returncode(), std::optional<int>(0));
  });
}

TEST_P(PROC, PROC_02_CommunicateFeedsReadsAndWaits) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    auto p = co_await start(piped(true, true), words("cat"));
    const auto all = co_await p.communicate("some data");
    EQUAL(all.stdout, std::optional<std::string>("some data"));
    HOLDS(!all.stderr.has_value());
    EQUAL(p.returncode(), std::optional<int>(0));
    HOLDS(p.stdin.is_closing());
    auto none = co_await start(piped(true, true), words("cat"));
    const auto nothing = co_await none.communicate();
    EQUAL(nothing.stdout, std::optional<std::string>(""));
    HOLDS(none.stdin.is_closing());
    auto empty = co_await start(piped(true, true, true), words("cat"));
    const auto still_nothing = co_await empty.communicate("");
    EQUAL(still_nothing.stdout, std::optional<std::string>(""));
    EQUAL(still_nothing.stderr, std::optional<std::string>(""));
    HOLDS(empty.stdin.is_closing());
    auto unpiped = co_await start(piped(false, false), words("true"));
    const auto unread = co_await unpiped.communicate("ignored");
    HOLDS(!unread.stdout.has_value());
    HOLDS(!unread.stderr.has_value());
    HOLDS(!unpiped.stdin.valid());
  });
  EQUAL(open_descriptors(), before);
}

TEST_P(PROC, PROC_03_AShellANewSessionAnEnvironmentAndADirectory) {
  run([]() -> h::task<> {
    auto seven = co_await h::create_subprocess_shell("exit 7");
    const int code = co_await seven.wait();
    EQUAL(code, 7);
    auto o = piped(false, true);
    o.new_session = true;
    auto leader = co_await start(
        o, words("sh", "-c", "ps -o sid= -p $$ 2>/dev/null || cut -d' ' -f6 /proc/$$/stat"));
    const auto sid = co_await leader.communicate();
    EQUAL(std::stoi(*sid.stdout), leader.pid());
    auto e = piped(false, true);
    e.env.emplace();
    e.env->emplace_back("HEDDLE_CASE", "seen");
    e.env->emplace_back("PATH", "/usr/bin:/bin");
    auto with = co_await h::create_subprocess_shell("echo $HEDDLE_CASE$HOME", e);
    const auto text = co_await with.communicate();
    EQUAL(text.stdout, std::optional<std::string>("seen\n"));
    auto d = piped(false, true);
    d.cwd = "/";
    auto there = co_await start(d, words("pwd"));
    const auto where = co_await there.communicate();
    EQUAL(where.stdout, std::optional<std::string>("/\n"));
  });
}

TEST_P(PROC, PROC_04_ASignalEndsABlockedChild) {
  run([]() -> h::task<> {
    auto a = co_await h::create_subprocess_exec("sleep", "1000");
    a.kill();
    const int killed = co_await a.wait();
    EQUAL(killed, -9);
    auto b = co_await h::create_subprocess_exec("sleep", "1000");
    b.terminate();
    const int terminated = co_await b.wait();
    EQUAL(terminated, -15);
    auto c = co_await h::create_subprocess_exec("sleep", "1000");
    c.send_signal(SIGHUP);
    const int hung_up = co_await c.wait();
    EQUAL(hung_up, -1);
    EQUAL(c.returncode(), std::optional<int>(-1));
  });
}

TEST_P(PROC, PROC_05_AllWhoWaitGetTheSameCode) {
  run([]() -> h::task<> {
    auto p = co_await start(piped(true, false), words("sh", "-c", "read x; exit 5"));
    HOLDS(!p.returncode().has_value());
    std::vector<h::task_handle<int>> waiting;
    for (int i = 0; i < 10; ++i) waiting.push_back(h::create_task(exit_of, std::ref(p)));
    for (auto& w : waiting) co_await until_waiting(w);
    // One who gives up changes nothing for the others.
    auto impatient = h::create_task(exit_of, std::ref(p));
    co_await until_waiting(impatient);
    impatient.cancel();
    const auto how = co_await ending(impatient);
    EQUAL(how, "Cancelled");
    p.stdin.write("go\n");
    for (auto& w : waiting) {
      const int code = co_await w;
      EQUAL(code, 5);
    }
    const int again = co_await p.wait();
    EQUAL(again, 5);
    EQUAL(p.returncode(), std::optional<int>(5));
  });
}

TEST_P(PROC, PROC_08_AChildThatDoesNotReadBreaksThePipe) {
  run([]() -> h::task<> {
    const std::string much(1'000'000, 'm');
    auto p = co_await start(piped(true, false), words("true"));
    p.stdin.write(much);
    const auto error = co_await error_of(drain(p.stdin));
    HOLDS(is_broken(error));
    const int code = co_await p.wait();
    EQUAL(code, 0);
    auto q = co_await start(piped(true, true), words("sh", "-c", "echo done"));
    const auto all = co_await q.communicate(much);
    EQUAL(all.stdout, std::optional<std::string>("done\n"));
    EQUAL(q.returncode(), std::optional<int>(0));
  });
}

TEST_P(PROC, PROC_09_MuchOutputPassesASmallLimit) {
  run([]() -> h::task<> {
    auto o = piped(true, true);
    o.limit = 10;
    auto p = co_await start(o, words("cat"));
    const std::string much = pattern(1'000'000);
    const auto all = co_await p.communicate(much);
    HOLDS(all.stdout == much);
    EQUAL(p.returncode(), std::optional<int>(0));
    // Read slowly: the child is stopped by the full pipe, and goes on.
    auto q = co_await start(o, words("sh", "-c", "head -c 1000000 /dev/zero"));
    EQUAL(q.stdout.limit(), 10u);
    std::size_t n = 0;
    for (;;) {
      const std::string some = co_await q.stdout.read(7777);
      if (some.empty()) break;
      n += some.size();
      if (n < 20'000) HOLDS(!q.returncode().has_value());
    }
    EQUAL(n, 1'000'000u);
    const int code = co_await q.wait();
    EQUAL(code, 0);
  });
}

TEST_P(PROC, PROC_10_OutputOutlivesTheChild) {
  run([]() -> h::task<> {
    auto p = co_await start(piped(false, true), words("sh", "-c", "echo first; echo last"));
    const int code = co_await p.wait();
    EQUAL(code, 0);
    co_await h::sleep(100ms);  // whatever goes with the child has gone
    const std::string all = co_await p.stdout.read();
    EQUAL(all, "first\nlast\n");
    HOLDS(p.stdout.at_eof());
  });
}

TEST_P(PROC, PROC_11_NoPipeEndIsInheritedByAnotherChild) {
  run([]() -> h::task<> {
    auto a = h::create_task(start, piped(true, true), words("cat"));
    auto b = h::create_task(start, piped(true, true), words("cat"));
    h::process one = co_await std::move(a);
    h::process two = co_await std::move(b);
    one.stdin.close();
    const int code = co_await one.wait();
    EQUAL(code, 0);
    const std::string rest = co_await one.stdout.read();
    EQUAL(rest, "");
    HOLDS(!two.returncode().has_value());
    two.stdin.write("alive\n");
    const std::string line = co_await two.stdout.read_line();
    EQUAL(line, "alive\n");
    two.stdin.close();
    const int other = co_await two.wait();
    EQUAL(other, 0);
  });
}

TEST_P(PROC, PROC_12_ASignalAfterTheEndFindsNobody) {
  run([]() -> h::task<> {
    auto p = co_await h::create_subprocess_exec("true");
    const int code = co_await p.wait();
    EQUAL(code, 0);
    THROWS(h::no_such_process, p.kill());
    THROWS(h::no_such_process, p.terminate());
    THROWS(h::no_such_process, p.send_signal(SIGHUP));
    EQUAL(p.returncode(), std::optional<int>(0));
    // A signal that races the end: one of the two codes, and nothing else.
    for (int i = 0; i < rounds(20); ++i) {
      auto q = co_await h::create_subprocess_exec("sh", "-c", "exit 3");
      for (int k = 0; k < i; ++k) co_await h::yield_now();
      try {
        q.kill();
      } catch (const h::no_such_process&) { EQUAL(q.returncode(), std::optional<int>(3)); }
      const int either = co_await q.wait();
      HOLDS(either == 3 || either == -9);
    }
  });
}

TEST_P(PROC, PROC_13_AFailedStartLeavesNothingBehind) {
  run([]() -> h::task<> {
    {
      auto warm = co_await start(piped(true, true), words("true"));
      (void)co_await warm.wait();
    }
    const auto before = open_descriptors();
    const auto error =
        co_await error_of(start(piped(true, false), words("heddle-no-such-program")));
    EQUAL(code_of(error), ENOENT);
    HOLDS(h::describe(error).find("heddle-no-such-program") != std::string::npos);
    EQUAL(code_of(co_await error_of(start(piped(true, true, true), words("/etc/passwd")))), EACCES);
    auto nowhere = piped(true, true);
    nowhere.cwd = "/no/such/directory";
    EQUAL(code_of(co_await error_of(start(nowhere, words("true")))), ENOENT);
    const auto empty = co_await error_of(start(piped(true, false), {}));
    EQUAL(name_of(empty), "BadValue");
    HOLDS(open_descriptors() <= before);  // what warmed up may still be closing
    int status = 0;
    HOLDS(::waitpid(-1, &status, WNOHANG) == -1);  // and no child
  });
}

TEST_P(PROC, PROC_15_StreamsCanBeSentElsewhere) {
  run([]() -> h::task<> {
    h::process_options null;
    null.stdin = h::stdio::null;
    null.stdout = h::stdio::null;
    null.stderr = h::stdio::null;
    auto p = co_await start(null, words("sh", "-c", "cat; echo out; echo err >&2; exit 4"));
    const auto none = co_await p.communicate();
    HOLDS(!none.stdout.has_value());
    HOLDS(!none.stderr.has_value());
    EQUAL(p.returncode(), std::optional<int>(4));
    auto merged = piped(false, true);
    merged.stderr = h::stdio::to_stdout;
    auto q = co_await start(merged, words("sh", "-c", "echo out; echo err >&2"));
    const auto both = co_await q.communicate();
    EQUAL(both.stdout, std::optional<std::string>("out\nerr\n"));
    HOLDS(!both.stderr.has_value());
    // And to a descriptor of ours.
    const auto path = fresh_path("out");
    FILE* file = std::fopen(path.c_str(), "w+e");
    h::process_options own;
    own.stdout = h::stdio::fd(::fileno(file));
    auto r = co_await start(own, words("echo", "to a file"));
    const int code = co_await r.wait();
    EQUAL(code, 0);
    char text[32] = {};
    std::rewind(file);
    HOLDS(std::fgets(text, sizeof text, file) != nullptr);
    EQUAL(std::string(text), "to a file\n");
    std::fclose(file);
    std::filesystem::remove(path);
  });
}

bool exists(pid_t pid) { return ::kill(pid, 0) == 0; }

TEST_P(PROC, PROC_16_ADroppedProcessIsKilledAndReaped) {
  const auto before = open_descriptors();
  pid_t left = 0;
  run(
      [](pid_t& last) -> h::task<> {
        pid_t pid = 0;
        {
          auto p = co_await start(piped(true, true), words("sleep", "1000"));
          pid = p.pid();
          HOLDS(exists(pid));
        }
        co_await until([pid] { return !exists(pid); });
        auto q = co_await h::create_subprocess_exec("sleep", "1000");
        q.close();
        q.close();
        const int code = co_await q.wait();
        EQUAL(code, -9);
        // One that has ended is not killed: it keeps its code.
        auto r = co_await start(piped(false, true), words("sh", "-c", "echo x; exit 6"));
        (void)co_await r.stdout.read();
        siginfo_t info{};
        HOLDS(::waitid(P_PID, static_cast<id_t>(r.pid()), &info, WEXITED | WNOWAIT) == 0 ||
              r.returncode());
        r.close();
        const int own = co_await r.wait();
        EQUAL(own, 6);
        // Dropped by the end of the runtime.
        auto s = co_await h::create_subprocess_exec("sleep", "1000");
        last = s.pid();
      },
      std::ref(left));
  HOLDS(!exists(left));
  EQUAL(open_descriptors(), before);
}

TEST_P(PROC, PROC_16_AProcessOutlivesItsRuntime) {
  std::optional<h::process> kept;
  run(
      [](std::optional<h::process>& kept) -> h::task<> {
        auto p = co_await start(piped(true, true), words("sleep", "1000"));
        kept.emplace(std::move(p));
      },
      std::ref(kept));
  const pid_t pid = kept->pid();
  HOLDS(exists(pid));
  HOLDS(!kept->returncode().has_value());
  kept.reset();
  HOLDS(!exists(pid));
}

TEST_P(PROC, PROC_17_NoChildTakesAnothersStatus) {
  run([]() -> h::task<> {
    auto one = [](int i) -> h::task<std::pair<std::string, int>> {
      h::process_options o;
      o.stdin = h::stdio::pipe;
      o.stdout = h::stdio::pipe;
      auto p = co_await h::create_subprocess_exec(o, "sh", "-c", "cat; exit " + std::to_string(i));
      const auto all = co_await p.communicate("child " + std::to_string(i));
      co_return std::pair<std::string, int>(*all.stdout, *p.returncode());
    };
    std::vector<h::task_handle<std::pair<std::string, int>>> ten;
    for (int i = 1; i <= 10; ++i) ten.push_back(h::create_task(one, i));
    for (int i = 1; i <= 10; ++i) {
      const auto got = co_await ten[static_cast<std::size_t>(i - 1)];
      EQUAL(got.first, "child " + std::to_string(i));
      EQUAL(got.second, i);
    }
  });
  EQUAL(report_count(), 0u);
}

TEST_P(PROC, PROC_17_AChildThatForeignCodeReapedEndsWithAWarning) {
  run(
      [](std::function<std::size_t()> reported) -> h::task<> {
        for (const bool plain : {false, true}) {
          h::detail::plant_fault_no_pidfd(plain);
          auto other = co_await h::create_subprocess_exec("sleep", "1000");
          // As SIG_IGN makes the kernel do it: the status is gone before anybody can look.
          const auto was = std::signal(SIGCHLD, SIG_IGN);
          auto p = co_await h::create_subprocess_exec("sh", "-c", "exit 9");
          const int code = co_await p.wait();
          std::signal(SIGCHLD, was);
          EQUAL(code, 255);
          EQUAL(p.returncode(), std::optional<int>(255));
          THROWS(h::no_such_process, p.kill());
          const std::size_t told = plain ? 2 : 1;
          co_await until([&] { return reported() >= told; });
          HOLDS(!other.returncode().has_value());
          other.kill();
          const int own = co_await other.wait();
          EQUAL(own, -9);
        }
        h::detail::plant_fault_no_pidfd(false);
      },
      std::function<std::size_t()>([this] { return report_count(); }));
  h::detail::plant_fault_no_pidfd(false);
  EQUAL(report_count(), 2u);
  for (const auto& r : reports())
    HOLDS(r.message.find("reaped by other code") != std::string::npos);
}

TEST_P(PROC, PROC_17_WithoutPidfdsAllIsTheSame) {
  h::detail::plant_fault_no_pidfd(true);
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    std::vector<h::process> all;
    for (int i = 0; i < 5; ++i)
      all.push_back(co_await h::create_subprocess_shell("exit " + std::to_string(i)));
    for (int i = 0; i < 5; ++i) {
      const int code = co_await all[static_cast<std::size_t>(i)].wait();
      EQUAL(code, i);
    }
    auto p = co_await h::create_subprocess_exec("sleep", "1000");
    p.terminate();
    const int code = co_await p.wait();
    EQUAL(code, -15);
    auto q = co_await h::create_subprocess_exec("sleep", "1000");
    q.close();
    const int killed = co_await q.wait();
    EQUAL(killed, -9);
  });
  h::detail::plant_fault_no_pidfd(false);
  // The kernel closes a child's descriptors some time after it said that the child ended.
  for (int i = 0; i < 1000 && open_descriptors() > before; ++i) ::usleep(1000);
  EQUAL(open_descriptors(), before);
}

}  // namespace
