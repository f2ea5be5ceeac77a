// SPDX-License-Identifier: MIT
// Programs for a debugger, with debug information and without optimisation.
#include "programs.h"

#include <heddle/sync/event.h>

namespace inside {
namespace {

h::event& never() {
  static auto* const e = new h::event;
  return *e;
}

h::task<> copies(int from, int to) {
  const int lines = from * 100 + to;
  co_await never().wait();
  if (lines == 0) never().set();
}
h::task<> forwards(int first) {
  const int second = first + 1;
  co_await copies(first, second);
}

/// Computes for ever. What it counts is volatile, so no compiler takes the loop away.
void compute() {
  for (volatile unsigned n = 0;;) n = n + 1;
}
h::task<> parses() {
  compute();
  co_return;
}
h::task<> imports() { co_await parses(); }
h::task<> serves() { co_await imports(); }

}  // namespace

h::task<> variables(int) {
  keep("copier", forwards(41));
  co_await never().wait();
}

h::task<> computing(int) {
  keep("server", serves());
  co_await never().wait();
}

}  // namespace inside
