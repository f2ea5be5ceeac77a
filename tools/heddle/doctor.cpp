// SPDX-License-Identifier: MIT
#include "doctor.h"

#include "findings.h"
#include "target.h"

#include <heddle/core/seeing/json.h>

#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>

namespace tool {
namespace {

using seeing::output;
using seeing::sight;

constexpr auto between_looks = std::chrono::seconds(1);

void put(output& to, const std::vector<finding>& found) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    to.number(i + 1);
    to.put("  ");
    to.escaped(found[i].what, 400);
    to.put('\n');
    for (const auto& line : found[i].evidence) {
      to.put("     ");
      to.escaped(line, 400);
      to.put('\n');
    }
    to.put("     -> ");
    to.escaped(found[i].advice, 400);
    to.put('\n');
  }
  if (found.empty()) to.put("nothing found\n");
}

void put_json(output& to, const sight& from, const std::vector<finding>& found) {
  to.put("{\"schema\": ");
  to.number(seeing::json_schema);
  to.put(", \"process\": ");
  to.number(static_cast<std::uint64_t>(from.process()));
  to.put(", \"findings\": [");
  for (std::size_t i = 0; i < found.size(); ++i) {
    to.put(i == 0 ? "\n  {\"what\": " : ",\n  {\"what\": ");
    to.json(found[i].what);
    to.put(", \"evidence\": [");
    for (std::size_t k = 0; k < found[i].evidence.size(); ++k) {
      if (k != 0) to.put(", ");
      to.json(found[i].evidence[k]);
    }
    to.put("], \"advice\": ");
    to.json(found[i].advice);
    to.put('}');
  }
  to.put("]}\n");
}

/// A process is looked at twice. A core, and what a debugger has stopped, stands still.
int examine(const options& o, target& t) {
  sight& s = t.see();
  const bool moves = t.elsewhere() == nullptr;
  const auto before = std::make_unique<picture>(), after = std::make_unique<picture>();
  before->take(s);
  if (moves) {
    std::this_thread::sleep_for(between_looks);
    after->take(s);
  }
  circles all;
  if (!all.load(s))
    if (const int r = t.broke_off(); r != good) return r;
  likely likely_ones;
  likely_ones.load(s, t.core());
  likely_ones.add_to(all);
  all.find(s, true);
  examined e{s, *before, moves ? *after : *before, all, likely_ones, !moves};
  look_at_tasks(e);
  look_at_loops(e);
  look_at_system(e);
  output to(STDOUT_FILENO);
  if (o.json)
    put_json(to, s, e.found);
  else
    put(to, e.found);
  to.flush();
  return e.found.empty() ? good : nothing;
}

/// Of two programs: that something is wrong, then what went wrong.
int worse(int a, int b) {
  const auto rank = [](int s) { return s == nothing ? 2 : s == good ? 0 : 1; };
  return rank(b) > rank(a) ? b : a;
}

}  // namespace

int doctor(const options& o) { return for_each_target(o, &examine, &worse); }

}  // namespace tool
