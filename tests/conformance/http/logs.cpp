// SPDX-License-Identifier: MIT
// HTTP-SRV-LOG: what an access log is told of requests, and that it delays none and can be forged
// by none.
#include "../io/file_cases.h"
#include "fields.h"

#include <heddle/core/errors.h>
#include <heddle/io/http/access_log.h>
#include <heddle/io/http/middlewares.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <condition_variable>

namespace {

using namespace conformance;

CASES(HTTP_SRV_LOG);

/// Keeps what a log says. It may be closed: then the log's thread waits in it.
class keeper {
 public:
  [[nodiscard]] http::access_log log(http::access_log_options o) {
    return http::access_log([this](const http::access_entry& e) { take(e); }, o);
  }
  [[nodiscard]] http::access_log log() { return log(http::access_log_options()); }
  void open(bool is) {
    const std::lock_guard held(lock_);
    open_ = is;
    changed_.notify_all();
  }
  [[nodiscard]] std::vector<http::access_entry> all() {
    const std::lock_guard held(lock_);
    return entries_;
  }
  /// "GET /path pattern status bytes" of each, in order, joined by ", ".
  [[nodiscard]] std::string text() {
    std::string all_text;
    for (const auto& e : all()) {
      if (!all_text.empty()) all_text += ", ";
      all_text += e.method + " " + e.target + " " + e.pattern + " " + std::to_string(e.status) +
                  " " + std::to_string(e.bytes) + (e.complete ? "" : " broken");
    }
    return all_text;
  }

 private:
  void take(const http::access_entry& e) {
    std::unique_lock held(lock_);
    changed_.wait(held, [&] { return open_; });
    entries_.push_back(e);
  }

