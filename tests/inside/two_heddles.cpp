// SPDX-License-Identifier: MIT
// A program with a heddle, that loads a module with another one.
#include "programs.h"

#include <heddle/sync/event.h>

#include <dlfcn.h>

#include <stdexcept>

namespace inside {
namespace {

h::task<> for_ever() {
  static h::event never;
  co_await never.wait();
}

}  // namespace

h::task<> two_heddles(int) {
  if (!::dlopen(HEDDLE_INSIDE_SECOND, RTLD_NOW | RTLD_LOCAL)) throw std::runtime_error(::dlerror());
  keep("in the program", for_ever());
  co_await for_ever();
}

}  // namespace inside
