// SPDX-License-Identifier: MIT
#include "model/run.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench::model {
namespace {

[[noreturn]] void usage(const char* program, int status) {
  std::FILE* out = status == 0 ? stdout : stderr;
  std::fprintf(out,
               "%s: prints one JSON line for each problem and number of loops\n"
               "  --problem NAME     default: all\n"
               "  --loops N,N,...\n"
               "  --effort NAME      full, quick or smoke: how large the problems are\n"
               "  --operation-ns NS  model: what an operation takes on one loop of the machine\n"
               "  --settle MS        model: all other loops sleep before the run begins\n"
               "  --repeat N         real: the least of so many runs\n"
               "problems:\n",
               program);
  for (const auto& p : problems()) std::fprintf(out, "  %-14s %s\n", p.name, p.title);
  std::exit(status);
}

}  // namespace

wishes read_wishes(int argc, char** argv, std::vector<unsigned> loops) {
  wishes w;
  w.loops = std::move(loops);
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--help" || word == "-h") usage(argv[0], 0);
    if (++i == argc) usage(argv[0], 2);
    const std::string value = argv[i];
    if (word == "--problem") {
      const problem* found = find_problem(value.c_str());
      if (!found) usage(argv[0], 2);
      w.chosen.push_back(found);
    } else if (word == "--loops") {
      w.loops.clear();
      for (const char* at = value.c_str(); at; at = std::strchr(at, ',')) {
        if (*at == ',') ++at;
        w.loops.push_back(static_cast<unsigned>(std::atoi(at)));
      }
    } else if (word == "--effort") {
      if (value != "full" && value != "quick" && value != "smoke") usage(argv[0], 2);
      w.effort = value == "full" ? 0 : value == "quick" ? 1 : 2;
    } else if (word == "--operation-ns") {
      w.operation_ns = std::atof(value.c_str());
    } else if (word == "--settle") {
      w.settle_ms = std::atoi(value.c_str());
    } else if (word == "--repeat") {
      w.repeat = std::atoi(value.c_str());
    } else {
      usage(argv[0], 2);
    }
  }
  if (w.chosen.empty())
    for (const auto& p : problems()) w.chosen.push_back(&p);
  return w;
}

std::string line_head(const problem& p, unsigned loops, long operations) {
  return R"({"problem":")" + std::string(p.name) + R"(","title":")" + p.title + R"(","loops":)" +
         std::to_string(loops) + R"(,"operations":)" + std::to_string(operations);
}

}  // namespace bench::model
