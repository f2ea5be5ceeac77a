// SPDX-License-Identifier: MIT
// A tiny store that speaks a protocol of lines, as Redis does: "SET name value", "GET name". A line
// has a limit, so no client can fill the server's memory.
#include <heddle/heddle.h>

#include <cstdio>
#include <map>
#include <string>

namespace h = heddle;

struct store {
  h::mutex lock;
  std::map<std::string, std::string> values;
};

// Takes the first word off a line.
std::string first_word(std::string& line) {
  const auto end = line.find(' ');
  std::string word = line.substr(0, end);
  line.erase(0, end == std::string::npos ? end : end + 1);
  return word;
}

h::task<std::string> obey(store& s, std::string line) {
  const std::string verb = first_word(line);
  const std::string name = first_word(line);
  auto guard = co_await s.lock.scoped_lock();
  if (verb == "SET") {
    s.values[name] = line;
    co_return "OK";
  }
  const auto found = s.values.find(name);
  if (verb != "GET" || found == s.values.end()) co_return "ERROR";
  co_return "VALUE " + found->second;
}

// One client. Its lines may come in any pieces: each is taken when it is whole.
h::task<> serve(store& s, h::connection c) {
  h::line_options options;
  options.max_line = 100;
  options.ending = h::line_ending::crlf;
  h::lines in(std::move(c), options);
  std::string refusal;
  try {
    while (auto line = co_await in.next()) {
      const std::string answer = co_await obey(s, std::move(*line));
      co_await in.write(answer);
    }
  } catch (const h::bad_value& e) { refusal = e.what(); }
  if (!refusal.empty()) co_await in.write("BYE " + refusal);
  (void)co_await in.under().writer.close_within(std::chrono::seconds(10));
}

h::task<> run() {
  store s;
  auto server = co_await h::start_server([&s](h::connection c) { return serve(s, std::move(c)); },
                                         "127.0.0.1", 0);
  h::connection c = co_await h::open_connection("127.0.0.1", server.port());
  c.writer.write("SET greeting hello ");  // the rest of the line comes later
  co_await h::yield_now();
  c.writer.write("there\r\nGET greeting\r\nGET other\r\n");
  c.writer.write(std::string(200, 'x'));  // and no end of it
  while (true) {
    const std::string line = co_await c.reader.read_line();
    if (line.empty()) break;
    std::printf("%s", line.c_str());
  }
  c.writer.close();
  server.close();
  co_await server.wait_closed();
}

int main() { h::run(run()); }

// > OK
// > VALUE hello there
// > ERROR
// > BYE a line is longer than max_line, 100 bytes
