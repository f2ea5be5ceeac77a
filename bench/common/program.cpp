// SPDX-License-Identifier: MIT
#include "common/program.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <thread>

namespace bench {
namespace {

struct option {
  std::string_view name;
  std::string_view meaning;
  std::function<bool(std::string_view)> set;
};

template <class Number>
auto number_into(Number& target, Number least, Number most) {
  return [&target, least, most](std::string_view text) {
    Number value{};
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return false;
    if (value < least || value > most) return false;
    target = value;
    return true;
  };
}

auto text_into(std::string& target) {
  return [&target](std::string_view text) {
    target = text;
    return true;
  };
}

std::string name_of(const identity& who) {
  return std::string(who.problem) + "/" + std::string(who.peer);
}

[[noreturn]] void usage(const identity& who, std::initializer_list<option> options) {
  std::printf("%s: one program of heddle's bench\n", name_of(who).c_str());
  for (const auto& o : options) {
    std::printf("  %-12.*s %.*s\n", int(o.name.size()), o.name.data(), int(o.meaning.size()),
                o.meaning.data());
  }
  std::exit(0);
}

[[noreturn]] void refuse(const identity& who, const std::string& why) {
  std::fprintf(stderr, "%s: %s (--help tells the options)\n", name_of(who).c_str(), why.c_str());
  std::exit(2);
}

void read_options(int argc, char** argv, const identity& who,
                  std::initializer_list<option> options) {
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (word == "--help" || word == "-h") usage(who, options);
    const option* found = nullptr;
    for (const auto& o : options) {
      if (o.name == word) found = &o;
    }
    if (found == nullptr) refuse(who, "unknown option " + std::string(word));
    if (++i == argc) refuse(who, std::string(word) + " needs a value");
    if (!found->set(argv[i])) refuse(who, std::string(word) + " cannot be " + argv[i]);
  }
}

unsigned usable_processors() {
  unsigned count = std::thread::hardware_concurrency();
  return count == 0 ? 1 : count;
}

long status_field_kb(std::string_view field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return std::strtol(line.c_str() + field.size(), nullptr, 10);
  }
  return 0;
}

}  // namespace

settings read_settings(int argc, char** argv, const identity& who, long default_size,
                       std::string_view size_means) {
  settings s{.threads = usable_processors(), .size = default_size, .repeat = 1};
  read_options(
      argc, argv, who,
      {{"--threads", "loops or worker threads; default: all processors",
        number_into<unsigned>(s.threads, 1, 1024)},
       {"--size", size_means, number_into<long>(s.size, 0, std::numeric_limits<long>::max())},
       {"--repeat", "runs in this process; default: 1", number_into<int>(s.repeat, 1, 1'000'000)},
       {"--shape", "memory only: sleep, queue, mutex or future", text_into(s.shape)}});
  return s;
}

row_settings read_row_settings(int argc, char** argv, const identity& who) {
  row_settings s{
      .threads = usable_processors(), .size = 1'000'000, .repeat = 1, .row = "", .seconds = 0.2};
  read_options(
      argc, argv, who,
      {{"--threads", "worker threads; default: all processors",
        number_into<unsigned>(s.threads, 1, 1024)},
       {"--size", "tasks at once, in rows that have many; default: 1000000",
        number_into<long>(s.size, 1, 1'000'000'000)},
       {"--repeat", "samples of each row; default: 1", number_into<int>(s.repeat, 1, 1'000'000)},
       {"--row", "the row to measure; default: all", text_into(s.row)},
       {"--seconds", "least time of one sample; default: 0.2",
        number_into<double>(s.seconds, 0, 1000)}});
  return s;
}

server_settings read_server_settings(int argc, char** argv, const identity& who) {
  server_settings s{1, 0, "auto", "", "", "", 13};
  auto reactor = [&s](std::string_view text) {
    s.reactor = text;
    return text == "auto" || text == "epoll" || text == "uring";
  };
  read_options(
      argc, argv, who,
      {{"--threads", "threads that serve; default: 1", number_into<unsigned>(s.threads, 1, 1024)},
       {"--port", "port on 127.0.0.1; required", number_into<std::uint16_t>(s.port, 1, 65535)},
       {"--reactor", "heddle only: auto, epoll or uring; others ignore it", reactor},
       {"--certificate", "of a server over TLS: a PEM file", text_into(s.certificate)},
       {"--key", "of that certificate: a PEM file", text_into(s.key)},
       {"--files", "heddle's HTTP server only: the directory of /files", text_into(s.files)},
       {"--answer", "the reference only: bytes of the body of its answers; default: 13",
        number_into<std::size_t>(s.answer, 0, std::size_t{1} << 24)}});
  if (s.port == 0) refuse(who, "--port is required");
  return s;
}

void give_up(const identity& who, std::string_view why) {
  std::fprintf(stderr, "%s: %.*s\n", name_of(who).c_str(), int(why.size()), why.data());
  std::exit(1);
}

std::int64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * std::int64_t{1'000'000'000} + t.tv_nsec;
}

long peak_rss_kb() { return status_field_kb("VmHWM:"); }

long current_rss_kb() { return status_field_kb("VmRSS:"); }

void report::print(long result, long expected) {
  std::printf(
      R"({"problem":"%.*s","peer":"%.*s","threads":%u,"size":%ld,"ns":%lld,"check":%ld,"rss_kb":%ld%s})"
      "\n",
      int(who_.problem.size()), who_.problem.data(), int(who_.peer.size()), who_.peer.data(),
      with_.threads, with_.size, static_cast<long long>(took_), result, peak_rss_kb(),
      notes_.c_str());
  std::fflush(stdout);
  if (result == expected) return;
  wrong_ = true;
  std::fprintf(stderr, "%s: wrong result %ld, expected %ld\n", name_of(who_).c_str(), result,
               expected);
}

void report::note(std::string_view name, double value) {
  char text[128];
  std::snprintf(text, sizeof text, R"(,"%.*s":%.6g)", int(name.size()), name.data(), value);
  notes_ += text;
}

int run_all(identity who, const settings& with, long expected, const std::function<long()>& solve) {
  report out(who, with);
  for (int i = 0; i < with.repeat; ++i) {
    out.begin();
    const long result = solve();
    out.end();
    out.print(result, expected);
  }
  return out.status();
}

}  // namespace bench
