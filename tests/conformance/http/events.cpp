// SPDX-License-Identifier: MIT
#include "pieces.h"

#include <heddle/core/clock.h>
#include <heddle/io/http/event_source.h>
#include <heddle/io/http/events.h>

namespace {

using namespace conformance;

class HTTP_EVENTS : public cases {};
HEDDLE_AT_LOOPS(HTTP_EVENTS);

/// All events of a stream, a line each: type, id and data.
h::task<std::string> events_in(std::string text, std::size_t n, std::size_t most = 1 << 20) {
  http::event_reader events(in_pieces(std::move(text), n), most);
  std::string found;
  try {
    for (;;) {
      h::task<std::optional<http::sse_event>> next = events.next();
      const auto e = co_await next;
      if (!e) break;
      found += e->type + "," + e->id + "," + e->data;
      if (e->retry) found += ",retry=" + std::to_string(e->retry->count());
      found += "|";
    }
  } catch (const http::payload_error& e) { found += std::string("payload_error: ") + e.what(); }
  found += "last=" + events.last_id();
  co_return found;
}

TEST_P(HTTP_EVENTS, HTTP_SSE_05_EventsComeOutAsTheStandardSaysHoweverTheBytesAreCut) {
  run([]() -> h::task<> {
    const std::string stream =
        "\xef\xbb\xbf: a comment\n\ndata: one\r\ndata:two\rdata\n\n"
        "event: add\rid: 7\rdata:  x\r\r"
        "retry: 100\nretry: soon\nunknown: y\ndata: z\r\n\r\n"
        "event: no data\n\n"
        "data\n\n"
        "id\ndata: gone\n\n"
        "id: 8\ndata: unfinished";
    const std::string wanted =
        "message,,one\ntwo\n|add,7, x|message,7,z,retry=100|message,7,|message,,gone|last=";
    for (std::size_t n = 1; n < 30; ++n) {
      const std::string found = co_await events_in(stream, n);
      EQUAL(found, wanted);
    }
    const std::string whole = co_await events_in(stream, stream.size());
    EQUAL(whole, wanted);
    const std::string nul = co_await events_in(std::string("id: a\0b\ndata: x\n\n", 17), 3);
    EQUAL(nul, "message,,x|last=");
  });
}

TEST_P(HTTP_EVENTS, HTTP_SSE_05_WhatIsWrittenIsReadAgain) {
  run([]() -> h::task<> {
    http::sse_event e;
    e.type = "add";
    e.id = "9";
    e.data = "a\r\nb\rc\n";
    e.retry = std::chrono::milliseconds(5);
    const std::string text = http::sse_comment("") + e.text() + http::sse_comment("x\ny");
    EQUAL(http::sse_comment("x\ny"), ": x\n: y\n\n");
    const std::string found = co_await events_in(text, 4);
    EQUAL(found, "add,9,a\nb\nc\n,retry=5|last=9");
    const auto refuses = [](auto change) {
      http::sse_event bad;
      change(bad);
      return !refused_with<h::bad_value>([&] { return bad.text(); }).empty();
    };
    HOLDS(refuses([](auto& b) { b.type = "a\nb"; }));
    HOLDS(refuses([](auto& b) { b.id = std::string("\0", 1); }));
    HOLDS(refuses([](auto& b) { b.retry = std::chrono::milliseconds(-1); }));
  });
}

TEST_P(HTTP_EVENTS, HTTP_SSE_06_ALargeEventNeedsALargeLimit) {
  run([]() -> h::task<> {
    const std::string large(3 << 20, 'x');
    const std::string fine =
        co_await events_in("data: " + large + "\n\n", 100'000, std::size_t{4} << 20);
    HOLDS(fine == "message,," + large + "|last=");
    const std::string refused = co_await events_in("data: " + large + "\n\n", 100'000);
    HOLDS(has(refused, "an event has more than max_event, 1048576 bytes"));
    const std::string many_lines = [] {
      std::string text;
      for (int i = 0; i < 1000; ++i) text += "data: 0123456789\n";
      return text;
    }();
    const std::string sum = co_await events_in(many_lines + "\n", 1000, 1000);
    HOLDS(has(sum, "max_event, 1000 bytes"));
  });
}

/// A server that answers one after the other with what stands in its list.
class scripted {
 public:
  struct answer {
    int status;
    std::string type;
    std::string text;  // "lost": no answer comes
  };
  explicit scripted(std::vector<answer> answers) : answers_(std::move(answers)) {}

  h::task<http::event_answer> open(std::string last_id) {
    asked += last_id + ";";
    const answer& a = answers_.at(n_++);
    co_await h::yield_now();
    if (a.text == "lost") throw http::connection_lost("gone");
    http::event_answer out;
    out.status = a.status;
    out.content_type = a.type;
    out.body = in_pieces(a.text, 5);
    co_return out;
  }
  http::event_source source(http::event_source_options o) {
    return http::event_source([this](std::string last_id) { return open(std::move(last_id)); }, o);
  }
  std::string asked;

 private:
  std::vector<answer> answers_;
  std::size_t n_ = 0;
};

/// The data of all events, and what they end with.
h::task<std::string> all_from(http::event_source& events) {
  std::string found;
  try {
    for (;;) {
      h::task<std::optional<http::sse_event>> next = events.next();
      const auto e = co_await next;
      if (!e) break;
      found += e->id + ":" + e->data + ";";
    }
    found += "end";
  } catch (const http::http_error& e) { found += e.what(); }
  co_return found;
}

http::event_source_options quick() {
  http::event_source_options o;
  o.retry = 1ms;
  o.most_retry = 100ms;
  return o;
}

constexpr auto stream_type = "text/event-stream; charset=utf-8";

TEST_P(HTTP_EVENTS, HTTP_SSE_07_ASourceComesBackWithTheLastIdUntilItIsToldNotTo) {
  run([]() -> h::task<> {
    scripted server({{200, stream_type, "retry: 20\nid: 7\ndata: a\n\nid: 8\ndata: cut"},
                     {200, "", "lost"},
                     {500, "text/html", "busy"},
                     {200, stream_type, "data: b\n\nid:\ndata: c\n\n"},
                     {204, "", ""}});
    auto events = server.source(quick());
    const auto begin = h::clock::now();
    auto reading = all_from(events);
    const std::string found = co_await reading;
    EQUAL(found, "7:a;7:b;:c;end");
    EQUAL(server.asked, ";7;7;7;;");
    EQUAL(events.connections(), 4u);
    // 20 ms, 20, 40, and 20 again, for an event has come.
    HOLDS(h::clock::now() - begin >= 100ms);
    const auto after = co_await events.next();
    HOLDS(!after);
  });
}

TEST_P(HTTP_EVENTS, HTTP_SSE_07_WhatAnotherTryWouldOnlyMeetAgainIsAnError) {
  run([]() -> h::task<> {
    scripted wrong({{200, "text/html", "data: x\n\n"}});
    auto events = wrong.source(quick());
    auto reading = all_from(events);
    const std::string type = co_await reading;
    HOLDS(has(type, "is no event stream but \"text/html\""));
    scripted missing({{404, stream_type, ""}});
    auto lost = missing.source(quick());
    auto again = all_from(lost);
    const std::string status = co_await again;
    HOLDS(has(status, "the status 404"));
    scripted large({{200, stream_type, "data: " + std::string(100, 'x') + "\n\n"}});
    auto o = quick();
    o.max_event = 50;
    auto small = large.source(o);
    auto third = all_from(small);
    const std::string size = co_await third;
    HOLDS(has(size, "max_event, 50 bytes"));
    scripted broken({{200, "", "lost"}, {200, "", "lost"}, {200, "", "lost"}});
    o.tries = 3;
    auto hopeless = broken.source(o);
    auto fourth = all_from(hopeless);
    const std::string last = co_await fourth;
    HOLDS(has(last, "gone"));
    EQUAL(broken.asked, ";;;");
  });
}

}  // namespace
