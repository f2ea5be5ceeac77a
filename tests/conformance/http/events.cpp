// SPDX-License-Identifier: MIT
#include "pieces.h"

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

}  // namespace
