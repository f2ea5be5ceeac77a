// SPDX-License-Identifier: MIT
// heddle-serve: an HTTP server on all loops, with a page that shows them at work.
#include "page_html.h"
#include "serve_certificate.h"
#include "serve_stats.h"
#include "serve_work.h"

#include <heddle/heddle.h>
#include <heddle/io/tls.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace {

namespace h = heddle;
namespace http = heddle::http;
using namespace std::chrono_literals;

constexpr std::string_view help =
    R"(heddle-serve: an HTTP server on all cores, with a live page of its loops

usage: heddle-serve [options]

  --host ADDRESS   where to listen (127.0.0.1)
  --port N         0: the kernel picks one (8080)
  --loops N        event loops, one thread each; 0: one for each processor (0)
  --reactor NAME   auto, epoll or uring (auto; beats HEDDLE_REACTOR)
  --files DIR      what /files/ shows (the current directory)
  --tls            https, with --certificate, or else one that is made for this run
  --certificate FILE  the server's chain, its own first (PEM); with --key FILE
  --grace SECONDS  how long requests may go on after the order to stop (5)
  --header-timeout SECONDS  how long the head of a request may take (10)
  --help           this text

  /                the loops at work, live        /stats        the same as JSON
  /plaintext       "Hello, World!"                /json         the same as JSON
  /sleep?ms=100    answers after a sleep          /spin?ms=100  hogs its loop meanwhile
  /hash?n=100000   computes on a thread           /primes?n=100000  computes in the oneTBB arena
  /fork?n=25       computes on all loops          /files/       static files
  /inspector       its tasks and who waits for whom, for clients of this machine
  /metrics         its figures as Prometheus reads them, and /tasks.json, /graph, /tree, /stalls

Ctrl-C or SIGTERM stops it: no new requests, those at work are finished; a second one, at once.
)";

struct settings {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  unsigned loops = 0;
  h::reactor_kind reactor = h::reactor_kind::automatic;
  std::string files = ".";
  bool tls = false;
  std::string certificate;
  std::string key;
  double grace = 5;
  double header_timeout = 10;
};

/// An error on the command line.
class bad_usage : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <class N>
N number(std::string_view option, std::string_view text, N most) {
  N value{};
  if (!h::detail::parse_number(text, value, most)) {
    throw bad_usage(fmt::format("{} takes a number from 0 to {}, not \"{}\"", option, most, text));
  }
  return value;
}

h::reactor_kind reactor_of(std::string_view name) {
  if (name == "auto") return h::reactor_kind::automatic;
  if (name == "epoll") return h::reactor_kind::epoll;
  if (name == "uring") return h::reactor_kind::uring;
  throw bad_usage(fmt::format("--reactor takes auto, epoll or uring, not \"{}\"", name));
}

/// Returns no settings if help was asked for.
std::optional<settings> parse_arguments(int count, char** arguments) {
  settings s;
  for (int i = 1; i < count; ++i) {
    std::string_view option = arguments[i];
    if (option == "--help" || option == "-h") return std::nullopt;
    if (option == "--tls") {
      s.tls = true;
      continue;
    }
    std::string_view value;
    if (const auto eq = option.find('='); eq != std::string_view::npos) {
      value = option.substr(eq + 1);
      option = option.substr(0, eq);
    } else if (i + 1 < count) {
      value = arguments[++i];
    } else {
      throw bad_usage(fmt::format("{} is unknown or lacks its value", option));
    }
    if (option == "--host")
      s.host = value;
    else if (option == "--port")
      s.port = number<std::uint16_t>(option, value, 65535);
    else if (option == "--loops")
      s.loops = number<unsigned>(option, value, 256);
    else if (option == "--reactor")
      s.reactor = reactor_of(value);
    else if (option == "--files")
      s.files = value;
    else if (option == "--certificate")
      s.certificate = value;
    else if (option == "--key")
      s.key = value;
    else if (option == "--grace")
      s.grace = number<double>(option, value, 3600);
    else if (option == "--header-timeout")
      s.header_timeout = number<double>(option, value, 3600);
    else
      throw bad_usage(fmt::format("{} is unknown", option));
  }
  if (s.certificate.empty() != s.key.empty())
    throw bad_usage("--certificate and --key belong together");
  if (!s.certificate.empty() && !s.tls) throw bad_usage("--certificate and --key need --tls");
  return s;
}

/// Empty: no TLS is asked for.
h::tls_context tls_of(const settings& s) {
  if (!s.tls) return {};
  h::tls_server_options o;
  o.alpn = {"http/1.1", "http/1.0"};  // a client that asks for neither is refused
  o.certificate = s.certificate;
  o.key = s.key;
  if (o.certificate.empty()) {
    auto made = serve::self_made_certificate(s.host);
    o.certificate = std::move(made.certificate);
    o.key = std::move(made.key);
  }
  return h::tls_context::server(o);
}

/// A number in the query. It is bounded, so that one request does not take the machine for long.
std::uint64_t asked_number(const http::request& r, std::string_view name, std::uint64_t usual,
                           std::uint64_t most) {
  const auto text = r.query(name);
  if (!text) return usual;
  std::uint64_t value = 0;
  if (!h::detail::parse_number(*text, value, most)) {
    throw http::status_error(400, fmt::format("{} is a number from 0 to {}", name, most));
  }
  return value;
}

