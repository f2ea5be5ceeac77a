// SPDX-License-Identifier: MIT
// Memory runs out anywhere: servers and their clients, in one process, with each of their
// allocations failing.
#include "memory/on_reactors.h"

#include <heddle/io/memory_pair.h>
#include <heddle/io/server.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace memory;

class MemoryOfServers : public on_reactors {};
INSTANTIATE_TEST_SUITE_P(, MemoryOfServers, testing::ValuesIn(kinds()), name_of);

h::task<> echo(h::stream_reader from, h::stream_writer to) {
  const std::string line = co_await from.read_line();
  to.write(line);
  co_await to.drain();
  to.close();
  co_await to.wait_closed();
}

/// Closes `s` and waits for its handlers, so that their reports are there when it returns.
h::task<> end(h::server& s) {
  s.close();
  auto ending = s.wait_closed();
  co_await std::move(ending);
}

h::task<int> serves() {
  auto starting = h::start_server(echo, "127.0.0.1", 0);
  auto s = co_await std::move(starting);
  auto talking = talk(s.port());
  const int heard = co_await std::move(talking);
  auto ending = end(s);
  co_await std::move(ending);
  co_return heard;
}
TEST_P(MemoryOfServers, IsShortWhileAServerServes) { check("start_server", serves, 1); }

h::task<int> serves_at_a_path() {
  const std::string path = testing::TempDir() + "heddle_memory_" + std::to_string(::getpid());
  auto starting = h::start_unix_server(echo, path);
  auto s = co_await std::move(starting);
  auto opening = h::open_unix_connection(path);
  auto c = co_await std::move(opening);
  auto saying = say_a_line(std::move(c));
  const int heard = co_await std::move(saying);
  auto ending = end(s);
  co_await std::move(ending);
  co_return heard + (::access(path.c_str(), F_OK) != 0 ? 2 : 0);
}
TEST_P(MemoryOfServers, IsShortWhileAServerServesAtAPath) {
  check("start_unix_server", serves_at_a_path, 3);
}

/// `serve_forever` in a task of its own, ended by each of the ways to end what a server has.
h::task<int> serves_for_ever() {
  h::server_options o;
  o.start_serving = false;
  o.name = "a name that is longer than what a std::string keeps in itself";
  auto wait_for_all = [](h::connection c) -> h::task<> {
    const std::string all = co_await c.reader.read();
    co_return;
  };
  auto starting = h::start_server(wait_for_all, "127.0.0.1", 0, o);
  auto s = co_await std::move(starting);
  s.start_serving();
  auto serving = h::create_task(s.serve_forever());
  auto opening = h::open_connection("127.0.0.1", s.port());
  auto c = co_await std::move(opening);
  for (int i = 0; i < 100 && s.connections() == 0; ++i) co_await h::sleep(1ms);
  const bool listed = !s.addresses().empty() && !s.sockets().empty();
  s.cancel_handlers();
  s.close_clients();
  s.abort_clients();
  (void)serving.cancel();
  int ended = 0;
  try {
    co_await serving;
  } catch (const h::cancelled_error&) { ended = 1; }
  auto ending = end(s);
  co_await std::move(ending);
  co_return ended + (listed ? 2 : 0) + (s.connections() == 0 ? 4 : 0);
}
TEST_P(MemoryOfServers, IsShortWhileAServerIsEnded) { check("serve_forever", serves_for_ever, 7); }

/// Every way to read, and every way to end.
h::task<int> reads_in_all_ways(h::connection& a, h::connection& b) {
  const std::string long_line = std::string(600, 'y') + "\n";
  a.writer.write("12345");
  a.writer.write(long_line);
  a.writer.write("end;more,");
  a.writer.write(std::string(9000, 'z'));
  co_await a.writer.drain();
  a.writer.write_eof();
  int right = 0;
  const std::string five = co_await b.reader.read_exactly(5);
  if (five == "12345") right += 1;
  const std::string line = co_await b.reader.read_until("\n");
  if (line == long_line) right += 2;
  std::vector<std::string> ends;
  ends.emplace_back(",");
  ends.emplace_back(";");
  const std::string word = co_await b.reader.read_until(ends);
  if (word == "end;") right += 4;
  const std::string some = co_await b.reader.read(5);
  if (some == "more,") right += 8;
  const std::string rest = co_await b.reader.read();
  if (rest.size() == 9000) right += 16;
  b.writer.write("bye");
  auto closing = b.writer.close_within(5s);
  const bool whole = co_await std::move(closing);  // the peer has ended its direction before
  if (whole) right += 32;
  const std::string last = co_await a.reader.read();
  if (last == "bye") right += 64;
  a.writer.close();
  co_return right;
}

h::task<int> reads_from_a_pair() {
  auto [a, b] = h::memory_pair(4096);
  auto reading = reads_in_all_ways(a, b);
  const int right = co_await std::move(reading);
  a.writer.abort();
  b.writer.abort();
  co_return right;
}
TEST_P(MemoryOfServers, IsShortBetweenTwoEndsInMemory) {
  check("memory_pair", reads_from_a_pair, 127);
}

h::task<int> reads_from_a_socket() {
  auto arrived = std::make_shared<h::promise<h::connection>>();
  auto arrives = arrived->get_future();
  auto take = [arrived](h::connection c) {
    if (!arrived->done()) arrived->set_value(std::move(c));
  };
  auto starting = h::start_server(take, "127.0.0.1", 0);
  auto s = co_await std::move(starting);
  auto opening = h::open_connection("127.0.0.1", s.port());
  auto a = co_await std::move(opening);
  auto waiting = h::wait_for(arrives, 200ms);  // a guest that could not be taken in is dropped
  h::connection b = std::move(co_await std::move(waiting));
  auto reading = reads_in_all_ways(a, b);
  const int right = co_await std::move(reading);
  s.close();
  co_return right;
}
TEST_P(MemoryOfServers, IsShortInEveryWayToRead) { check("read", reads_from_a_socket, 127); }

}  // namespace
