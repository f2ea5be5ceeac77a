// SPDX-License-Identifier: MIT
// What the command line says. Every limit of the demonstration is here.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace cluster_render {

struct settings {
  std::string files;                    // a directory whose files are the work; empty: a picture
  unsigned tiles = 32;                  // on each edge of the picture
  unsigned edge = 1024;                 // of the picture, in pixels
  std::chrono::milliseconds work{40};   // that a job waits besides its computation
  unsigned workers = 3;                 // 0: no cluster, all jobs run in this process
  unsigned slots = 2;                   // of each worker
  std::size_t in_flight = 64;           // jobs that are submitted and not ended
  std::uint64_t seed = 1;               // of who is killed when
  std::chrono::milliseconds kill{700};  // about so long between two deaths of workers
  unsigned kills = 20;                  // so many workers die at most
  std::chrono::milliseconds kill_server{3000};
  unsigned server_kills = 3;
  std::chrono::milliseconds ack_wait{1000};  // after so long a dead worker's jobs go to others
  std::chrono::seconds limit{300};           // for all of it
  std::string page = "127.0.0.1:0";          // "none": no page
  bool stay = false;                         // the page stays until a signal comes
  std::string out;                           // a file for the picture or the list; empty: none
};

}  // namespace cluster_render
