// SPDX-License-Identifier: MIT
#include "timeline_cut.h"

#include <heddle/core/checked.h>

#include <algorithm>
#include <utility>

namespace tool {

using heddle::detail::narrow;

namespace {

void nest(timeline& t) {
  std::vector<std::vector<std::int64_t>> open(t.tracks.size());  // the ends of what is open
  for (auto& i : t.items) {
    auto& ends = open[i.on];
    while (!ends.empty() && ends.back() <= i.begin && ends.back() < i.end) ends.pop_back();
    if (!ends.empty() && i.end > ends.back()) i.end = ends.back();
    if (i.end > i.begin) ends.push_back(i.end);
  }
}

}  // namespace

void cut_and_nest(timeline& t) {
  constexpr auto none = timeline::none;
  std::vector<std::uint32_t> now(t.items.size(), none);
  std::vector<std::uint32_t> order(t.items.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const auto& x = t.items[a];
    const auto& y = t.items[b];
    if (x.begin != y.begin) return x.begin < y.begin;
    return x.end != y.end ? x.end > y.end : a < b;
  });
  std::vector<timeline::item> kept;
  for (const auto i : order) {
    auto item = t.items[i];
    if (item.end < t.begin || item.begin > t.end) continue;
    item.begin = std::max(item.begin, t.begin);
    item.end = std::min(std::max(item.end, item.begin), t.end);
    now[i] = narrow<std::uint32_t>(kept.size());
    kept.push_back(item);
  }
  t.items = std::move(kept);
  nest(t);
  std::vector<timeline::flow> flows;
  for (auto f : t.flows) {
    f.from = now[f.from];
    f.to = now[f.to];
    if (f.from != none && f.to != none && f.at >= t.begin) flows.push_back(f);
  }
  t.flows = std::move(flows);
}

}  // namespace tool
