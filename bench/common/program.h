// SPDX-License-Identifier: MIT
//
// What the programs of the bench share: the options of the command line, the clock, and one JSON
// line a run. Every peer uses this file, so that a difference between two programs is a difference
// between their libraries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace bench {

/// Who runs what: printed in every line.
struct identity {
  std::string_view problem;
  std::string_view peer;
};

struct settings {
  unsigned threads;  // loops or worker threads, never 0
  long size;         // what it counts is the problem's choice: n, leaves, rows, tasks
  int repeat;  // runs in this process; the first also pays for starting threads and cold caches
  std::string shape = "sleep";  // memory only: what the tasks wait for
};

/// Reads --threads, --size, --repeat and --shape. `--help` and bad options end the process, the
/// latter with a message and status 2.
settings read_settings(int argc, char** argv, const identity& who, long default_size,
                       std::string_view size_means);

/// For programs whose rows are operations (common/rows.h).
struct row_settings {
  unsigned threads;
  long size;        // tasks at once, in rows that have many
  int repeat;       // samples of each row
  std::string row;  // empty: all
  double seconds;   // of one sample, at least
};

/// The same, and --row and --seconds.
row_settings read_row_settings(int argc, char** argv, const identity& who);

struct server_settings {
  unsigned threads;
  std::uint16_t port;
  std::string reactor;      // heddle only: auto, epoll or uring; others ignore it
  std::string certificate;  // servers over TLS only: the path of PEM files
  std::string key;
  std::string files;  // heddle's HTTP server only: the directory of what it answers with files
  std::size_t answer = 13;  // reference server only: bytes of the body of its answers
};

/// The same for servers: --port (required), --threads, --reactor, --certificate, --key, --files,
/// --answer.
server_settings read_server_settings(int argc, char** argv, const identity& who);

/// A server's way out when it cannot go on: `http/nginx: cannot bind: ...`, status 1.
[[noreturn]] void give_up(const identity& who, std::string_view why);

/// Time of CLOCK_MONOTONIC.
std::int64_t now_ns();

/// Peak resident set of this process. Not getrusage's figure, which a child inherits from whoever
/// started it.
long peak_rss_kb();

/// Resident set of this process at this moment.
long current_rss_kb();

/// Times runs and prints them.    Thread-safe: no; runs follow one another.
class report {
 public:
  report(identity who, const settings& with) : who_(who), with_(with) {}

  void begin() { started_ = now_ns(); }
  void end() { took_ = now_ns() - started_; }

  /// Prints the line of the run ended last. A wrong result is said on stderr and fails the program.
  void print(long result, long expected);

  /// Adds a field to the lines printed from now on, after the usual ones.
  void note(std::string_view name, double value);

  /// For main(): 0, or 1 after a wrong result.
  int status() const { return wrong_ ? 1 : 0; }

 private:
  identity who_;
  settings with_;
  std::int64_t started_ = 0;
  std::int64_t took_ = 0;
  std::string notes_;
  bool wrong_ = false;
};

/// For libraries whose work is a plain call: all runs of `solve`, timed and checked.
int run_all(identity who, const settings& with, long expected, const std::function<long()>& solve);

}  // namespace bench