  std::mutex lock_;
  std::condition_variable changed_;
  std::vector<http::access_entry> entries_;
  bool open_ = true;
};

h::task<> flushed(http::access_log log) {
  h::task<> flushing = log.flush();
  co_await flushing;
}

http::router logged_app() {
  http::router r;
  r.get("/u/{id}", [](http::request& q) {
    return http::response::text("user " + std::string(*q.path_value("id")));
  });
  r.get("/stream", [](http::request&) {
    http::response answer;
    answer.stream.write = [](http::body_writer& out) -> h::task<> {
      for (const char* piece : {"one", "two"}) {
        h::task<> sent = out.write(piece);
        co_await sent;
      }
    };
    return answer;
  });
  r.get("/throws", [](http::request&) -> http::response { throw error_e(); });
  r.get("/late", [](http::request&) -> h::task<http::response> {
    co_await h::sleep(1ms);
    co_return http::response::text("late");
  });
  r.post("/small", says("small")).body_limit(4);
  return r;
}

/// Sends a text on a connection of its own, and waits for the end.
h::task<> say(http::test_client& c, std::string text) {
  h::connection peer = c.connect();
  peer.writer.write(text);
  (void)co_await read_to_end(peer);
}

TEST_P(HTTP_SRV_LOG, HTTP_SRV_LOG_03_ASinkIsToldOfEachRequestOnce) {
  run([]() -> h::task<> {
    keeper kept;
    http::server_options o;
    o.access_log = kept.log();
    http::test_client c(logged_app(), o);
    h::task<> starting = c.start();
    co_await starting;
    const std::string host = " HTTP/1.1\r\nHost: h\r\n";
    const std::string last = "Connection: close\r\n\r\n";
    co_await say(c, "GET /u/7?x=1" + host + "\r\nGET /late" + host + "\r\nHEAD /u/7" + host +
                        "\r\nGET /none" + host + last);
    co_await say(c,
                 "GET /stream" + host + "\r\nGET /throws" + host + "\r\nPOST /u/7" + host + last);
    co_await say(c, "POST /small" + host + "Content-Length: 5\r\n\r\n12345");
    co_await say(c, "GET /bad path" + host + last);
    co_await flushed(o.access_log);
    EQUAL(kept.text(),
          "GET /u/7?x=1 /u/{id} 200 6, GET /late /late 200 4, HEAD /u/7 /u/{id} 200 0, "
          "GET /none  404 14, GET /stream /stream 200 6, GET /throws /throws 500 26, "
          "POST /u/7  405 23, POST /small /small 413 45, GET /bad  400 32");
    for (const auto& e : kept.all()) {
      HOLDS(e.time >= h::duration(0) && e.time < 60s);
      HOLDS(e.at > 1'600'000'000'000'000);
      EQUAL(e.dropped, 0u);
      EQUAL(e.remote, "");
    }
    EQUAL(o.access_log.dropped(), 0u);
  });
}

TEST_P(HTTP_SRV_LOG, HTTP_SRV_LOG_03_AnEntryHasWhatTheClientSaysOfItself) {
  run([]() -> h::task<> {
    keeper kept;
    http::server_options o;
    o.access_log = kept.log();
    o.trusted_proxies = {"unix"};
    http::router r = logged_app();
    r.use(http::request_id());
    http::test_client c(r, o);
    auto asking = fetch(c, "/u/1",
                        {{"User-Agent", "agent/1"},
                         {"Referer", "http://a.example/"},
                         {"X-Request-Id", "id-1"},
                         {"X-Forwarded-For", "192.0.2.1"}});
    const http::response answer = co_await asking;
    EQUAL(answer.status, 200);
    co_await flushed(o.access_log);
    const auto all = kept.all();
    EQUAL(all.size(), 1u);
    EQUAL(all.at(0).user_agent, "agent/1");
    EQUAL(all.at(0).referer, "http://a.example/");
    EQUAL(all.at(0).id, "id-1");
    EQUAL(all.at(0).remote, "192.0.2.1");
  });
}

TEST_P(HTTP_SRV_LOG, HTTP_SRV_LOG_03_AnAnswerThatBreaksOffIsToldToo) {
  run([]() -> h::task<> {
    keeper kept;
    http::server_options o;
    o.access_log = kept.log();
    http::router r;
    r.get("/breaks", [](http::request&) {
      http::response answer;
      answer.stream.write = [](http::body_writer& out) -> h::task<> {
        h::task<> sent = out.write("abc");
        co_await sent;
        throw error_e();
      };
      return answer;
    });
    std::atomic<bool> entered = false;
    r.get("/waits", [&](http::request&) -> h::task<http::response> {
      entered = true;
      co_await h::sleep(1h);
      co_return http::response();
    });
    http::test_client c(r, o);
    h::task<> starting = c.start();
    co_await starting;
    co_await say(c, "GET /breaks HTTP/1.1\r\nHost: h\r\n\r\n");
    {
      h::connection peer = c.connect();
      peer.writer.write("GET /waits HTTP/1.1\r\nHost: h\r\n\r\n");
      auto begun = until([&] { return entered.load(); });
      co_await std::move(begun);
      peer.writer.abort();
    }
    h::task<> stopping = c.stop(10s);
    co_await stopping;
    co_await flushed(o.access_log);
    // The first one may be told behind the second one: its client has heard of the end before.
    const std::string text = kept.text();
    EQUAL(kept.all().size(), 2u);
    HOLDS(text.find("GET /breaks /breaks 200 3 broken") != std::string::npos);
    HOLDS(text.find("GET /waits /waits 0 0 broken") != std::string::npos);
  });
}

TEST_P(HTTP_SRV_LOG, HTTP_SRV_LOG_03_ASlowSinkDelaysNoAnswerAndHearsWhatItMissed) {
  run([]() -> h::task<> {
    keeper kept;
    kept.open(false);
    http::access_log_options few;
    few.queue_limit = 3;
    http::server_options o;
    o.access_log = kept.log(few);
    http::test_client c(logged_app(), o);
    for (int i = 0; i < 10; ++i) EQUAL(co_await got(c, "/u/1"), "200 user 1");
    // The sink has not ended its first call, and all are answered.
    EQUAL(kept.all().size(), 0u);
    EQUAL(o.access_log.dropped(), 7u);
    kept.open(true);
    co_await flushed(o.access_log);
    EQUAL(kept.all().size(), 3u);
    EQUAL(co_await got(c, "/u/2"), "200 user 2");
    co_await flushed(o.access_log);
    const auto all = kept.all();
    EQUAL(all.size(), 4u);
    EQUAL(all.at(2).dropped, 0u);
    EQUAL(all.at(3).dropped, 7u);
    HOLDS(http::access_line(all.at(3), http::access_format::combined)
              .starts_with("# 7 requests are not in this log\n"));
    HOLDS(http::access_line(all.at(3), http::access_format::json).starts_with("{\"dropped\":7}\n"));
  });
}

TEST_P(HTTP_SRV_LOG, HTTP_SRV_LOG_03_EachEntryIsGivenInOrderOrCounted) {
  run([]() -> h::task<> {
    constexpr std::uint64_t tasks = 8;
    constexpr std::uint64_t each = 2000;
    std::atomic<std::uint64_t> given = 0;
    std::atomic<std::uint64_t> told = 0;
    std::atomic<std::uint64_t> in_order = 0;
    std::array<std::uint64_t, tasks> last{};  // the log's thread's
    http::access_log_options few;
    few.queue_limit = 50;
    const http::access_log log(
        [&](const http::access_entry& e) {
          ++given;
          told += e.dropped;
          auto& before = last.at(static_cast<std::size_t>(e.status));
          in_order += e.bytes > before ? 1 : 0;
          before = e.bytes;
        },
        few);
    std::vector<h::task_handle<>> adders;
    for (std::uint64_t t = 0; t < tasks; ++t) {
      adders.push_back(
          h::create_task([](const http::access_log& to, std::uint64_t who) -> h::task<> {
            for (std::uint64_t i = 1; i <= each; ++i) {
              http::access_entry e;
              e.status = static_cast<int>(who);
              e.bytes = i;
              to.add(std::move(e));
              if (i % 100 == 0) co_await h::yield_now();
            }
          }(log, t)));
    }
    for (auto& a : adders) co_await a;
    co_await flushed(log);
    EQUAL(given + log.dropped(), tasks * each);
    EQUAL(in_order.load(), given.load());
    HOLDS(told <= log.dropped());
    log.add(http::access_entry());
    co_await flushed(log);
    EQUAL(told.load(), log.dropped());
  });
}

TEST_P(HTTP_SRV_LOG, HTTP_SRV_LOG_03_OffIsTheDefaultAndASinkThatThrowsLosesItsEntry) {
  HOLDS(!http::server_options().access_log);
  THROWS(h::bad_value, http::access_log(http::access_log::sink()));
  run([]() -> h::task<> {
    const http::access_log off;
    off.add(http::access_entry());
    co_await flushed(off);
    EQUAL(off.dropped(), 0u);
    std::atomic<int> called = 0;
    http::access_log_options none;
    none.queue_limit = 0;
    THROWS(h::bad_value, http::access_log([](const http::access_entry&) {}, none));
    http::server_options o;
    o.access_log = http::access_log([&](const http::access_entry&) {
      if (++called == 1) throw error_e();
    });
    http::test_client c(logged_app(), o);
    EQUAL(co_await got(c, "/u/1"), "200 user 1");
    EQUAL(co_await got(c, "/u/2"), "200 user 2");
    co_await flushed(o.access_log);
    EQUAL(called.load(), 2);
    EQUAL(o.access_log.dropped(), 1u);
  });
  EQUAL(report_count(), 0u);
}

TEST_P(HTTP_SRV_LOG, HTTP_SRV_LOG_02_NoClientForgesALine) {
  http::access_entry e;
  e.remote = "192.0.2.1";
  e.method = "GET";
  e.target = "/a b\"\n192.0.2.9 - -";
  e.pattern = "/{x*}";
  e.status = 200;
  e.bytes = 5;
  e.at = 971'186'136'000'001;
  e.time = 1500us;
  e.referer = "http://a\\b\"c";
  e.user_agent = std::string("tab\there \x1b[2J \x00 caf\xc3\xa9 \x7f\r\n", 25);
  EQUAL(http::access_line(e, http::access_format::combined),
        "192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "
        "\"GET /a\\x20b\\x22\\x0a192.0.2.9\\x20-\\x20- HTTP/1.1\" 200 5 \"http://a\\x5cb\\x22c\" "
        "\"tab\\x09here \\x1b[2J \\x00 caf\\xc3\\xa9 \\x7f\\x0d\\x0a\"\n");
  const std::string json = http::access_line(e, http::access_format::json);
  EQUAL(std::count(json.begin(), json.end(), '\n'), 1);
  HOLDS(std::all_of(json.begin(), json.end() - 1, [](char c) { return c >= ' ' && c < 0x7f; }));
  const auto read = nlohmann::json::parse(json);
  EQUAL(read.at("target").get<std::string>(), e.target);
  EQUAL(read.at("referer").get<std::string>(), e.referer);
  EQUAL(read.at("status").get<int>(), 200);
  EQUAL(read.at("time").get<double>(), 0.0015);
  EQUAL(read.at("at").get<double>(), 971186136.000001);
  EQUAL(read.at("pattern").get<std::string>(), "/{x*}");
  EQUAL(http::access_line(http::access_entry(), http::access_format::combined),
        "- - - [01/Jan/1970:00:00:00 +0000] \"-\" 000 0 \"-\" \"-\"\n");
}

TEST_P(HTTP_SRV_LOG, HTTP_SRV_LOG_02_LongTextsAreCutAndLinesGoIntoAFile) {
  const fresh_directory top;
  put(top / "log", "before\n");
  run([&]() -> h::task<> {
    http::access_log_options short_texts;
    short_texts.text_limit = 100;
    http::server_options o;
    o.access_log =
        http::access_log::to_file(top / "log", http::access_format::combined, short_texts);
    http::test_client c(logged_app(), o);
    for (const char* byte : {"x", "\"", "\xff", "\t"}) {
      std::string agent;
      for (int i = 0; i < 10'000; ++i) agent += byte;
      auto asking = fetch(c, "/u/1", {{"User-Agent", "a" + agent + "z"}});
      const http::response answer = co_await asking;
      EQUAL(answer.status, 200);
    }
    EQUAL(co_await got(c, "/u/%0a%22" + std::string(3000, 'y')),
          "200 user \n\"" + std::string(3000, 'y'));
    co_await flushed(o.access_log);
    EQUAL(o.access_log.dropped(), 0u);
  });
  const std::string all = get(top / "log");
  EQUAL(std::count(all.begin(), all.end(), '\n'), 6);
  HOLDS(all.starts_with("before\n- - - ["));
  HOLDS(all.size() < 3000);
  HOLDS(all.find("\"a" + std::string(99, 'x') + "...\"\n") != std::string::npos);
  HOLDS(all.find("\"GET /u/%0a%22yyy") != std::string::npos);
}

TEST_P(HTTP_SRV_LOG, HTTP_SRV_LOG_02_ARenamedFileIsFollowedByANewOne) {
  const fresh_directory top;
  run([&]() -> h::task<> {
    const auto log = http::access_log::to_file(top / "log", http::access_format::json);
    const auto add = [&](int status) {
      http::access_entry e;
      e.status = status;
      log.add(std::move(e));
      return flushed(log);
    };
    co_await add(201);
    std::filesystem::rename(top / "log", top / "log.1");
    co_await add(202);
    log.reopen();
    co_await add(203);
  });
  const std::string old = get(top / "log.1");
  const std::string now = get(top / "log");
  HOLDS(old.find(":201,") != std::string::npos && old.find(":202,") != std::string::npos);
  HOLDS(old.find(":203,") == std::string::npos);
  HOLDS(now.find(":203,") != std::string::npos && now.find(":202,") == std::string::npos);
}

TEST_P(HTTP_SRV_LOG, HTTP_SRV_LOG_02_WhatAFileDoesNotTakeIsCounted) {
  run([]() -> h::task<> {
    const auto log = http::access_log::to_file("/dev/full", http::access_format::json);
    for (int i = 0; i < 5; ++i) log.add(http::access_entry());
    co_await flushed(log);
    EQUAL(log.dropped(), 5u);
  });
  const auto open = [] {
    return http::access_log::to_file("/nonexistent/log", http::access_format::json);
  };
  THROWS(std::system_error, open());
}

}  // namespace
