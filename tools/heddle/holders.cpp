// SPDX-License-Identifier: MIT
#include "holders.h"

#include "written_memory.h"

#include <algorithm>
#include <unordered_map>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

constexpr std::uint64_t most_memory = std::uint64_t{2} << 30;
constexpr std::size_t piece = std::size_t{1} << 20;
constexpr std::size_t most_places = 8;  // in the heap, for one future
constexpr std::uint64_t most_block = 65536;
constexpr std::uint64_t malloc_marks = 7;

struct region {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  holder kind = holder::a_block;
  std::string where = {};
};

bool is_in(const ranges& some, std::uint64_t at) {
  auto r = std::upper_bound(some.begin(), some.end(), at,
                            [](std::uint64_t a, const auto& one) { return a < one.first; });
  return r != some.begin() && at < (--r)->second;
}

/// The thread is a loop that sleeps: its stack holds nothing of the program's, but may hold what
/// calls before have left in buffers.
bool is_parked_loop(sight& from, pid_t number) {
  for (std::size_t i = 0; i < from.loops().size(); ++i)
    if (from.loops()[i].thread == number) return from.loops()[i].parked;
  return false;
}

/// Memory that the process may write: statics, stacks from their pointers on, and all else.
std::vector<region> regions_of(sight& from, const core_file* core) {
  std::vector<region> all;
  const auto stacks = thread_stacks(from, core);
  for (const auto& w : written_regions(from, core)) {
    if (w.path == "[vvar]" || w.path.rfind("/dev/", 0) == 0 ||
        w.path.find("io_uring") != std::string::npos)
      continue;
    region r{w.begin, w.end};
    if (!w.file.empty()) {
      r.kind = holder::a_static;
      r.where = w.file;
    }
    bool is_idle = false;
    for (const auto& t : stacks) {
      if (t.pointer < r.begin || t.pointer >= r.end) continue;
      is_idle = is_parked_loop(from, t.thread);
      r.kind = holder::a_stack;
      r.where = t.is_of_pool ? "a job on thread " : "the stack of thread ";
      r.where += std::to_string(t.thread);
      r.begin = std::max(r.begin, (t.pointer - red_zone) & ~std::uint64_t{7});
    }
    if (!is_idle) all.push_back(std::move(r));
  }
  return all;
}

/// Calls see(word, where it stands, region) for each word of all regions that can be read.
template <class F>
void each_word(sight& from, const std::vector<region>& regions, F&& see) {
  std::vector<std::uint64_t> words(piece / 8);
  for (const auto& r : regions)
    for (std::uint64_t at = r.begin; at < r.end; at += piece) {
      const std::size_t n = std::min<std::uint64_t>(piece, r.end - at) / 8;
      if (!from.what().mem().read(at, words.data(), n * 8)) continue;
      for (std::size_t i = 0; i < n; ++i) see(words[i], at + i * 8, r);
    }
}

/// The block of malloc that `at` stands in: the nearest head in front of it whose size is one, and
/// that leads to two more. False: none looks like that.
bool block_around(memory& mem, std::uint64_t at, std::uint64_t& begin, std::uint64_t& end) {
  const auto size_at = [&](std::uint64_t head, std::uint64_t& size) {
    if (!mem.get(head + 8, size)) return false;
    size &= ~malloc_marks;
    return size >= 32 && size % 16 == 0 && size <= most_block * 16;
  };
  for (std::uint64_t user = at & ~std::uint64_t{15}; user > 16 && at - user < most_block;
       user -= 16) {
    std::uint64_t size = 0, next = 0, after = 0;
    const std::uint64_t head = user - 16;
    if (!size_at(head, size) || at >= head + size + 8) continue;
    std::uint64_t mark = 0;
    if (!size_at(head + size, next) || !mem.get(head + size + 8, mark) || (mark & 1) == 0) continue;
    if (!size_at(head + size + next, after)) continue;
    begin = user;
    end = head + size + 8;
    return true;
  }
  return false;
}

struct place {
  std::size_t future;
  std::uint64_t at;
  std::uint64_t begin = 0;  // of the block
  std::uint64_t end = 0;
};

/// The blocks that something outside of them points at: their futures are held.
void look_for_pointers_to_blocks(sight& from, const std::vector<region>& regions,
                                 std::vector<place>& places, const ranges& own,
                                 std::vector<held>& to) {
  std::sort(places.begin(), places.end(),
            [](const place& a, const place& b) { return a.begin < b.begin; });
  each_word(from, regions, [&](std::uint64_t word, std::uint64_t at, const region&) {
    auto p = std::upper_bound(places.begin(), places.end(), word,
                              [](std::uint64_t w, const place& one) { return w < one.begin; });
    if (p == places.begin() || word >= (--p)->end || (at >= p->begin && at < p->end) ||
        is_in(own, at))
      return;
    for (;; --p) {  // one block may hold several promises
      if (to[p->future].by == holder::nobody) to[p->future] = {holder::a_block, p->at, "the heap"};
      if (p == places.begin() || word >= std::prev(p)->end || word < std::prev(p)->begin) return;
    }
  });
}

}  // namespace

bool find_holders(sight& from, const core_file* core, const std::vector<std::uint64_t>& futures,
                  const ranges& own, std::vector<held>& to) {
  to.assign(futures.size(), {});
  if (futures.empty()) return true;
  const auto regions = regions_of(from, core);
  std::uint64_t sum = 0;
  for (const auto& r : regions) sum += r.end - r.begin;
  if (regions.empty() || sum > most_memory) return false;
  std::unordered_map<std::uint64_t, std::size_t> number;
  for (std::size_t i = 0; i < futures.size(); ++i) number.emplace(futures[i], i);
  std::vector<place> places;
  std::vector<std::size_t> counts(futures.size());
  each_word(from, regions, [&](std::uint64_t word, std::uint64_t at, const region& r) {
    if (word < 4096) return;
    const auto found = number.find(word);
    if (found == number.end() || is_in(own, at)) return;
    auto& h = to[found->second];
    if (r.kind != holder::a_block) {
      h = {r.kind, at, r.where};
    } else if (h.by == holder::nobody && counts[found->second]++ < most_places) {
      place p{found->second, at};
      if (block_around(from.what().mem(), at, p.begin, p.end))
        places.push_back(p);
      else
        h = {holder::a_block, at, "memory"};
    }
  });
  std::erase_if(places, [&](const place& p) { return to[p.future].by != holder::nobody; });
  if (!places.empty()) look_for_pointers_to_blocks(from, regions, places, own, to);
  return true;
}

}  // namespace tool
