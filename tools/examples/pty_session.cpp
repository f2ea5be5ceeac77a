// SPDX-License-Identifier: MIT
// A shell on a pseudo-terminal: what is written is typed, what is read is shown.
#include <heddle/heddle.h>

#include <cstdio>
#include <string>
#include <utility>

namespace h = heddle;

// The terminal shows what is typed, and then the answer. It ends a line with "\r\n".
h::task<> type(h::pty& terminal, std::string command) {
  terminal.writer.write(command + "\n");
  for (const char* who : {"typed", "shell"}) {
    std::string line = co_await terminal.reader.read_line();
    line.resize(line.find_last_not_of("\r\n") + 1);
    std::printf("%s: %s\n", who, line.c_str());
  }
}

h::task<> session() {
  h::process_options options;
  options.terminal = h::terminal_size{24, 80};
  auto shell = co_await h::create_subprocess_shell(
      "while read -r command; do eval \"$command\"; done; exit 3", options);

  co_await type(shell.terminal, "[ -t 0 ] && echo a terminal");
  co_await type(shell.terminal, "stty size");
  shell.terminal.resize({50, 120});
  co_await type(shell.terminal, "stty size");

  shell.terminal.writer.write_eof();  // ^D
  const std::string rest = co_await shell.terminal.reader.read();
  const int code = co_await shell.wait();
  std::printf("%zu bytes more, code %d\n", rest.size(), code);
}

int main() { h::run(session()); }

// > typed: [ -t 0 ] && echo a terminal
// > shell: a terminal
// > typed: stty size
// > shell: 24 80
// > typed: stty size
// > shell: 50 120
// > 0 bytes more, code 3
