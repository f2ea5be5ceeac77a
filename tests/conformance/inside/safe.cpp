// SPDX-License-Identifier: MIT
// Looking is safe: for the program that is looked at, and for the one that looks.
#include "looking.h"

#include <heddle/core/seeing/report.h>

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

namespace {

using namespace conformance;
namespace seeing = h::detail::seeing;

LOOKING_CASES(IN_SAFE);

/// "innermost:50<churns:55".
std::string chain_of(const seeing::task_view& t, seeing::symbols& names) {
  std::string chain;
  for (std::size_t i = 0; i < t.runs; ++i) {
    const char* name = names.function(t.frames[i].resume);
    const char* last = std::strrchr(name, ':');
    chain += (chain.empty() ? "" : "<") + std::string(last ? last + 1 : name);
    const auto* p = names.place(t.frames[i]);
    chain += ":" + std::to_string(p ? p->line : 0);
  }
  return chain;
}
/// The line of the outermost frame of a chain.
int last_line_of(const std::string& chain) { return std::stoi(chain.substr(chain.rfind(':') + 1)); }

/// The chains that a task of the program "churn" can have: three, whose outermost frame waits in
/// three lines one after the other.
void check_churning_chains(const std::map<std::string, int>& seen) {
  std::set<std::string> shapes;
  std::set<int> first_lines;
  for (const auto& [chain, count] : seen) {
    SCOPED_TRACE(chain);
    std::string functions;
    for (const char c : chain)
      if (c != ':' && (c < '0' || c > '9')) functions += c;
    const std::map<std::string, int> known{
        {"innermost<between<churns", 0}, {"innermost<churns", 1}, {"churns", 2}};
    const auto which = known.find(functions);
    HOLDS(which != known.end());
    if (which == known.end()) continue;
    HOLDS(shapes.insert(functions).second);  // each with one set of lines
    first_lines.insert(last_line_of(chain) - which->second);
  }
  EQUAL(first_lines.size(), 1u);
}

TEST_P(IN_SAFE, IN_SAFE_01_OfChurningTasksNoChainIsToldThatCannotBe) {
  const watched w("churn", loops(), 100);
  const auto s = std::make_unique<seeing::sight>(w.process());
  EQUAL(static_cast<int>(s->open()), static_cast<int>(seeing::opening::good));
  struct context {
    seeing::sight& from;
    std::map<std::string, int> chains = {};
  } c{*s};
  const auto look = [&] {
    return s->tasks().each(
        [](void* to, const seeing::task_view& t) {
          auto& here = *static_cast<context*>(to);
          if (t.what == seeing::doing::waits && std::string_view(t.name) == "churner")
            ++here.chains[chain_of(t, here.from.names())];
          return true;
        },
        &c);
  };
  HOLDS(soon([&] { return look() && !c.chains.empty(); }));  // it has only just begun
  // A look at each of 100 tasks. By night it is 10^6 tasks in all, at each number of loops.
  const char* more = std::getenv("HEDDLE_INSIDE_LOOKS");
  const int looks = more ? std::atoi(more) / 100 : sanitized ? 50 : 1000;
  for (int i = 0; i < looks; ++i) HOLDS(look());
  HOLDS(!c.chains.empty());
  check_churning_chains(c.chains);
}

TEST_P(IN_SAFE, IN_SAFE_03_WhoMayNotReadIsToldWhyAndWhatHelps) {
  const watched w("chat", loops());
  // Root looks as another user; any other user looks at a process of root's.
  const auto copy = copy_of_tool();
  const bool is_root = ::geteuid() == 0;
  const auto number = is_root ? w.number() : std::string("1");
  const auto said =
      is_root ? run_program({"setpriv", "--reuid=65534", "--clear-groups", copy, "ps", number})
              : run_program({copy, "ps", number});
  ::unlink(copy.c_str());
  EQUAL(said.status, 3);
  HOLDS(has_line(said.err, {"process " + number + " may not be read"}));
  HOLDS(has_line(said.err, {"another user", "as root"}));
}

TEST_P(IN_SAFE, IN_SAFE_04_AProgramWhoseFileIsGoneIsReadWithItsNames) {
  const watched w("chat", loops(), 0, watched::build::deleted);
  const auto seen = tool_until({"ps", w.number()}, [](const ran& r) {
    return lines_with(r.out, {">", " mutex, held by ", "copy_line"}).size() == 2;
  });
  EQUAL(seen.status, 0);
}

TEST_P(IN_SAFE, IN_SAFE_05_AProgramDumpsItselfWhileItsLoopsAreHogged) {
  const watched w("hogged", loops(), static_cast<int>(loops()), watched::build::plain,
                  {"HEDDLE_DUMP=QUIT"});
  tool_until({"ps", w.number()}, [&](const ran& r) {
    return lines_with(r.out, {"hog-", "running on loop"}).size() == loops();
  });
  EQUAL(::kill(w.process(), SIGQUIT), 0);
  HOLDS(soon([&] { return w.errors().find(" tasks\n") != std::string::npos; }));
  const auto text = w.errors();
  EQUAL(lines_with(text, {"hog-", "running on loop"}).size(), loops());
  HOLDS(has_line(text, {"waiter", "event", "cleans_up"}));
  EQUAL(tool({"ps", w.number()}).status, 0);  // it has gone on
}

/// A line of the table without its column SINCE, which differs from look to look.
std::string without_age(const std::string& line) {
  constexpr std::size_t since_column = 62, place_column = 74;
  EQUAL(line[since_column - 1], ' ');
  EQUAL(line[place_column - 1], ' ');
  return line.substr(0, since_column) + line.substr(place_column);
}

TEST_P(IN_SAFE, IN_SAFE_05_DumpWritesTheTextOfTheTool) {
  const watched w("dumps", loops());
  const std::vector<std::string> parts{"waiter", "event"};
  // It dumps again and again. Once the line stands there twice, the first one is written whole.
  HOLDS(soon([&] { return lines_with(w.errors(), parts).size() >= 2; }));
  const auto seen =
      tool_until({"ps", w.number()}, [&](const ran& r) { return has_line(r.out, parts); });
  const auto own = lines_with(w.errors(), parts);
  const auto from_outside = lines_with(seen.out, parts);
  HOLDS(!own.empty() && !from_outside.empty());
  EQUAL(without_age(own[0]), without_age(from_outside[0]));
}

TEST_P(IN_SAFE, IN_SAFE_06_NamesCannotBreakTheTable) {
  const watched w("odd_names", loops());
  const auto seen = tool_until({"ps", w.number()}, [](const ran& r) {
    return has_line(r.out, {"xxxxxxxxxx...", "event"}) && has_line(r.out, {"gr\xc3\xbc\xc3\x9f"});
  });
  HOLDS(seen.out.find('\x1b') == std::string::npos);
  HOLDS(has_line(seen.out, {"\\x1b[31mred\\x1b[0m\\nline \"quoted\" \\\\ \\xff\\xfe", "event"}));
  HOLDS(seen.out.size() < 8000);
  const auto said = tool({"ps", "--json", w.number()});
  const auto parsed = nlohmann::json::parse(said.out);
  HOLDS(parsed["tasks"].size() >= 4);
}

TEST_P(IN_SAFE, IN_SAFE_08_AProgramThatEndsWhileItIsReadIsToldAsGone) {
  for (int i = 0; i < 10; ++i) {
    ran said;
    {
      const watched w("churn", loops(), 20);
      std::thread looks([&, number = w.number()] { said = tool({"ps", number}); });
      std::this_thread::sleep_for(std::chrono::milliseconds(i));
      ::kill(w.process(), SIGKILL);
      looks.join();
    }
    HOLDS(said.status == 0 || said.status == 1 || said.status == 4);
  }
  EQUAL(tool({"ps", "no-program-of-this-name"}).status, 4);
  EQUAL(tool({"ps", "999999999"}).status, 4);
}

TEST_P(IN_SAFE, IN_SAFE_08_RuntimesThatComeAndGoDisturbNoReader) {
  const watched w("runtimes", loops());
  for (int i = 0; i < 20; ++i) {
    const auto seen = tool({"ps", w.number()});
    EQUAL(seen.status, 0);
    HOLDS(seen.out.find("process " + w.number()) == 0);
  }
}

TEST_P(IN_SAFE, IN_SAFE_08_AProgramThatBecomesAnotherIsReadOrToldAsGone) {
  const watched w("execs", 2, 1000000);
  bool was_read = false;
  for (int i = 0; i < 40 || (!was_read && i < 1000); ++i) {
    const auto seen = tool({"ps", w.number()});
    HOLDS(seen.status == 0 || seen.status == 1 || seen.status == 4);
    if (seen.status == 4) HOLDS(!seen.err.empty());
    was_read = was_read || has_line(seen.out, {"waiter", "event", "states.cpp:"});
  }
  HOLDS(was_read);
}

TEST_P(IN_SAFE, IN_SAFE_08_AForkedChildAndItsParentAreRead) {
  const watched w("forks", loops());
  // One child stays, and its parent tells its number. It has the tasks of its parent, and no loop
  // to run them.
  HOLDS(soon([&] { return w.errors().ends_with('\n'); }));
  const auto copied = tool({"ps", w.errors().substr(0, w.errors().find('\n'))});
  EQUAL(copied.status, 0);
  HOLDS(has_line(copied.out, {"waiter"}));
  for (int i = 0; i < 10; ++i) EQUAL(tool({"ps", w.number()}).status, 0);
}

TEST_P(IN_SAFE, IN_SAFE_09_TwoRuntimesOfOneProcessAreSeen) {
  const watched w("two_runtimes", loops());
  const auto seen = tool_until({"ps", w.number()}, [](const ran& r) {
    return has_line(r.out, {"first", "event"}) && has_line(r.out, {"second", "event"});
  });
  HOLDS(has_line(seen.out, {std::to_string(loops() + 3) + " loops"}));
}

/// Makes the kernel end this process if it does more than read: writes into another process, stops
/// or signals one, or opens a file for writing.
void only_reads() {
  static sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_process_vm_writev, 7, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ptrace, 6, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_kill, 5, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_tkill, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const sock_fprog program{sizeof rules / sizeof rules[0], rules};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    ::_exit(99);
}

/// The exit status of the tool under that rule; -1: the kernel has ended it.
int status_of_reader(const std::vector<std::string>& arguments) {
  const auto tool_path = path_of_tool();
  std::vector<char*> argv{const_cast<char*>(tool_path.c_str())};
  for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const pid_t process = ::fork();
  if (process == 0) {
    ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
    ::setenv("ASAN_OPTIONS", "detect_leaks=0", 1);  // its search for leaks traces the process
    if (!sanitized) only_reads();                   // what a sanitizer adds to a program does more
    ::execv(argv[0], argv.data());
    ::_exit(98);
  }
  int status = 0;
  ::waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_P(IN_SAFE, IN_SAFE_02_TheToolDoesNothingButRead) {
  const watched w("chat", loops());
  tool_until({"ps", w.number()},
             [](const ran& r) { return has_line(r.out, {"deliver", "queue.get"}); });
  EQUAL(status_of_reader({"ps", w.number()}), 0);
  EQUAL(status_of_reader({"ps", "--all-frames", w.number()}), 0);
  EQUAL(status_of_reader({"ps", "--json", w.number()}), 0);
  EQUAL(status_of_reader({"pstree", w.number()}), 0);
  const int of_stalls = status_of_reader({"stalls", w.number()});
  HOLDS(of_stalls == 0 || of_stalls == 1);  // a machine that is busy may have made one
  EQUAL(status_of_reader({"top", "--once", "--interval", "10ms", w.number()}), 0);
  EQUAL(status_of_reader({"top", "--memory", w.number()}), 0);
}

}  // namespace
