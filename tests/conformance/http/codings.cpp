// SPDX-License-Identifier: MIT
#include "pieces.h"

#include <heddle/io/http/codings.h>

#include <array>
#include <vector>

namespace {

using namespace conformance;
using http::coding;

class HTTP_CODINGS : public cases {};
HEDDLE_AT_LOOPS(HTTP_CODINGS);

std::string sample() {
  std::string text;
  for (int i = 0; i < 9000; ++i) text += "line " + std::to_string(i * 7919 % 10007) + "\n";
  return text;
}

std::vector<coding> built() {
  std::vector<coding> found{coding::gzip, coding::deflate};
  if (http::coding_of("br")) found.push_back(coding::br);
  if (http::coding_of("zstd")) found.push_back(coding::zstd);
  return found;
}

/// zlib's data without its header and its check: what some servers call deflate.
std::string bare(const std::string& zlib) { return zlib.substr(2, zlib.size() - 6); }

h::task<std::string> undone(std::string packed, std::string how, std::size_t n) {
  auto body = http::decoded(in_pieces(std::move(packed), n), how);
  auto reading = all_of(std::move(body));
  std::string found = co_await reading;
  co_return found;
}

TEST_P(HTTP_CODINGS, HTTP_CLI_CMP_01_TheAcceptedCodingsAreThoseThatAreBuilt) {
  std::string list;
  for (const coding c : built()) list += (list.empty() ? "" : ", ") + std::string(http::name_of(c));
  EQUAL(http::known_codings(), list);
  HOLDS(http::coding_of("X-GZip") == coding::gzip);
  HOLDS(!http::coding_of("compress"));
}

TEST_P(HTTP_CODINGS, HTTP_CLI_CMP_02_EveryCodingIsUndoneHoweverItsBytesAreCut) {
  run([]() -> h::task<> {
    const auto text = sample();
    for (const coding c : built()) {
      const auto packed = http::encoded(c, text);
      HOLDS(packed.size() < text.size() / 2);
      for (const std::size_t n : {std::size_t{1}, std::size_t{3}, packed.size()}) {
        const std::string found = co_await undone(packed, std::string(http::name_of(c)), n);
        HOLDS(found == text);
      }
    }
    const auto zlib = http::encoded(coding::deflate, text);
    for (const std::size_t n : {std::size_t{1}, std::size_t{2}, zlib.size()}) {
      const std::string found = co_await undone(bare(zlib), "deflate", n);
      HOLDS(found == text);
    }
    const std::string found = co_await undone(http::encoded(coding::gzip, text), "X-gzip", 100);
    HOLDS(found == text);
    const std::string nothing = co_await undone("", "gzip", 1);
    EQUAL(nothing, "");
  });
}

TEST_P(HTTP_CODINGS, HTTP_CLI_CMP_03_MembersAndFramesAreJoined) {
  run([]() -> h::task<> {
    for (const coding c : built()) {
      if (c != coding::gzip && c != coding::zstd) continue;
      const auto packed = http::encoded(c, "one ") + http::encoded(c, "") + http::encoded(c, "two");
      for (std::size_t n = 1; n <= packed.size(); ++n) {
        const std::string found = co_await undone(packed, std::string(http::name_of(c)), n);
        EQUAL(found, "one two");
      }
    }
  });
}

TEST_P(HTTP_CODINGS, HTTP_CLI_CMP_04_StackedCodingsAreUndoneInReverse) {
  run([]() -> h::task<> {
    const auto text = sample();
    std::string packed = text;
    std::string list;
    for (const coding c : built()) {
      packed = http::encoded(c, packed);
      list += (list.empty() ? "" : ", ") + std::string(http::name_of(c));
    }
    const std::string found = co_await undone(packed, list + ", identity", 777);
    HOLDS(found == text);
    const auto six = [] { (void)http::decoded(in_pieces("", 1), "gzip,gzip,gzip,gzip,gzip,gzip"); };
    HOLDS(has(refused_with<http::payload_error>([&] { return six(), 0; }), "5 content codings"));
  });
}

TEST_P(HTTP_CODINGS, HTTP_CLI_CMP_05_AnUnknownCodingLeavesTheBodyAsItIs) {
  run([]() -> h::task<> {
    const std::string found = co_await undone("raw bytes", "gzip, rot13", 2);
    EQUAL(found, "raw bytes");
    HOLDS(!http::codings_in("gzip, rot13"));
    EQUAL(http::codings_in("gzip, br, identity").has_value(), http::coding_of("br").has_value());
  });
}

TEST_P(HTTP_CODINGS, HTTP_CLI_CMP_07_CodedDataThatEndsEarlyIsAnError) {
  run([]() -> h::task<> {
    for (const coding c : built()) {
      const auto packed = http::encoded(c, "some text, some text, some text");
      for (std::size_t n = 1; n < packed.size(); ++n) {
        const std::string found =
            co_await undone(packed.substr(0, n), std::string(http::name_of(c)), 5);
        HOLDS(has(found, "payload_error: the body ends inside its " +
                             std::string(http::name_of(c)) + " data"));
      }
      const std::string more = co_await undone(packed + "!", std::string(http::name_of(c)), 5);
      HOLDS(has(more, "payload_error"));
    }
    auto broken = http::encoded(coding::gzip, sample());
    broken[broken.size() - 6] = static_cast<char>(broken[broken.size() - 6] ^ 1);  // its CRC
    const std::string found = co_await undone(broken, "gzip", 1000);
    HOLDS(has(found, "the gzip data is broken"));
  });
}

TEST_P(HTTP_CODINGS, HTTP_CLI_CMP_07_AFrameOfAnotherSizeThanItTellsIsAnErrorHoweverItIsCut) {
  if (!http::coding_of("zstd")) return;
  run([]() -> h::task<> {
    // It tells of 248 bytes, and has one empty block.
    const std::string frame("\x28\xb5\x2f\xfd\x21\x00\xf8\x01\x00\x00", 10);
    for (std::size_t n = 1; n <= frame.size(); ++n) {
      const std::string found = co_await undone(frame, "zstd", n);
      HOLDS(has(found, "payload_error: the zstd data is broken"));
    }
  });
}

TEST_P(HTTP_CODINGS, HTTP_CLI_CMP_08_ABombGrowsOnlyAsItsReaderAsks) {
  run([]() -> h::task<> {
    const std::string zeros(8 << 20, '\0');
    for (const coding c : built()) {
      const auto once = http::encoded(c, zeros);
      HOLDS(once.size() < 20'000);
      auto body = http::decoded(http::body_reader(once), http::name_of(c));
      std::size_t sum = 0;
      for (int i = 0; i < 10; ++i) {
        const auto piece = co_await body.next_chunk();
        HOLDS(piece && !piece->empty() && piece->size() <= 64 * 1024);
        sum += piece->size();
      }
      HOLDS(sum <= 10 * 64 * 1024);
      bool limited = false;
      try {
        (void)co_await body.read_all(1 << 20);
      } catch (const h::limit_overrun_error&) { limited = true; }
      HOLDS(limited);
    }
  });
}

TEST_P(HTTP_CODINGS, HTTP_CLI_CMP_09_TooManyEmptyMembersAreRefused) {
  run([]() -> h::task<> {
    const auto member = http::encoded(coding::gzip, "");
    std::string packed;
    for (int i = 0; i < 1024; ++i) packed += member;
    const std::string fine = co_await undone(packed, "gzip", packed.size());
    EQUAL(fine, "");
    const std::string found = co_await undone(packed + member, "gzip", packed.size());
    HOLDS(has(found, "more than 1024 empty members"));
  });
}

TEST_P(HTTP_CODINGS, HTTP_CLI_CMP_10_WhatTheSenderFlushesIsDecodedAtOnce) {
  run([]() -> h::task<> {
    for (const coding c : built()) {
      http::encoder by(c);
      std::string first;
      by.write("event one", first);
      by.flush(first);
      std::string second;
      by.write("event two", second);
      by.finish(second);
      const auto n = first.size();
      // The input yields the first `n` bytes, and then waits: the reader has the event by then.
      auto body = http::decoded(in_pieces(first + second, n), http::name_of(c));
      const auto piece = co_await body.next_chunk();
      HOLDS(piece == "event one");
      const std::string rest = co_await body.read_all();
      EQUAL(rest, "event two");
    }
  });
}

TEST_P(HTTP_CODINGS, HTTP_SRV_CMP_01_TheCodingIsChosenByWeights) {
  constexpr std::array offers = {coding::br, coding::gzip, coding::deflate};
  const auto chosen = [&](std::optional<std::string_view> field) {
    const auto c = http::negotiate(field, offers);
    return std::string(c ? http::name_of(*c) : "406");
  };
  EQUAL(chosen(std::nullopt), "identity");
  EQUAL(chosen(" "), "identity");
  EQUAL(chosen("*"), "br");
  EQUAL(chosen("gzip"), "gzip");
  EQUAL(chosen("deflate, gzip"), "gzip");
  EQUAL(chosen("deflate;q=0.9, GZIP; q=0.8"), "deflate");
  EQUAL(chosen("gzip;q=0.5, identity"), "identity");
  EQUAL(chosen("identity;q=0"), "406");
  EQUAL(chosen("*;q=0"), "406");
  EQUAL(chosen("*;q=0, gzip;q=0.001"), "gzip");
  EQUAL(chosen("notgzip"), "identity");
  EQUAL(chosen("gzip;q=nonsense, deflate;q=0.1"), "deflate");
  EQUAL(chosen(",, gzip;q=1.5 ,"), "identity");
  if (http::coding_of("br")) EQUAL(chosen("gzip;q=0, br;q=0.5"), "br");
}

}  // namespace
