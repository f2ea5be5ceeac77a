// SPDX-License-Identifier: MIT
#include "frames.h"

#include "frame_blocks.h"
#include "target.h"

#include <heddle/core/memory/frame_depot.h>
#include <heddle/core/seeing/output.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tool {
namespace {

using heddle::detail::frame_depot;
using seeing::address;
using seeing::output;
using seeing::sight;

struct sum {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  void add(std::size_t n) {
    ++count;
    bytes += n;
  }
};

struct tally {
  std::unordered_map<address, sum> functions = {};
  sum depot = {};
  sum large = {};
  std::uint64_t reserved = 0;
};

/// False: see frame_blocks::load().
bool add_all(sight& s, tally& to) {
  frame_blocks blocks;
  if (!blocks.load(s)) return false;
  to.reserved = blocks.reserved;
  for (const auto& b : blocks.all) {
    to.functions[b.resume].add(b.bytes);
    to.depot.add(b.bytes);
  }
  for (const auto& b : large_frames(s, blocks)) {
    to.functions[b.resume].add(b.bytes);
    to.large.add(b.bytes);
  }
  return true;
}

void put_right(output& to, std::uint64_t value, std::size_t width) {
  const std::string text = std::to_string(value);
  to.put(std::string(text.size() < width ? width - text.size() : 0, ' '));
  to.put(text);
}

void put(output& to, target& of, const tally& t) {
  sight& s = of.see();
  std::vector<std::pair<address, sum>> sorted(t.functions.begin(), t.functions.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.bytes != b.second.bytes ? a.second.bytes > b.second.bytes : a.first < b.first;
  });
  to.put(of.title());
  to.put("  ");
  to.escaped(of.command(), 15);
  to.put("\n     FRAMES         BYTES  EACH  FUNCTION\n");
  for (const auto& [resume, f] : sorted) {
    put_right(to, f.count, 11);
    put_right(to, f.bytes, 14);
    put_right(to, f.bytes / f.count, 6);
    to.put("  ");
    to.escaped(s.names().function(resume), 160);
    to.put('\n');
  }
  put_right(to, t.depot.count, 11);
  put_right(to, t.depot.bytes, 14);
  to.put("        of ");
  to.number(t.reserved);
  to.put(" bytes that are reserved for frames, callbacks and the like\n");
  if (t.large.count == 0) return;
  put_right(to, t.large.count, 11);
  put_right(to, t.large.bytes, 14);
  to.put("        in frames of more than ");
  to.number(frame_depot::largest);
  to.put(" bytes, which are blocks of malloc: those of the tasks that wait\n");
}

int print_frames(const options&, target& of) {
  tally t;
  if (!add_all(of.see(), t)) {
    std::fprintf(stderr, "heddle: the memory of frames cannot be read whole in %s\n%s\n",
                 of.title().c_str(),
                 of.core() ? "The core is cut off or damaged there."
                           : "Use the tool that was built with its library.");
    return unreadable;
  }
  output to(STDOUT_FILENO);
  put(to, of, t);
  to.flush();
  return t.depot.count + t.large.count != 0 ? good : nothing;
}

}  // namespace

int frames(const options& o) { return for_each_target(o, &print_frames); }

}  // namespace tool
