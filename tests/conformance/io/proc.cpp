// SPDX-License-Identifier: MIT
// Processes: descriptors, groups, limits of time, further pipes, and detached children.
#include "proc_cases.h"

#include <heddle/io/pipe.h>

#include <fcntl.h>
#include <sys/wait.h>

namespace {

using namespace conformance;

REACTOR_CASES(IO_PROC);

/// A temporary file whose descriptor has the wanted number.
class numbered_file {
 public:
  explicit numbered_file(int number, const std::string& text) : number_(number) {
    FILE* file = std::tmpfile();
    std::fputs(text.c_str(), file);
    std::rewind(file);
    std::fflush(file);
    (void)::lseek(::fileno(file), 0, SEEK_SET);
    (void)::dup3(::fileno(file), number, O_CLOEXEC);
    std::fclose(file);
  }
  numbered_file(const numbered_file&) = delete;
  ~numbered_file() { ::close(number_); }

 private:
  const int number_;
};

const char* const list_descriptors =
    "for f in /proc/self/fd/*; do n=${f##*/}; [ -e /proc/$$/fd/$n ] && printf '%s ' $n; done";

TEST_P(IO_PROC, IO_PROC_01_ListedDescriptorsKeepTheirNumbersAndAllOthersAreClosed) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    const numbered_file kept(200, "two hundred"), moved(201, "two hundred and one");
    h::process_options o;
    o.inherit = {h::inherited_descriptor(200), h::inherited_descriptor(201, 9)};
    const std::string open = co_await said(o, list_descriptors);
    EQUAL(open, "0 1 2 200 9 ");
    const std::string text = co_await said(o, "cat <&9; cat /proc/self/fd/200");
    EQUAL(text, "two hundred and onetwo hundred");
    // They are still ours, and closed on exec.
    EQUAL(::fcntl(200, F_GETFD), FD_CLOEXEC);
    EQUAL(::fcntl(201, F_GETFD), FD_CLOEXEC);
    const std::string none = co_await said(plain(), list_descriptors);
    EQUAL(none, "0 1 2 ");
  });
  HOLDS(open_descriptors() <= before);
}

/// The pipes of the child get, in this process, the lowest free numbers: those that it shall have.
TEST_P(IO_PROC, IO_PROC_01_NumbersThatClashWithThePipesOwn) {
  run([]() -> h::task<> {
    const int lowest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(lowest);
    const numbered_file one(220, "first"), other(221, "second");
    auto o = piped(true, true, true);
    for (int i = 0; i < 8; ++i) {  // 220 under the number that the first pipe will get, and so on
      o.inherit.emplace_back(220 + i % 2, lowest + i);
      if (lowest + i < 3) o.inherit.pop_back();
    }
    o.inherit.emplace_back(220);
    o.inherit.emplace_back(221, 219);
    auto p = co_await shell(o, "cat; cat /proc/self/fd/219 >&2");
    const auto all = co_await p.communicate("by the pipe");
    EQUAL(all.stdout, std::optional<std::string>("by the pipe"));
    EQUAL(all.stderr, std::optional<std::string>("second"));
    // Two that change places.
    h::process_options swapped;
    swapped.inherit = {h::inherited_descriptor(220, 221), h::inherited_descriptor(221, 220)};
    (void)::lseek(220, 0, SEEK_SET);
    (void)::lseek(221, 0, SEEK_SET);
    const std::string text = co_await said(swapped, "cat /proc/self/fd/220 /proc/self/fd/221");
    EQUAL(text, "secondfirst");
  });
}

TEST_P(IO_PROC, IO_PROC_01_WrongNumbersStartNothing) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    h::process_options twice, standard, not_open;
    twice.inherit = {h::inherited_descriptor(0, 7), h::inherited_descriptor(1, 7)};
    standard.inherit = {h::inherited_descriptor(0, 2)};
    not_open.inherit = {h::inherited_descriptor(987)};
    EQUAL(name_of(co_await error_of(start(twice, words("true")))), "BadValue");
    EQUAL(name_of(co_await error_of(start(standard, words("true")))), "BadValue");
    EQUAL(code_of(co_await error_of(start(not_open, words("true")))), EBADF);
    HOLDS(no_child_left());
  });
  HOLDS(open_descriptors() <= before);
}

/// A child that leads a group, and a grandchild. Yields the grandchild's pid.
h::task<pid_t> start_family(h::process& p, bool leader_stays) {
  auto o = piped(false, true);
  o.process_group = 0;
  auto started = shell(o, leader_stays ? "sleep 1000 & echo $!; wait" : "sleep 1000 & echo $!");
  p = co_await std::move(started);
  auto line = p.stdout.read_line();
  const std::string number = co_await std::move(line);
  co_return std::stoi(number);
}