http::response result(std::string_view name, std::uint64_t n, std::uint64_t value,
                      h::time_point began) {
  const auto ms = std::chrono::duration<double, std::milli>(h::clock::now() - began).count();
  return http::response::json(fmt::format(R"({{"n":{},"{}":{},"ms":{:.3f}}})", n, name, value, ms));
}

h::task<http::response> sleep_a_while(http::request& r) {
  const std::chrono::milliseconds time(asked_number(r, "ms", 100, 60'000));
  co_await h::sleep(time);
  co_return http::response::text(fmt::format("slept {} ms\n", time.count()));
}

h::task<http::response> hash_on_a_thread(http::request& r) {
  const auto n = asked_number(r, "n", 100'000, 1'000'000'000);
  const auto began = h::clock::now();
  auto job = h::to_thread(serve::hash_chain, n);
  const auto value = co_await job;
  co_return result("hash", n, value, began);
}

h::task<http::response> primes_in_the_arena(http::request& r) {
  const auto n = asked_number(r, "n", 100'000, 100'000'000);
  const auto began = h::clock::now();
  auto job = h::to_arena(serve::count_primes, n);
  const auto value = co_await job;
  co_return result("primes", n, value, began);
}

h::task<http::response> fork_over_the_loops(http::request& r) {
  const auto n = asked_number(r, "n", 25, 38);
  const auto began = h::clock::now();
  auto work = serve::forked_fibonacci(static_cast<unsigned>(n));
  const auto value = co_await work;
  co_return result("fibonacci", n, value, began);
}

http::response spin_here(http::request& r) {
  const std::chrono::milliseconds time(asked_number(r, "ms", 100, 10'000));
  serve::spin(time);
  return http::response::text(fmt::format("hogged the loop for {} ms\n", time.count()));
}

void add_routes(http::server& server, serve::stats_report& report, const std::string& files,
                const h::tls_context& tls) {
  server.get("/",
             [](http::request&) { return http::response::html(std::string(embedded::page_html)); });
  server.get("/plaintext", [](http::request&) {
    http::response answer;
    answer.content_type = "text/plain";
    answer.body = "Hello, World!";
    return answer;
  });
  server.get("/json", [](http::request&) {
    return http::response::json(nlohmann::json{{"message", "Hello, World!"}}.dump());
  });
  server.get("/stats", [&server, &report, tls](http::request&) {
    const auto loops = h::current_runtime().stats();
    auto answer = http::response::json(report.json(loops, server.stats(), tls));
    answer.headers.add("Cache-Control", "no-store");
    return answer;
  });
  server.get("/sleep", sleep_a_while);
  server.get("/hash", hash_on_a_thread);
  server.get("/primes", primes_in_the_arena);
  server.get("/fork", fork_over_the_loops);
  server.get("/spin", spin_here);
  server.files("/files/", files);
  server.mount(http::inspector());
}

/// Ends the process at the second order to stop, whatever still runs.
h::task<> end_at_next(h::signal_set& signals) {
  auto next = signals.wait();
  (void)co_await next;
  std::fputs("stopped at once\n", stderr);
  std::_Exit(EXIT_FAILURE);
}

h::task<> serve_until_told(settings s) {
  h::signal_set signals{SIGINT, SIGTERM};
  serve::stats_report report;
  http::server_options how;
  how.header_timeout = std::chrono::duration<double>(s.header_timeout);
  how.tls = tls_of(s);
  http::server server(how);
  add_routes(server, report, s.files, how.tls);
  auto starting = server.start(s.host, s.port);
  co_await starting;
  const auto loops = h::current_runtime().loop_count();
  fmt::print("listening on {}://{}:{}/\n", s.tls ? "https" : "http", s.host, server.port());
  if (s.tls && s.certificate.empty())
    fmt::print("with a self-made certificate, which no client trusts: --certificate, --key\n");
  fmt::print("{} loop{}, reactor {}; Ctrl-C stops\n", loops, loops == 1 ? "" : "s",
             h::current_runtime().reactor());
  std::fflush(stdout);
  if (const auto& note = h::current_runtime().reactor_note(); !note.empty())
    fmt::print(stderr, "heddle-serve: {}\n", note);

  auto told = signals.wait();
  (void)co_await told;
  fmt::print("stopping: finishing what runs, for {} s at most\n", s.grace);
  std::fflush(stdout);
  auto impatient = h::create_task(end_at_next(signals));
  auto stopping = server.stop(std::chrono::duration<double>(s.grace));
  co_await stopping;
  impatient.cancel();
  try {
    co_await impatient;  // it waits in `signals`, and that ends with this frame
  } catch (const h::cancelled_error&) {}
  fmt::print("stopped after {} requests\n", server.stats().requests);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const auto s = parse_arguments(count, arguments);
    if (!s) {
      std::fwrite(help.data(), 1, help.size(), stdout);
      return EXIT_SUCCESS;
    }
    h::options o;
    o.loops = s->loops;
    o.reactor = s->reactor;
    h::run(serve_until_told(*s), o);
    return EXIT_SUCCESS;
  } catch (const bad_usage& e) {
    fmt::print(stderr, "heddle-serve: {}\nTry --help.\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "heddle-serve: {}\n", e.what());
    return EXIT_FAILURE;
  }
}
