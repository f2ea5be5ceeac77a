// SPDX-License-Identifier: MIT
#include "chain.h"

#include <algorithm>
#include <cstring>

namespace tool {

using seeing::number_in;

namespace {

constexpr std::size_t most_frames = std::size_t{1} << 20;
constexpr address strand_tag = 1;
constexpr address end_tag = 1;

}  // namespace

std::vector<frame> chain_from(seeing::sight& from, address record, address innermost, bool runs,
                              address where) {
  const auto& program = from.what();
  const auto& at = program.at();
  const std::uint32_t promise = at.frame_promise.at;
  std::vector<frame> chain;
  unsigned char head[seeing::largest_frame_head];
  for (address here = innermost; chain.size() < most_frames;) {
    if (here == 0 || here % 8 != 0 ||
        !program.mem().read(here, head, promise + at.frame_promise.size))
      return {};
    const auto part = [&](seeing::place p) { return number_in(head + promise + p.at, p.size); };
    const address resume = number_in(head, 8);
    const address owner = part(at.promise_record);
    if (!program.code().is_code(resume) ||
        (owner != record && !(runs && (owner & ~strand_tag) == record)))
      return {};
    chain.push_back({here, resume, where});
    where = part(at.end);  // of a plain call: where the next frame awaits this one
    if ((where & end_tag) != 0) return chain;
    here = part(at.continuation);
    // A circle: frames of one task are all different, and damaged ones need not be.
    if (chain.size() % 1024 == 0 &&
        std::any_of(chain.begin(), chain.end(), [&](const frame& f) { return f.at == here; }))
      return {};
  }
  return {};
}

std::vector<frame> chain_among(seeing::sight& from, address record,
                               const std::vector<address>& words) {
  std::vector<address> tried;
  std::vector<frame> best;
  for (const address w : words) {
    if (w == 0 || w % 8 != 0 || std::find(tried.begin(), tried.end(), w) != tried.end()) continue;
    tried.push_back(w);
    auto chain = chain_from(from, record, w, true);
    if (chain.size() > best.size()) best = std::move(chain);
  }
  return best;
}

}  // namespace tool
