// SPDX-License-Identifier: MIT
// Frames, pings and texts, after the groups of Autobahn: bytes of a peer that is no library.
#include "ws_cases.h"

#include <set>

namespace {

using namespace conformance;

CASES(HTTP_WS_FRM);
CASES(HTTP_WS_CTL);
CASES(HTTP_WS_UTF);

const std::string bye = from_client(fin | close_op, close_body(1000));

constexpr std::size_t cuts[] = {1, 7, 997, 1 << 20};

TEST_P(HTTP_WS_FRM, HTTP_WS_FRM_01_MessagesOfEachLengthComeBackHoweverCut) {
  run([]() -> h::task<> {
    const std::size_t lengths[] = {0, 125, 126, 127, 128, 65535, 65536};
    const std::size_t pieces[] = {997, 1 << 20};
    for (const std::size_t n : lengths) {
      for (const std::size_t cut : pieces) {
        for (const unsigned op : {text_op, binary_op}) {
          auto p = connect_pair();
          auto echoing = h::create_task(echo_ws(p.server));
          const std::string body(n, 'a');
          h::task<> sent = op == text_op ? p.client.send_text(body) : p.client.send_binary(body);
          co_await sent;
          h::task<std::optional<http::ws_message>> next = p.client.receive();
          const std::optional<http::ws_message> m = co_await next;
          HOLDS(m && m->data == body && m->is_text() == (op == text_op));
          h::task<> closing = close_ws(p.client);
          co_await closing;
          co_await echoing;
          h::task<outcome> telling = tell(from_client(fin | op, body) + bye, cut);
          const outcome o = co_await telling;
          EQUAL(o.wire, "close(1000)");
          EQUAL(o.messages.size() > 2, n > 0);
        }
      }
    }
    h::task<outcome> telling = tell(from_client(fin | text_op, std::string(300, 'x')) + bye, 1);
    const outcome bytewise = co_await telling;
    EQUAL(bytewise.messages, "t:300 bytes");
  });
}

h::task<> refused(std::string bytes, std::string messages, std::string wire, int code = 1002) {
  for (const std::size_t cut : cuts) {
    h::task<outcome> telling = tell(bytes + from_client(fin | ping_op, "late"), cut);
    const outcome o = co_await telling;
    EQUAL(o, (outcome{messages, wire, code}));
  }
}

TEST_P(HTTP_WS_FRM, HTTP_WS_FRM_02_ALengthThatIsTooLongOrTooGreatIsRefused) {
  run([]() -> h::task<> {
    const std::string key = "\x11\x83\xf5\x07";
    const std::string heads[] = {
        std::string("\x82\xfe\x00\x7d", 4) + key + std::string(125, 'x'),
        std::string("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", 10) + key,
        std::string("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01", 10) + key,
    };
    for (const auto& head : heads) {
      h::task<> asking = refused(head, "", "close(1002)");
      co_await asking;
    }
  });
}

TEST_P(HTTP_WS_FRM, HTTP_WS_FRM_03_EachFrameOfAClientHasAKeyOfItsOwn) {
  run([]() -> h::task<> {
    auto [mine, theirs] = h::memory_pair();
    http::websocket client(std::move(theirs), http::ws_side::client, plain_options());
    std::set<std::string> keys;
    std::string bytes;
    for (int i = 0; i < 300; ++i) {
      h::task<> sent = client.send_text("the same");
      co_await sent;
      h::task<std::optional<seen_frame>> next = read_frame(mine, bytes);
      const std::optional<seen_frame> f = co_await next;
      HOLDS(f && f->masked && f->body == "the same");
      if (f) keys.insert(f->key);
    }
    HOLDS(keys.size() > 290);
    auto p = h::memory_pair();
    http::websocket server(std::move(p.second), http::ws_side::server, plain_options());
    h::task<> sent = server.send_text("open");
    co_await sent;
    bytes.clear();
    h::task<std::optional<seen_frame>> next = read_frame(p.first, bytes);
    const std::optional<seen_frame> f = co_await next;
    HOLDS(f && !f->masked && f->body == "open");
    mine.writer.close();
    p.first.writer.close();
  });
}

TEST_P(HTTP_WS_FRM, HTTP_WS_FRM_04_AMaskThatIsMissingOrTooManyIsRefused) {
  run([]() -> h::task<> {
    h::task<outcome> bare = tell(from_server(fin | text_op, "x"));
    const outcome server = co_await bare;
    EQUAL(server, (outcome{"", "close(1002)", 1002}));
    h::task<outcome> masked =
        tell(from_client(fin | text_op, "x"), 1 << 20, http::ws_side::client, plain_options());
    const outcome client = co_await masked;
    EQUAL(client, (outcome{"", "close(1002)", 1002}));
  });
}

TEST_P(HTTP_WS_FRM, HTTP_WS_FRM_05_ReservedBitsAreRefusedBehindTheMessagesBefore) {
  run([]() -> h::task<> {
    const std::string good = from_client(fin | text_op, "good");
    for (unsigned bits = 0x10; bits <= 0x70; bits += 0x10) {
      for (const unsigned op : {text_op, binary_op, ping_op, close_op}) {
        h::task<> asking =
            refused(good + from_client(fin | bits | op, "bad"), "t:good", "close(1002)");
        co_await asking;
      }
    }
  });
}

TEST_P(HTTP_WS_FRM, HTTP_WS_FRM_06_UnknownOpcodesAreRefused) {
  run([]() -> h::task<> {
    const std::string good = from_client(fin | text_op, "good");
    for (unsigned op = 3; op < 16; ++op) {
      if (op >= 8 && op <= 10) continue;
      for (const char* body : {"", "payload"}) {
        h::task<> asking = refused(good + from_client(fin | op, body), "t:good", "close(1002)");
        co_await asking;
      }
    }
    h::task<> orphan = refused(good + from_client(fin, "more"), "t:good", "close(1002)");
    co_await orphan;
    const std::string nested = from_client(text_op, "a") + from_client(fin | text_op, "b");
    h::task<> inside = refused(good + nested, "t:good", "close(1002)");
    co_await inside;
  });
}

TEST_P(HTTP_WS_FRM, HTTP_WS_FRM_07_FragmentsBecomeOneMessage) {
  run([]() -> h::task<> {
    const std::string bytes = from_client(text_op, "frag") + from_client(fin, "ment") +
                              from_client(binary_op, "") + from_client(0, "") +
                              from_client(0, "xyz") + from_client(fin, "") + bye;
    for (const std::size_t cut : cuts) {
      h::task<outcome> telling = tell(bytes, cut);
      const outcome o = co_await telling;
      EQUAL(o, (outcome{"t:fragment b:xyz", "close(1000)", 1000}));
    }
  });
}

TEST_P(HTTP_WS_FRM, HTTP_WS_FRM_08_APingBetweenFragmentsIsAnsweredAtOnce) {
  run([]() -> h::task<> {
    auto [mine, theirs] = h::memory_pair();
    http::websocket ws(std::move(theirs), http::ws_side::server, plain_options());
    auto receiving = h::create_task(receive_all(ws));
    std::string bytes;
    mine.writer.write(from_client(text_op, "first"));
    for (int i = 0; i < 3; ++i) {
      mine.writer.write(from_client(fin | ping_op, std::to_string(i)));
      h::task<std::optional<seen_frame>> next = read_frame(mine, bytes);
      const std::optional<seen_frame> pong = co_await next;
      HOLDS(pong && describe(*pong) == "pong(" + std::to_string(i) + ")");
      mine.writer.write(from_client(0, "+"));
    }
    mine.writer.write(from_client(fin, "last") + bye);
    h::task<std::string> rest = read_frames(mine);
    const std::string wire = co_await rest;
    EQUAL(wire, "close(1000)");
    mine.writer.close();
    const std::string all = co_await receiving;
    EQUAL(all, "t:first+++last");
  });
}

TEST_P(HTTP_WS_CTL, HTTP_WS_CTL_01_PingsAreAnsweredWithTheirPayloadsInOrder) {
  run([]() -> h::task<> {
    const std::string odd("\x00\xff\xfe\xc3", 4);
    std::string bytes = from_client(fin | ping_op, "") + from_client(fin | ping_op, odd);
    std::string wire = "pong() pong(" + odd + ")";
    for (int i = 0; i < 10; ++i) {
      bytes += from_client(fin | ping_op, "p" + std::to_string(i));
      wire += " pong(p" + std::to_string(i) + ")";
    }
    bytes += from_client(fin | pong_op, "unasked");
    bytes += from_client(fin | ping_op, std::string(125, 'q'));
    wire += " pong(125 bytes) close(1000)";
    for (const std::size_t cut : cuts) {
      h::task<outcome> telling = tell(bytes + bye, cut);
      const outcome o = co_await telling;
      EQUAL(o, (outcome{"", wire, 1000}));
    }
  });
}

TEST_P(HTTP_WS_CTL, HTTP_WS_CTL_02_LongAndFragmentedControlFramesAreRefused) {
  run([]() -> h::task<> {
    const std::string bad[] = {from_client(fin | ping_op, std::string(126, 'x')),
                               from_client(ping_op, "a"), from_client(pong_op, "a")};
    for (const auto& one : bad) {
      h::task<> asking = refused(one, "", "close(1002)");
      co_await asking;
    }
  });
}

TEST_P(HTTP_WS_UTF, HTTP_WS_UTF_01_TextIsUtf8HoweverCut) {
  run([]() -> h::task<> {
    const std::string good[] = {"",
                                "plain",
                                "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
                                std::string("\0", 1),
                                "\xed\x9f\xbf",
                                "\xee\x80\x80",
                                "\xef\xbf\xbf",
                                "\xf0\x90\x80\x80",
                                "\xf4\x8f\xbf\xbf",
                                "eight by\xc3\xa4tes and more text behind"};
    for (const auto& text : good) {
      for (std::size_t split = 0; split <= text.size(); ++split) {
        const std::string bytes = from_client(text_op, text.substr(0, split)) +
                                  from_client(fin, text.substr(split)) + bye;
        h::task<outcome> telling = tell(bytes, 1 << 20);
        const outcome o = co_await telling;
        EQUAL(o, (outcome{"t:" + text, "close(1000)", 1000}));
      }
    }
    // A character that is cut at the end of its message is wrong, a complete prefix is not.
    const std::string word = good[2];
    for (std::size_t n = 1; n < word.size(); ++n) {
      const bool whole = (static_cast<unsigned char>(word[n]) & 0xc0U) != 0x80U;
      h::task<outcome> telling = tell(from_client(fin | text_op, word.substr(0, n)) + bye);
      const outcome o = co_await telling;
      EQUAL(o.code, whole ? 1000 : 1007);
    }
  });
}

TEST_P(HTTP_WS_UTF, HTTP_WS_UTF_03_BadTextIsRefusedBeforeTheMessageIsComplete) {
  run([]() -> h::task<> {
    const std::string bad[] = {"\x80",
                               "\xbf",
                               "\xc0\xaf",
                               "\xc1\xbf",
                               "\xe0\x9f\xbf",
                               "\xed\xa0\x80",
                               "\xf0\x8f\xbf\xbf",
                               "\xf4\x90\x80\x80",
                               "\xf5",
                               "\xfe",
                               "\xff",
                               "ab\xc3xy"};
    for (const auto& one : bad) {
      // The third fragment never comes, nor does the rest of a frame that was begun.
      const std::string fragments = from_client(text_op, "good") + from_client(0, one);
      h::task<outcome> first = tell(fragments, 1);
      const outcome o = co_await first;
      EQUAL(o, (outcome{"", "close(1007)", 1007}));
      const std::string frame = from_client(fin | text_op, "good" + one + std::string(50, 'x'));
      h::task<outcome> second = tell(frame.substr(0, frame.size() - 45), 1);
      const outcome slow = co_await second;
      EQUAL(slow, (outcome{"", "close(1007)", 1007}));
    }
  });
}

TEST_P(HTTP_WS_UTF, HTTP_WS_UTF_04_TextToSendIsCheckedAndBinaryIsNot) {
  run([]() -> h::task<> {
    auto p = connect_pair();
    THROWS(h::bad_value, p.client.send_text("\xff"));
    THROWS(h::bad_value, p.client.try_send({http::ws_kind::text, "\xc3"}));
    THROWS(h::bad_value, http::prepared({http::ws_kind::text, "\xed\xa0\x80"}));
    const std::string any("\xff\x00\xc3", 3);
    h::task<> sent = p.client.send_binary(any);
    co_await sent;
    h::task<std::string> next = next_text(p.server);
    const std::string got = co_await next;
    EQUAL(got, any);
    h::task<> closing = close_ws(p.client);
    co_await closing;
    EQUAL(p.client.close_code(), 1000);
  });
}

}  // namespace
