// SPDX-License-Identifier: MIT
// Nothing but places that await: what one adds to a program is this object's size by their number.
// Each stands on a line of its own, since those of one line share what is noted.
#include "operations.h"

namespace costs {
namespace {

h::task<> nothing() { co_return; }

}  // namespace

h::task<> many(int n) {
  static_assert(places_of_many == 32);
  for (int i = 0; i < n; ++i) {
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
    co_await nothing();
  }
}

}  // namespace costs
