// SPDX-License-Identifier: MIT
// A message board: rooms over WebSocket, uploads, history in files. README.md builds it up.
#include "board.h"
#include "limits.h"

#include <heddle/heddle.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

namespace {

namespace h = heddle;
namespace http = heddle::http;

constexpr const char* help =
    R"(usage: board [--listen HOST:PORT] [--data DIRECTORY] [--upstream NAME=URL]... [--grace SECONDS]

  --listen HOST:PORT   where it listens; port 0: the kernel picks one (127.0.0.1:8080)
  --data DIRECTORY     what it keeps: history and uploads (board-data)
  --upstream NAME=URL  a JSON document that the page shows; may come more than once
  --grace SECONDS      how long what is under way may go on after the order to stop (5)

SIGINT or SIGTERM stops it; a second one stops it at once.
)";

struct arguments {
  std::string listen = "127.0.0.1:8080";
  board::settings settings;
  std::chrono::seconds grace{5};
};

/// Throws bad_value for a wrong command line.
arguments read_arguments(int count, char** words) {
  arguments a;
  for (int i = 1; i < count; i += 2) {
    const std::string_view option = words[i];
    if (i + 1 == count) throw h::bad_value(std::string(option) + " lacks its value");
    const std::string value = words[i + 1];
    if (option == "--listen") {
      a.listen = value;
    } else if (option == "--data") {
      a.settings.directory = value;
    } else if (option == "--upstream") {
      const auto equals = value.find('=');
      if (equals == std::string::npos) throw h::bad_value("--upstream takes NAME=URL");
      a.settings.upstreams.push_back({value.substr(0, equals), value.substr(equals + 1)});
    } else if (option == "--grace") {
      unsigned seconds = 0;
      if (!h::detail::parse_number(value, seconds, 3600U))
        throw h::bad_value("--grace takes 0 to 3600 seconds");
      a.grace = std::chrono::seconds(seconds);
    } else {
      throw h::bad_value("there is no option " + std::string(option));
    }
  }
  return a;
}

http::run_options how_to_run(const arguments& a) {
  http::run_options o;
  o.listen = {http::listen(a.listen)};
  o.server.max_connections = board::limits::guests;
  o.grace = a.grace;
  o.on_started = [](http::server& s) {
    for (const auto& at : s.addresses())
      std::printf("listening on http://%s/\n", at.to_string().c_str());
    std::fflush(stdout);
  };
  return o;
}

}  // namespace

int main(int count, char** words) {
  if (count == 2 && std::string_view(words[1]) == "--help") {
    std::fputs(help, stdout);
    return 0;
  }
  try {
    const auto a = read_arguments(count, words);
    return h::run(http::run_app(board::make_board(a.settings), how_to_run(a)));
  } catch (const h::bad_value& e) {
    std::fprintf(stderr, "board: %s\n%s", e.what(), help);
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "board: %s\n", e.what());
    return 1;
  }
}
