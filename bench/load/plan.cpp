// SPDX-License-Identifier: MIT
#include "load/plan.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <vector>

#include "common/program.h"

namespace bench {
namespace {

struct load_option {
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
    if (!(value >= least && value <= most)) return false;
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

std::vector<load_option> options_of(load_plan& p) {
  using size = std::size_t;
  return {
      {"--port", "of the server on 127.0.0.1; required",
       number_into<std::uint16_t>(p.port, 1, 65535)},
      {"--connections", "that stay open, or that are opened at a time; default: 64",
       number_into<size>(p.connections, 1, 20000)},
      {"--depth", "requests in flight a connection; default: 1",
       number_into<size>(p.depth, 1, 1024)},
      {"--bytes", "of an echo message, or of the body that a client expects; default: 64",
       number_into<size>(p.bytes, 1, size{1} << 20)},
      {"--upload", "bytes of a body that each request carries; default: 0, a GET",
       number_into<size>(p.upload, 0, size{1} << 20)},
      {"--path", "of a request; default: /plaintext", text_into(p.path)},
      {"--seconds", "that count; default: 0.6", number_into<double>(p.seconds, 0.01, 600)},
      {"--warm-up", "seconds before them; default: 0.15", number_into<double>(p.warm_up, 0, 60)},
      {"--answers", "clients only: end after so many; default: 0, by time",
       number_into<std::uint64_t>(p.answers, 0, 1'000'000'000)},
      {"--reactor", "heddle's client only: epoll, uring or auto", text_into(p.reactor)}};
}

std::string listed(std::initializer_list<std::string_view> kinds) {
  std::string all;
  for (const auto kind : kinds) all += (all.empty() ? "" : "|") + std::string(kind);
  return all;
}

load_plan read_plan(int argc, char** argv, std::initializer_list<std::string_view> kinds) {
  load_plan p;
  p.what = argc > 1 ? argv[1] : "";
  bool known = false;
  for (const auto kind : kinds) known = known || kind == p.what;
  if (!known) throw std::invalid_argument("the first word is one of " + listed(kinds));
  const auto options = options_of(p);
  for (int i = 2; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw std::invalid_argument(name + " needs a value");
    bool done = false;
    for (const auto& o : options) {
      if (o.name != name) continue;
      if (!o.set(argv[i + 1])) throw std::invalid_argument(name + " cannot be " + argv[i + 1]);
      done = true;
    }
    if (!done) throw std::invalid_argument("unknown option " + name);
  }
  if (p.port == 0) throw std::invalid_argument("--port is required");
  return p;
}

void show_help(std::FILE* to, std::string_view name, std::string_view about,
               std::initializer_list<std::string_view> kinds) {
  const std::string words = listed(kinds);
  std::fprintf(to, "%.*s %s --port P [options]\n%.*s", int(name.size()), name.data(), words.c_str(),
               int(about.size()), about.data());
  load_plan p;
  for (const auto& o : options_of(p)) {
    std::fprintf(to, "  %-14.*s %.*s\n", int(o.name.size()), o.name.data(), int(o.meaning.size()),
                 o.meaning.data());
  }
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::int64_t ns(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

}  // namespace

void figures::warm_up(const load_plan& plan, const turns& turn_until) {
  turn_until(now_ns() + ns(plan.warm_up));
}

void figures::count(const load_plan& plan, const turns& turn_until) {
  begin();
  turn_until(began_ + ns(plan.seconds));
  end();
}

void figures::begin() {
  latency_.clear();
  answers_before_ = answers_;
  cpu_ = cpu_seconds();
  began_ = now_ns();
}

void figures::end() {
  took_ = static_cast<double>(now_ns() - began_) * 1e-9;
  cpu_ = cpu_seconds() - cpu_;
}

void figures::print() const {
  auto us = [this](double quantile) { return static_cast<double>(latency_.at(quantile)) * 1e-3; };
  std::printf(
      R"({"rate":%.0f,"p50_us":%.1f,"p99_us":%.1f,"p999_us":%.1f,"client_cpu":%.3f,"answers":%llu})"
      "\n",
      static_cast<double>(counted()) / took_, us(0.5), us(0.99), us(0.999), cpu_ / took_,
      static_cast<unsigned long long>(answers_));
  std::fflush(stdout);
}

int load_main(int argc, char** argv, std::string_view name, std::string_view about,
              std::initializer_list<std::string_view> kinds,
              const std::function<void(const load_plan&)>& work) {
  if (argc > 1 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h")) {
    show_help(stdout, name, about, kinds);
    return 0;
  }
  const std::string said(name);
  try {
    const load_plan p = read_plan(argc, argv, kinds);
    // A server that stops answering must not hold the bench: the default action of SIGALRM ends
    // this process.
    alarm(static_cast<unsigned>(p.seconds + p.warm_up) + (p.answers > 0 ? 300 : 10));
    work(p);
    return 0;
  } catch (const std::invalid_argument& e) {
    std::fprintf(stderr, "%s: %s (--help tells the options)\n", said.c_str(), e.what());
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", said.c_str(), e.what());
    return 1;
  }
}

}  // namespace bench
