// SPDX-License-Identifier: MIT
#include "tree.h"

#include "circles.h"
#include "forest.h"
#include "target.h"

#include <unistd.h>

namespace tool {
namespace {

using seeing::output;
using seeing::sight;
using seeing::task_view;

int print_tree(const options& o, target& t) {
  struct context {
    const options& o;
    sight& from;
    forest all = {};
  } c{o, t.see()};
  const bool whole = t.see().tasks().each(
      [](void* to, const task_view& t) {
        auto& here = *static_cast<context*>(to);
        here.all.add(t, here.from, here.o.all_frames);
        return true;
      },
      &c);
  if (!whole)
    if (const int r = t.broke_off(); r != good) return r;
  c.all.link();
  output to(STDOUT_FILENO);
  circles waits;
  if (waits.load(t.see())) {
    waits.find(t.see(), false);
    if (const auto trouble = headline(waits); !trouble.empty()) {
      to.escaped(trouble, 150);
      to.put('\n');
    }
  }
  const bool is_circle = c.all.put(to);
  to.flush();
  return is_circle ? circle : c.all.size() != 0 ? good : nothing;
}

}  // namespace

int pstree(const options& o) { return for_each_target(o, &print_tree); }

}  // namespace tool
