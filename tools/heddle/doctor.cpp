// SPDX-License-Identifier: MIT
#include "doctor.h"

#include "findings.h"
#include "processes.h"

#include <heddle/core/seeing/json.h>

#include <unistd.h>

#include <chrono>
#include <cstdio>
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

int examine(const options& o, pid_t process) {
  const auto s = std::make_unique<sight>(process);
  if (const auto how = s->open(); how != seeing::opening::good)
    return complain(process, how, s->missing());
  const auto before = std::make_unique<picture>(), now = std::make_unique<picture>();
  before->take(*s);
  std::this_thread::sleep_for(between_looks);
  now->take(*s);
  circles all;
  if (!all.load(*s)) return complain(process, seeing::opening::gone, "");
  likely likely_ones;
  likely_ones.load(*s);
  likely_ones.add_to(all);
  all.find(*s, true);
  examined e{*s, *before, *now, all, likely_ones};
  look_at_tasks(e);
  look_at_loops(e);
  look_at_system(e);
  output to(STDOUT_FILENO);
  if (o.json)
    put_json(to, *s, e.found);
  else
    put(to, e.found);
  to.flush();
  return e.found.empty() ? good : nothing;
}

}  // namespace

int doctor(const options& o) {
  if (o.target.empty()) {
    std::fputs("heddle: doctor of which process?\nheddle ps lists them.\n", stderr);
    return usage;
  }
  const auto processes = processes_named(o.target);
  if (processes.empty()) {
    std::fprintf(stderr, "heddle: no program is called %s\n", o.target.c_str());
    return gone;
  }
  int result = good;
  for (const pid_t p : processes)
    if (const int r = examine(o, p); r != good) result = r;
  return result;
}

}  // namespace tool