TEST_P(IO_PROC, IO_PROC_04_ASignalToTheGroupReachesGrandchildren) {
  run([]() -> h::task<> {
    h::process p;
    const pid_t grandchild = co_await start_family(p, true);
    EQUAL(::getpgid(p.pid()), p.pid());
    EQUAL(::getpgid(grandchild), p.pid());
    p.signal_group(SIGTERM);
    const int code = co_await p.wait();
    EQUAL(code, -SIGTERM);
    co_await until([grandchild] { return is_over(grandchild); });
    // A second child in the group of the first.
    auto first = co_await start_family(p, true);
    h::process_options joins;
    joins.process_group = p.pid();
    auto member = co_await start(joins, words("sleep", "1000"));
    EQUAL(::getpgid(member.pid()), p.pid());
    member.signal_group(SIGKILL);
    const int one = co_await p.wait();
    EQUAL(one, -SIGKILL);
    const int other = co_await member.wait();
    EQUAL(other, -SIGKILL);
    co_await until([first] { return is_over(first); });
  });
}

TEST_P(IO_PROC, IO_PROC_04_TheGroupOutlivesItsLeader) {
  run([]() -> h::task<> {
    h::process p;
    const pid_t grandchild = co_await start_family(p, false);
    const int code = co_await p.wait();
    EQUAL(code, 0);
    HOLDS(!is_over(grandchild));
    try {
      p.signal_group(SIGKILL);
    } catch (const h::no_such_process&) { ::kill(grandchild, SIGKILL); }  // a kernel before 6.9
    co_await until([grandchild] { return is_over(grandchild); });
    // A group whose only member has been reaped.
    h::process_options alone;
    alone.process_group = 0;
    auto last = co_await start(alone, words("true"));
    (void)co_await last.wait();
    THROWS(h::no_such_process, last.signal_group(SIGKILL));
    auto ours = co_await start(plain(), words("sleep", "1000"));
    THROWS(h::usage_error, ours.signal_group(SIGTERM));
    h::process_options both, nobody;
    both.process_group = 0;
    both.new_session = true;
    EQUAL(name_of(co_await error_of(start(both, words("true")))), "BadValue");
    nobody.process_group = 4'000'000;
    HOLDS(code_of(co_await error_of(start(nobody, words("true")))) > 0);
  });
}

TEST_P(IO_PROC, IO_PROC_04_WithoutPidfdsNoSignalGoesToAGroupWhoseLeaderHasEnded) {
  h::detail::plant_fault_no_pidfd(true);
  run([]() -> h::task<> {
    h::process p;
    pid_t grandchild = co_await start_family(p, true);
    p.signal_group(SIGKILL);
    const int code = co_await p.wait();
    EQUAL(code, -SIGKILL);
    co_await until([&grandchild] { return is_over(grandchild); });
    grandchild = co_await start_family(p, false);
    const int own = co_await p.wait();
    EQUAL(own, 0);
    THROWS(h::no_such_process, p.signal_group(SIGKILL));
    HOLDS(!is_over(grandchild));
    ::kill(grandchild, SIGKILL);
    auto left = co_await start(plain(), words("sleep", "1000"));
    left.detach();
    const pid_t pid = left.pid();
    left = h::process();
    ::kill(pid, SIGKILL);
    co_await until([pid] { return !exists(pid); });
  });
  h::detail::plant_fault_no_pidfd(false);
}

TEST_P(IO_PROC, IO_PROC_05_CommunicateReturnsAtItsLimitAlthoughAGrandchildKeepsThePipe) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    auto o = piped(true, true, true);
    o.process_group = 0;
    auto p = co_await shell(o, "echo early; echo error >&2; sleep 1000 & echo $! ; exit 3");
    const int code = co_await p.wait();
    EQUAL(code, 3);
    const auto begun = h::clock::now();
    const auto part = co_await p.communicate("unread", 100ms);
    HOLDS(part.timed_out);
    HOLDS(h::clock::now() - begun >= 100ms);
    HOLDS(part.stdout->starts_with("early\n"));
    EQUAL(part.stderr, std::optional<std::string>("error\n"));
    const pid_t grandchild = std::stoi(part.stdout->substr(6));
    HOLDS(!is_over(grandchild));
    ::kill(grandchild, SIGKILL);
    const auto rest = co_await p.communicate("", 10s);
    HOLDS(!rest.timed_out);
    EQUAL(rest.stdout, std::optional<std::string>(""));
  });
  HOLDS(open_descriptors() <= before);
}

