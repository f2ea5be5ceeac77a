// SPDX-License-Identifier: MIT
// What is gathered piece by piece is not moved again and again, and a sender that only tells of
// many bytes makes nobody hold room for them.
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/websocket/frame_reader.h>

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace {

using namespace heddle::http;

const std::string block(std::size_t{16} * 1024, 'x');  // what one receive brings

std::string head_of(std::size_t length) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

TEST(HttpRoom, ABodyWhoseLengthIsToldStaysWhereItsFirstBytesAre) {
  response_parser p;
  p.feed(head_of(4 * block.size()));
  p.feed(block);
  const char* const first = p.message().body.data();
  for (int i = 0; i < 3; ++i) p.feed(block);
  EXPECT_TRUE(p.done());
  EXPECT_EQ(p.message().body.size(), 4 * block.size());
  EXPECT_EQ(p.message().body.data(), first);
}

TEST(HttpRoom, AChunkThatComesInPiecesStaysWhereItsFirstBytesAre) {
  response_parser p;
  p.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n");
  p.feed(block);
  const char* const first = p.message().body.data();
  for (int i = 0; i < 3; ++i) p.feed(block);
  p.feed("\r\n0\r\n\r\n");
  EXPECT_TRUE(p.done());
  EXPECT_EQ(p.message().body.data(), first);
}

TEST(HttpRoom, ASenderThatOnlyTellsOfABodyGetsRoomForFourTimesWhatItSends) {
  response_parser p(limits{.body_bytes = std::size_t{1} << 30});
  p.feed(head_of(std::size_t{1} << 30));
  p.feed(block);
  EXPECT_LE(p.message().body.capacity(), 4 * block.size());
}

/// A binary frame of so many bytes, as a server sends it.
std::string frame_head(std::size_t length) {
  std::string head("\x82\x7f");
  for (int shift = 56; shift >= 0; shift -= 8) head.push_back(static_cast<char>(length >> shift));
  return head;
}

TEST(WebSocketRoom, AFrameThatComesInPiecesHasRoomForItsRest) {
  detail::frame_reader reader(ws_side::client, std::size_t{1} << 20, false);
  const std::string first = frame_head(4 * block.size()) + block;
  std::string_view bytes = first;
  std::string run;
  ASSERT_EQ(reader.next(bytes, run, std::size_t{64} * 1024), detail::found::data);
  EXPECT_EQ(run, block);
  EXPECT_GE(run.capacity(), 4 * block.size());
}

TEST(WebSocketRoom, APeerThatOnlyTellsOfAFrameGetsRoomForFourTimesWhatItSends) {
  detail::frame_reader reader(ws_side::client, std::size_t{1} << 20, false);
  const std::string first = frame_head(std::size_t{1} << 20) + std::string(100, 'x');
  std::string_view bytes = first;
  std::string run;
  ASSERT_EQ(reader.next(bytes, run, std::size_t{64} * 1024), detail::found::data);
  EXPECT_LE(run.capacity(), 400u);
}

}  // namespace
