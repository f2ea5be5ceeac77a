// SPDX-License-Identifier: MIT
// What the cases of the I/O layer share. A case runs on both reactors, one after the other:
//
//   REACTOR_CASES(IO_CONN);
//   TEST_P(IO_CONN, IO_CONN_02_ARefusalStartsTheNextAddressAtOnce) {
//     run([]() -> h::task<> { ... });
//   }
#pragma once

#include "../io_cases.h"

#include <heddle/sched/loop/driver.h>

#include <string>
#include <utility>
#include <vector>

namespace conformance {

/// The reactors that the kernel allows.
inline const std::vector<h::reactor_kind>& reactors() {
  static const std::vector<h::reactor_kind> all = [] {
    std::vector<h::reactor_kind> found{h::reactor_kind::epoll};
    std::string note;
    if (h::detail::choose_reactor(h::reactor_kind::automatic, note) == h::reactor_kind::uring ||
        note.empty())
      found.push_back(h::reactor_kind::uring);
    return found;
  }();
  return all;
}

/// Base of the groups of the I/O layer.
class reactor_cases : public cases {
 protected:
  /// Runs `body(args...)`, a task, on each reactor. `args` are given anew each time.
  template <class F, class... Args>
  void run(F body, const Args&... args) {
    for (const auto kind : reactors()) {
      SCOPED_TRACE(kind == h::reactor_kind::epoll ? "epoll" : "io_uring");
      options.reactor = kind;
      cases::run(body, args...);
    }
  }
};

#define REACTOR_CASES(group)                            \
  class group : public ::conformance::reactor_cases {}; \
  HEDDLE_AT_LOOPS(group)

}  // namespace conformance
