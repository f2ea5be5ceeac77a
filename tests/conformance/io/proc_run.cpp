// SPDX-License-Identifier: MIT
// Programs run to their end, and pipelines of them.
#include "proc_cases.h"

#include <heddle/io/run_process.h>

#include <atomic>

namespace {

using namespace conformance;

REACTOR_CASES(IO_PROC_RUN);

h::task<h::completed_process> run_shell(std::string script, h::run_options o) {
  return h::run_process(words("sh", "-c", script), std::move(o));
}
h::task<h::completed_process> run_shell(std::string script) {
  return h::run_process(words("sh", "-c", script));
}

/// Reads a number that a program writes into a file, once it is there.
h::task<pid_t> number_in(std::string path) {
  pid_t number = 0;
  auto there = until([&] {
    std::ifstream file(path);
    return static_cast<bool>(file >> number) && number > 0;
  });
  co_await std::move(there);
  co_return number;
}

TEST_P(IO_PROC_RUN, IO_PROC_06_ACancelledRunTerminatesAndReaps) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    const auto path = fresh_path("run-pid");
    auto running = h::create_task(run_shell("echo $$ > " + path + "; exec sleep 1000"));
    const pid_t pid = co_await number_in(path);
    running.cancel();
    const auto how = co_await ending(running);
    EQUAL(how, "Cancelled");
    HOLDS(!exists(pid));  // not even as a zombie
    HOLDS(no_child_left());
    std::filesystem::remove(path);
    // By a time limit: the program ends in its own way, and writes more than a pipe holds.
    const std::string script = "trap 'head -c 1000000 /dev/zero; echo clean > " + path +
                               "; exit 0' TERM; echo $$ > " + path +
                               ".pid; while :; do sleep 0.01; done";
    auto limited = h::create_task(h::wait_for(run_shell(script), 300ms));
    const auto late = co_await ending(limited);
    EQUAL(late, "Timeout");
    HOLDS(no_child_left());
    // The trap may not have stood yet when SIGTERM came, on a machine that is busy.
    if (std::filesystem::exists(path)) {
      std::string word;
      std::ifstream(path) >> word;
      EQUAL(word, "clean");
    }
    std::filesystem::remove(path);
    std::filesystem::remove(path + ".pid");
  });
  HOLDS(open_descriptors() <= before);
}

TEST_P(IO_PROC_RUN, IO_PROC_06_AProgramThatIgnoresTheRequestIsKilledAfterTheGrace) {
  run([]() -> h::task<> {
    const auto path = fresh_path("stubborn-pid");
    const std::string script = "trap '' TERM; echo $$ > " + path + "; while :; do sleep 0.01; done";
    h::run_options o;
    o.grace = 50ms;
    auto running = h::create_task(run_shell(script, o));
    pid_t pid = co_await number_in(path);
    running.cancel();
    const auto how = co_await ending(running);
    EQUAL(how, "Cancelled");
    HOLDS(!exists(pid));
    std::filesystem::remove(path);
    // A second cancellation does not wait for the grace.
    o.grace = std::chrono::hours(1);
    auto patient = h::create_task(run_shell(script, o));
    pid = co_await number_in(path);
    patient.cancel();
    co_await until_waiting(patient);
    for (int i = 0; i < 1000 && !patient.done(); ++i) {
      patient.cancel();
      co_await h::sleep(1ms);
    }
    const auto again = co_await ending(patient);
    EQUAL(again, "Cancelled");
    HOLDS(!exists(pid));
    HOLDS(no_child_left());
    std::filesystem::remove(path);
  });
}

TEST_P(IO_PROC_RUN, IO_PROC_06_ACancelledRunOfAGroupEndsGrandchildrenToo) {
  run([]() -> h::task<> {
    const auto path = fresh_path("family-pid");
    h::run_options o;
    o.start.process_group = 0;
    o.grace = 10s;
    auto running = h::create_task(run_shell("sleep 1000 & echo $! > " + path + "; wait", o));
    const pid_t grandchild = co_await number_in(path);
    running.cancel();
    const auto how = co_await ending(running);
    EQUAL(how, "Cancelled");
    co_await until([grandchild] { return is_over(grandchild); });
    HOLDS(no_child_left());
    std::filesystem::remove(path);
  });
}

TEST_P(IO_PROC_RUN, IO_PROC_07_InputOutputAndUsage) {
  run([]() -> h::task<> {
    h::run_options o;
    o.input = std::string(300'000, 'i');
    auto done = co_await run_shell("cat; echo note >&2", o);
    EQUAL(done.returncode, 0);
    HOLDS(done.output == o.input);
    EQUAL(done.errors, "note\n");
    HOLDS(done.usage.has_value());
    auto empty = co_await run_shell("cat");  // /dev/null
    EQUAL(empty.output, "");
    h::run_options unchecked;
    unchecked.check = false;
    auto failed = co_await run_shell("echo half; exit 9", unchecked);
    EQUAL(failed.returncode, 9);
    EQUAL(failed.output, "half\n");
    const auto none = co_await error_of(h::run_process(words("heddle-no-such-program")));
    EQUAL(code_of(none), ENOENT);
  });
}

/// What a process_error says; "": it was none.
std::string told_by(const std::exception_ptr& e) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const h::process_error& p) { return p.what(); } catch (...) {
  }
  return "";
}

