// SPDX-License-Identifier: MIT
// A chat over a Unix socket, in which one side passes the other a file: the descriptor of a pipe
// that it may write to, although it could not open it by a name.
#include <heddle/heddle.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include <unistd.h>

namespace h = heddle;

std::string socket_path() {
  const auto name = "heddle-chat-" + std::to_string(::getpid());
  return (std::filesystem::temp_directory_path() / name).string();
}

// The guest says hello, is given the log, and writes to it by a stream of its own.
h::task<> guest(std::string path) {
  const h::unix_socket chat = co_await h::unix_socket::connect(path, h::unix_kind::seqpacket);
  co_await chat.send("hello, may I write to your log?");
  h::unix_message answer = co_await chat.receive();
  std::printf("host says: %s\n", answer.bytes.c_str());
  h::pipe_writer log = h::open_pipe_writer(answer.descriptors.at(0).release());
  log.write("the guest was here\n");
  co_await log.drain();
  co_await chat.send("thank you");
}

h::task<> host(h::unix_listener listener) {
  const h::unix_socket chat = co_await listener.accept();
  const h::unix_message asked = co_await chat.receive();
  const bool known = chat.peer().has_value() && chat.peer()->user == ::getuid();
  std::printf("%s says: %s\n", known ? "a process of ours" : "a stranger", asked.bytes.c_str());
  h::pipe_pair log = h::make_pipe();
  co_await chat.send_descriptors("here is its end", log.writer.native_handle());
  const std::string line = co_await log.reader.read_line();
  std::printf("in the log: %s", line.c_str());
  for (;;) {
    const h::unix_message said = co_await chat.receive();
    if (said.end) break;
    std::printf("and then: %s\n", said.bytes.c_str());
  }
}

h::task<> run() {
  const std::string path = socket_path();
  auto listener = h::unix_listener::listen(path, h::unix_kind::seqpacket);
  co_await h::gather(host(listener), guest(path));
  listener.close();
  std::printf("path removed: %s\n", std::filesystem::exists(path) ? "no" : "yes");
}

int main() { h::run(run()); }

// > a process of ours says: hello, may I write to your log?
// > host says: here is its end
// > in the log: the guest was here
// > and then: thank you
// > path removed: yes
