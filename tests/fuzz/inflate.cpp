// SPDX-License-Identifier: MIT
// Content codings: cuts change nothing, memory stays bounded, and what is encoded is decoded again.
#include "fuzzed.h"

#include <heddle/io/http/codings.h>
#include <heddle/io/http/errors.h>

#include <array>
#include <optional>

namespace {

using namespace fuzzed;

constexpr std::size_t most = 1 << 20;

h::task<std::string> decoded(std::string_view text, std::size_t step, std::string_view how) {
  auto body = http::decoded(cut_body(text, step), how);
  std::string found;
  try {
    while (found.size() < most) {
      h::task<std::optional<std::string_view>> next = body.next_chunk();
      const auto piece = co_await next;
      if (!piece) co_return found + "end";
      must(piece->size() <= 64 * 1024, "a step is bounded");
      found += *piece;
    }
  } catch (const http::payload_error&) { co_return "refused"; }
  found.resize(most);
  co_return found;
}

h::task<> tried(cut_text in) {
  const std::size_t whole = in.text.size() + 1;
  for (const auto* how : {"gzip", "deflate", "br", "zstd", "br, gzip"}) {
    h::task<std::string> cut = decoded(in.text, in.step, how);
    const std::string found = co_await cut;
    h::task<std::string> uncut = decoded(in.text, whole, how);
    const std::string wanted = co_await uncut;
    must(found == wanted, "cuts change nothing");
  }
  // One coding an input: to make an encoder of br costs more than all else here.
  constexpr std::array all = {http::coding::gzip, http::coding::deflate, http::coding::br,
                              http::coding::zstd};
  const auto c = all[in.text.size() % all.size()];
  if (!http::coding_of(http::name_of(c))) co_return;
  http::encoder by(c, 1);
  std::string packed;
  for (std::size_t at = 0; at < in.text.size(); at += 64) {
    by.write(in.text.substr(at, 64), packed);
    if (at % 128 == 0) by.flush(packed);
  }
  by.finish(packed);
  h::task<std::string> reading = decoded(packed, in.step, http::name_of(c));
  const std::string read = co_await reading;
  must(read == std::string(in.text) + "end", "what is encoded is decoded again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  finished(tried(cut_text(data, size)));
  return 0;
}