TEST_P(IO_PROC, IO_PROC_05_ALaterCommunicateGoesOnWhereTheLimitStopped) {
  run([]() -> h::task<> {
    // The child answers the first line at once, the second only after its input has ended.
    auto p = co_await shell(piped(true, true), "read a; echo got $a; cat");
    const auto first = co_await p.communicate("one\ntwo\n", 50ms);
    if (first.timed_out) {
      HOLDS(!p.returncode().has_value());
      const auto second = co_await p.communicate("three\n", 10s);
      HOLDS(!second.timed_out);
      // Where the limit came behind the first input, stdin had ended: nobody takes the second.
      const std::string all = *first.stdout + *second.stdout;
      if (all != "got one\ntwo\n") EQUAL(all, "got one\ntwo\nthree\n");
    } else {
      EQUAL(*first.stdout, "got one\ntwo\n");  // all was over before the limit
    }
    auto quick = co_await shell(piped(true, true), "cat; exit 2");
    const auto whole = co_await quick.communicate("all", 20s);
    HOLDS(!whole.timed_out);
    EQUAL(whole.stdout, std::optional<std::string>("all"));
    EQUAL(quick.returncode(), std::optional<int>(2));
    auto silent = co_await start(piped(true, true), words("sleep", "1000"));
    const auto none = co_await silent.communicate("", 1ms);
    HOLDS(none.timed_out);
    EQUAL(none.stdout, std::optional<std::string>(""));
    HOLDS(!silent.returncode().has_value());
  });
}

TEST_P(IO_PROC, IO_PROC_08_WaitReturnsAtTheExitAlthoughOthersHoldThePipes) {
  run([]() -> h::task<> {
    auto p = co_await shell(piped(true, true),
                            "exec 3<&0; (read x <&3; echo late $x) & echo $!; exit 4");
    const std::string number = co_await p.stdout.read_line();
    const int code = co_await p.wait();
    EQUAL(code, 4);
    p.stdin.write("word\n");
    const std::string late = co_await p.stdout.read_line();
    EQUAL(late, "late word\n");
    const std::string rest = co_await p.stdout.read();
    EQUAL(rest, "");
  });
}

TEST_P(IO_PROC, IO_PROC_09_FurtherPipesInBothDirections) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    h::process_options o;
    o.stdout = h::stdio::pipe;
    o.pipes = {h::child_pipe{3, h::child_pipe::to_child},
               h::child_pipe{4, h::child_pipe::from_child},
               h::child_pipe{7, h::child_pipe::both_ways}};
    auto p = co_await shell(o, "cat <&3 >&4");
    p.input(3).write("by three");
    p.input(3).close();
    const std::string four = co_await p.output(4).read();
    EQUAL(four, "by three");
    auto q = co_await shell(o, "read a <&7; echo \"$a back\" >&7; echo end");
    q.input(7).write("there\n");
    const std::string back = co_await q.output(7).read_line();
    EQUAL(back, "there back\n");
    const std::string end = co_await q.stdout.read();
    EQUAL(end, "end\n");
    const std::string last = co_await q.output(7).read();
    EQUAL(last, "");
    THROWS(h::bad_value, (void)q.input(4));
    THROWS(h::bad_value, (void)q.output(3));
    THROWS(h::bad_value, (void)q.output(5));
    // Their ends are those of a pipe: a child that has gone is EPIPE.
    const int code = co_await q.wait();
    EQUAL(code, 0);
    q.input(3).write(std::string(1'000'000, 'x'));
    HOLDS(is_broken(co_await error_of(drain(q.input(3)))));
  });
  HOLDS(open_descriptors() <= before);
}

TEST_P(IO_PROC, IO_PROC_12_ADetachedChildRunsOnAndIsNoZombie) {
  std::vector<pid_t> of_runtimes;  // one a reactor
  run(
      [](std::vector<pid_t>& outliving) -> h::task<> {
        pid_t pid = 0;
        {
          auto p = co_await start(piped(true, false), words("sleep", "1000"));
          p.detach();
          pid = p.pid();
        }
        HOLDS(!is_over(pid));
        ::kill(pid, SIGKILL);
        co_await until([pid] { return !exists(pid); });
        h::process_options o;
        o.new_session = true;
        auto q = co_await start(o, words("sleep", "1000"));
        outliving.push_back(q.pid());
        q.detach();
        // It can still be waited for.
        auto r = co_await start(plain(), words("true"));
        r.detach();
        const int code = co_await r.wait();
        EQUAL(code, 0);
      },
      std::ref(of_runtimes));
  // They outlive their runtimes, too. A thread waits for each.
  for (const pid_t pid : of_runtimes) {
    HOLDS(!is_over(pid));
    ::kill(pid, SIGKILL);
    for (int i = 0; i < 10'000 && exists(pid); ++i) ::usleep(1000);
    HOLDS(!exists(pid));
  }
}

}  // namespace
