// SPDX-License-Identifier: MIT
#include "arguments.h"

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>

#include <functional>
#include <map>

namespace cluster_render {
namespace {

namespace h = heddle;

constexpr std::uint64_t longest_ms = 3'600'000;

struct option {
  std::function<void(settings&, std::string_view name, const std::string& value)> set;
};

std::uint64_t number(std::string_view name, const std::string& value, std::uint64_t least,
                     std::uint64_t most) {
  std::uint64_t n = 0;
  if (!h::detail::parse_number(value, n, most) || n < least)
    throw h::bad_value(std::string(name) + " takes " + std::to_string(least) + " to " +
                       std::to_string(most) + ", not \"" + value + "\"");
  return n;
}

option text(std::string settings::* field) {
  return {[field](settings& s, std::string_view, const std::string& value) { s.*field = value; }};
}

template <class T>
option whole(T settings::* field, std::uint64_t least, std::uint64_t most) {
  return {[=](settings& s, std::string_view name, const std::string& value) {
    s.*field = static_cast<T>(number(name, value, least, most));
  }};
}

option milliseconds(std::chrono::milliseconds settings::* field, std::uint64_t least) {
  return {[=](settings& s, std::string_view name, const std::string& value) {
    s.*field = std::chrono::milliseconds(number(name, value, least, longest_ms));
  }};
}

option seconds(std::chrono::seconds settings::* field) {
  return {[=](settings& s, std::string_view name, const std::string& value) {
    s.*field = std::chrono::seconds(number(name, value, 1, 86'400));
  }};
}

const std::map<std::string_view, option>& options() {
  static const std::map<std::string_view, option> all{
      {"--files", text(&settings::files)},
      {"--tiles", whole(&settings::tiles, 1, 64)},
      {"--edge", whole(&settings::edge, 1, 4096)},
      {"--work", milliseconds(&settings::work, 0)},
      {"--workers", whole(&settings::workers, 0, 16)},
      {"--slots", whole(&settings::slots, 1, 64)},
      {"--in-flight", whole(&settings::in_flight, 1, 10'000)},
      {"--seed", whole(&settings::seed, 0, ~std::uint64_t{0})},
      {"--kill-every", milliseconds(&settings::kill, 0)},
      {"--kills", whole(&settings::kills, 0, 10'000)},
      {"--kill-server-every", milliseconds(&settings::kill_server, 0)},
      {"--server-kills", whole(&settings::server_kills, 0, 1'000)},
      {"--ack-wait", milliseconds(&settings::ack_wait, 100)},
      {"--limit", seconds(&settings::limit)},
      {"--page", text(&settings::page)},
      {"--out", text(&settings::out)},
  };
  return all;
}

}  // namespace

const char* const help =
    R"(usage: cluster_render [OPTION...]

Paints a picture in tiles, or takes the checksums of the files of a directory, over worker processes on
this machine. Workers and the server are killed at random meanwhile. At the end every outcome is asked for
again, and compared with the same computation in this process.

  --files DIRECTORY          the work: all files below it; without it a picture is made
  --tiles N                  tiles on each edge of the picture, 1 to 64 (32)
  --edge PIXELS              of the picture, a multiple of --tiles (1024)
  --work MS                  how long a job waits besides its computation (40)
  --workers N                processes; 0: no cluster, all in this process (3)
  --slots N                  jobs that a worker runs at one time (2)
  --in-flight N              jobs that are submitted and not ended (64)

  --seed N                   of who is killed, and when (1)
  --kill-every MS            about so long between two deaths of workers; 0: none dies (700)
  --kills N                  so many workers die at most (20)
  --kill-server-every MS     the same for the server (3000)
  --server-kills N           (3)
  --ack-wait MS              after so long a dead worker's jobs go to others, at least 100 (1000)
  --limit SECONDS            for all jobs and the check (300)

  --page HOST:PORT|none      where the page is; port 0: a free one (127.0.0.1:0)
  --stay                     the page stays until SIGINT or SIGTERM
  --out FILE                 where the picture (BMP), or the list of checksums, is written

All that it starts ends with it, and its files are in a temporary directory that goes too. It needs
nats-server (apt-get install nats-server); HEDDLE_NATS_SERVER names another one.

Exit status: 0 nothing was lost, one outcome each, all as in one process; 1 not so; 2 wrong usage;
130 it was interrupted.
)";

settings read_arguments(int count, char** words) {
  settings s;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = words[i];
    if (name == "--stay") {
      s.stay = true;
      continue;
    }
    const auto found = options().find(name);
    if (found == options().end()) throw h::bad_value("there is no option " + std::string(name));
    if (++i == count) throw h::bad_value(std::string(name) + " lacks its value");
    found->second.set(s, name, words[i]);
  }
  if (s.edge % s.tiles != 0)
    throw h::bad_value("--edge " + std::to_string(s.edge) + " is no multiple of --tiles " +
                       std::to_string(s.tiles));
  if (s.stay && s.page == "none") throw h::bad_value("--stay needs a page");
  return s;
}

bool is_worker(int count, char** words) {
  return count == 6 && std::string_view(words[1]) == "--serve";
}

worker_arguments read_worker_arguments(char** words) {
  worker_arguments a{words[2], words[3], 1, words[5]};
  a.slots = static_cast<unsigned>(number("--slots", words[4], 1, 64));
  return a;
}

}  // namespace cluster_render
