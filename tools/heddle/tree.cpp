// SPDX-License-Identifier: MIT
#include "tree.h"

#include "forest.h"
#include "processes.h"

#include <unistd.h>

#include <cstdio>
#include <memory>

namespace tool {
namespace {

using seeing::output;
using seeing::sight;
using seeing::task_view;

int print_tree(const options& o, pid_t process) {
  const auto s = std::make_unique<sight>(process);
  if (const auto how = s->open(); how != seeing::opening::good)
    return complain(process, how, s->missing());
  (void)s->look_at_loops();
  struct context {
    const options& o;
    sight& from;
    forest all = {};
  } c{o, *s};
  const bool whole = s->tasks().each(
      [](void* to, const task_view& t) {
        auto& here = *static_cast<context*>(to);
        here.all.add(t, here.from, here.o.all_frames);
        return true;
      },
      &c);
  if (!whole) return complain(process, seeing::opening::gone, "");
  c.all.link();
  output to(STDOUT_FILENO);
  const bool is_circle = c.all.put(to);
  to.flush();
  return is_circle ? circle : c.all.size() != 0 ? good : nothing;
}

}  // namespace

int pstree(const options& o) {
  if (o.target.empty()) {
    std::fputs("heddle: pstree of which process?\nheddle ps lists them.\n", stderr);
    return usage;
  }
  const auto processes = processes_named(o.target);
  if (processes.empty()) {
    std::fprintf(stderr, "heddle: no program is called %s\n", o.target.c_str());
    return gone;
  }
  int result = good;
  for (const pid_t p : processes)
    if (const int r = print_tree(o, p); r != good) result = r;
  return result;
}

}  // namespace tool