TEST_P(IO_PROC_RUN, IO_PROC_07_AFailureSaysCodeCommandAndTheEndOfStderr) {
  run([]() -> h::task<> {
    const auto code = co_await error_of(run_shell("echo out; echo why it failed >&2; exit 3"));
    const std::string text = told_by(code);
    HOLDS(text.find("sh -c") != std::string::npos);
    HOLDS(text.find("code 3") != std::string::npos);
    HOLDS(text.ends_with("why it failed"));
    try {
      std::rethrow_exception(code);
    } catch (const h::process_error& p) {
      EQUAL(p.returncode(), 3);
      EQUAL(p.output(), "out\n");
      EQUAL(p.errors(), "why it failed\n");
      EQUAL(p.command().front(), "sh");
    }
    const auto killed = co_await error_of(run_shell("kill -9 $$"));
    HOLDS(told_by(killed).find("signal 9 (SIGKILL)") != std::string::npos);
    const auto much =
        co_await error_of(run_shell("yes early | head -n 5000 >&2; echo last >&2; exit 1"));
    const std::string cut = told_by(much);
    HOLDS(cut.size() < 1200);
    HOLDS(cut.ends_with("last"));
  });
}

TEST_P(IO_PROC_RUN, IO_PROC_10_APipelineOfChildren) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    std::vector<std::vector<std::string>> three;
    three.push_back(words("cat"));
    three.push_back(words("tr", "a-z", "A-Z"));
    three.push_back(words("sed", "s/^/> /"));
    h::run_options o;
    for (int i = 0; i < 20'000; ++i) o.input += "a line\n";
    auto done = co_await h::run_pipeline(three, o);
    EQUAL(done.returncodes, std::vector<int>(3, 0));
    EQUAL(done.output.size(), 20'000u * 9);
    HOLDS(done.output.starts_with("> A LINE\n"));
    // The end of the last one ends the first.
    std::vector<std::vector<std::string>> endless;
    endless.push_back(words("yes"));
    endless.push_back(words("head", "-n", "2"));
    auto two = co_await h::run_pipeline(endless);
    EQUAL(two.output, "y\ny\n");
    EQUAL(two.returncodes.front(), -SIGPIPE);
    EQUAL(two.returncodes.back(), 0);
    // All codes, and what each wrote to stderr.
    std::vector<std::vector<std::string>> bad;
    bad.push_back(words("sh", "-c", "echo one >&2; exit 5"));
    bad.push_back(words("sh", "-c", "cat; echo two >&2; exit 6"));
    bad.push_back(words("cat"));
    const auto failure = co_await error_of(h::run_pipeline(bad));
    HOLDS(told_by(failure).find("code 6") != std::string::npos);
    o = {};
    o.check = false;
    auto codes = co_await h::run_pipeline(bad, o);
    EQUAL(codes.returncodes, (std::vector<int>{5, 6, 0}));
    EQUAL(codes.errors, "one\ntwo\n");
  });
  HOLDS(open_descriptors() <= before);
}

TEST_P(IO_PROC_RUN, IO_PROC_10_APipelineThatCannotStartOrIsCancelledLeavesNothing) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    std::vector<std::vector<std::string>> broken;
    broken.push_back(words("sleep", "1000"));
    broken.push_back(words("heddle-no-such-program"));
    const auto failure = co_await error_of(h::run_pipeline(broken));
    EQUAL(code_of(failure), ENOENT);
    co_await until([] { return no_child_left(); });
    EQUAL(name_of(co_await error_of(h::run_pipeline({}))), "BadValue");
    std::vector<std::vector<std::string>> long_one;
    long_one.push_back(words("yes"));
    long_one.push_back(words("cat"));
    long_one.push_back(words("sh", "-c", "read x; exec sleep 1000"));
    auto running = h::create_task(h::run_pipeline(long_one));
    co_await until([&running] { return waits(running); });
    running.cancel();
    const auto how = co_await ending(running);
    EQUAL(how, "Cancelled");
    HOLDS(no_child_left());
    // As processes of the caller's.
    auto o = piped(true, true);
    auto own = co_await h::create_pipeline(std::vector(2, words("cat")), o);
    EQUAL(own.size(), 2u);
    own.front().stdin.write("through both");
    own.front().stdin.close();
    const std::string through = co_await own.back().stdout.read();
    EQUAL(through, "through both");
    const int first = co_await own[0].wait();
    EQUAL(first, 0);
    const int last = co_await own[1].wait();
    EQUAL(last, 0);
  });
  HOLDS(open_descriptors() <= before);
}

}  // namespace
