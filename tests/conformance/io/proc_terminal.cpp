// SPDX-License-Identifier: MIT
// Processes on pseudo-terminals.
#include "proc_cases.h"

#include <heddle/io/pipe.h>
#include <heddle/io/pty.h>

#include <fcntl.h>

namespace {

using namespace conformance;

REACTOR_CASES(IO_PROC_TERMINAL);

h::process_options on_terminal(std::uint16_t rows, std::uint16_t columns) {
  h::process_options o;
  o.terminal = h::terminal_size{rows, columns};
  return o;
}

TEST_P(IO_PROC_TERMINAL, IO_PROC_11_AChildOnATerminalOfItsOwn) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    auto p = co_await shell(on_terminal(33, 77),
                            "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && stty size && tty && "
                            "ps -o sid= -p $$ && (exec </dev/tty && echo controls)");
    const std::string all = co_await p.terminal.reader.read();
    const int code = co_await p.wait();
    EQUAL(code, 0);
    HOLDS(all.starts_with("33 77\r\n/dev/pts/"));
    HOLDS(all.find(std::to_string(p.pid())) != std::string::npos);
    HOLDS(all.ends_with("controls\r\n"));
    HOLDS(p.terminal.reader.at_eof());
    // One stream may lead elsewhere.
    auto o = on_terminal(10, 10);
    o.stdout = h::stdio::pipe;
    auto q = co_await shell(o, "[ -t 0 ] && ! [ -t 1 ] && [ -t 2 ] && echo mixed");
    const std::string mixed = co_await q.stdout.read();
    EQUAL(mixed, "mixed\n");
  });
  HOLDS(open_descriptors() <= before);
}

TEST_P(IO_PROC_TERMINAL, IO_PROC_11_TheSizeChangesAndTheChildIsTold) {
  run([]() -> h::task<> {
    auto p =
        co_await shell(on_terminal(24, 80),
                       "trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.01; done");
    const std::string ready = co_await p.terminal.reader.read_line();
    EQUAL(ready, "ready\r\n");
    HOLDS(p.terminal.size() == (h::terminal_size{24, 80}));
    p.terminal.resize({50, 132});
    HOLDS(p.terminal.size() == (h::terminal_size{50, 132}));
    const std::string size = co_await p.terminal.reader.read_line();
    EQUAL(size, "50 132\r\n");
    const int code = co_await p.wait();
    EQUAL(code, 5);
    p.terminal.close();
    THROWS(std::system_error, p.terminal.resize({1, 1}));
  });
}

TEST_P(IO_PROC_TERMINAL, IO_PROC_11_TypingInterruptsAndEndsTheInput) {
  run([]() -> h::task<> {
    auto p = co_await shell(on_terminal(24, 80), "stty -echo; echo ready; cat; echo over");
    const std::string ready = co_await p.terminal.reader.read_line();
    EQUAL(ready, "ready\r\n");
    p.terminal.writer.write("a line\n");
    const std::string line = co_await p.terminal.reader.read_line();
    EQUAL(line, "a line\r\n");
    p.terminal.writer.write_eof();
    const std::string over = co_await p.terminal.reader.read();
    EQUAL(over, "over\r\n");
    auto q = co_await shell(on_terminal(24, 80), "echo ready; exec sleep 1000");
    (void)co_await q.terminal.reader.read_line();
    q.terminal.writer.write("\x03");
    const int code = co_await q.wait();
    EQUAL(code, -SIGINT);
    // Closing the terminal hangs up.
    auto r = co_await shell(on_terminal(24, 80), "echo ready; exec sleep 1000");
    (void)co_await r.terminal.reader.read_line();
    r.terminal.close();
    const int hung_up = co_await r.wait();
    EQUAL(hung_up, -SIGHUP);
  });
}

TEST_P(IO_PROC_TERMINAL, IO_PIPE_04_TheChildsEndIsTheEndOfTheTerminalAndNoError) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    // Much output, read slowly: nothing is lost at the end.
    auto p =
        co_await shell(on_terminal(24, 80), "stty -opost; yes 0123456789abcde | head -n 20000");
    const std::size_t n = co_await swallow(p.terminal.reader);
    EQUAL(n, 20'000u * 16);
    HOLDS(p.terminal.reader.at_eof());
    const std::string again = co_await p.terminal.reader.read();
    EQUAL(again, "");
    // Killed while it writes.
    auto q = co_await start(on_terminal(24, 80), words("yes"));
    (void)co_await q.terminal.reader.read_line();
    q.kill();
    HOLDS(!co_await error_of(swallow(q.terminal.reader)));
    // Input that no program will read does not keep the terminal.
    auto r = co_await start(on_terminal(24, 80), words("sleep", "1000"));
    r.terminal.writer.write(std::string(1'000'000, 'w'));
    r.kill();
    HOLDS(!co_await error_of(swallow(r.terminal.reader)));
    HOLDS(is_broken(co_await error_of(drain(r.terminal.writer))));
  });
  HOLDS(open_descriptors() <= before);
}

TEST_P(IO_PROC_TERMINAL, IO_PIPE_04_ATerminalThatTheProgramOpensItself) {
  const auto before = open_descriptors();
  run([]() -> h::task<> {
    h::pty t = h::open_pty({12, 34});
    HOLDS(t.path().starts_with("/dev/"));
    // Before a program has it, reading waits.
    auto reading = h::create_task(t.reader.read_line());
    co_await until_waiting(reading);
    const int side = t.open_program_side();
    h::process_options o;
    o.stdin = h::stdio::fd(side);
    o.stdout = h::stdio::fd(side);
    auto p = co_await shell(o, "stty size");
    const std::string size = co_await reading;
    EQUAL(size, "12 34\r\n");
    const int code = co_await p.wait();
    EQUAL(code, 0);
    // Our own end of the programs' side, as streams.
    h::pipe_writer shown = h::open_pipe_writer(side);
    shown.write("by us\n");
    const std::string ours = co_await t.reader.read_line();
    EQUAL(ours, "by us\r\n");
    shown.close();
    const std::string end = co_await t.reader.read();
    EQUAL(end, "");
  });
  HOLDS(open_descriptors() <= before);
}

}  // namespace
