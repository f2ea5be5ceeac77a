// SPDX-License-Identifier: MIT
// Frames of a WebSocket: cuts change nothing, on both sides, with and without compression. A
// message stays within its bound, and what is written is read again.
#include "fuzzed.h"

#include <heddle/io/http/websocket/deflate.h>
#include <heddle/io/http/websocket/frame_reader.h>
#include <heddle/io/http/websocket/utf8.h>

#include <algorithm>

namespace {

using namespace fuzzed;
using http::ws_side;
namespace d = http::detail;

constexpr std::uint64_t most_message = 4096;
constexpr std::size_t room = 512;

struct reading {
  ws_side side;
  bool compression;
  std::size_t step;
};

/// What a reader tells of bytes that come in such pieces. The runs of a message are joined.
std::string told(std::string_view text, const reading& how) {
  d::frame_reader reader(how.side, most_message, how.compression);
  std::string found;
  std::size_t message = 0;
  const auto note = [&](std::string_view what) { found.append("\n").append(what).append(" "); };
  for (std::size_t at = 0; at < text.size(); at += how.step) {
    auto piece = text.substr(at, how.step);
    for (;;) {
      std::string run;
      const auto what = reader.next(piece, run, room);
      if (what == d::found::nothing) break;
      switch (what) {
        case d::found::data:
          must(run.size() <= room, "a run is within its room");
          if (reader.begins()) {
            note(reader.kind() == d::opcode::text ? "text" : "binary");
            if (reader.is_compressed()) found += "compressed ";
            message = 0;
          }
          message += run.size();
          must(reader.is_compressed() || message <= most_message, "a message is within its bound");
          found += run;
          if (reader.ends()) note("ends");
          break;
        case d::found::ping:
          note("ping");
          found += reader.control_body();
          break;
        case d::found::pong:
          note("pong");
          found += reader.control_body();
          break;
        case d::found::close:
          note("close");
          found += std::to_string(reader.code()) + " ";
          found += reader.reason();
          must(d::is_utf8(reader.reason()), "the reason of a close is UTF-8");
          break;
        case d::found::failure:
          note("failure");
          return found + std::to_string(reader.code()) + " " + std::string(reader.reason());
        case d::found::nothing: break;
      }
    }
    must(piece.empty(), "what tells nothing is taken");
  }
  return found;
}

/// What a message inflates to, in steps of that room.
std::string inflated_in(std::string_view packed, std::size_t step) {
  d::inflater by(12);
  std::string found;
  bool broken = false;
  const auto drain = [&](auto&& next) {
    for (;;) {
      const auto before = found.size();
      const auto how = next();
      must(found.size() - before <= step, "a step is bounded");
      broken = broken || how == d::inflated::broken;
      if (how != d::inflated::some || found.size() > most_message) return;
    }
  };
  drain([&] { return by.next(packed, found, step); });
  if (!broken && found.size() <= most_message) drain([&] { return by.end(found, step); });
  if (found.size() > most_message) return "too big";
  return broken ? "broken" : found;
}

void written_and_read(std::string_view text, ws_side sender, std::size_t step) {
  d::frame_head head;
  head.op = d::opcode::binary;
  head.length = text.size();
  std::string wire;
  d::append_frame(wire, head, text, sender);
  const auto receiver = sender == ws_side::client ? ws_side::server : ws_side::client;
  const auto wanted = "\nbinary " + std::string(text) + "\nends ";
  must(told(wire, {receiver, false, step}) == wanted, "what is written is read again");
}

void packed_and_unpacked(std::string_view text) {
  d::deflater by(12, 5);
  std::string packed;
  by.add(text.substr(0, text.size() / 2), false, packed);
  by.add(text.substr(text.size() / 2), true, packed);
  must(inflated_in(packed, 64) == text, "what is compressed is inflated again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const cut_text in(data, size);
  for (const auto side : {ws_side::server, ws_side::client}) {
    for (const bool compression : {false, true}) {
      const std::size_t whole = in.text.size() + 1;
      must(told(in.text, {side, compression, in.step}) == told(in.text, {side, compression, whole}),
           "cuts change nothing");
    }
  }
  const auto some = in.text.substr(0, most_message);
  written_and_read(some, ws_side::client, in.step);
  written_and_read(some, ws_side::server, in.step);
  must(inflated_in(in.text, in.step) == inflated_in(in.text, 4096), "steps change nothing");
  packed_and_unpacked(some);
  d::utf8_checker cut;
  bool good = true;
  for (std::size_t at = 0; good && at < in.text.size(); at += in.step)
    good = cut.feed(in.text.substr(at, in.step));
  must((good && cut.complete()) == d::is_utf8(in.text), "cuts change no verdict on UTF-8");
  return 0;
}
