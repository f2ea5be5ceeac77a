// SPDX-License-Identifier: MIT
// trace_span: a part of a task's work, shown by name in what `heddle trace` records.
//
//   h::task<page> render(request r) {
//     const h::trace_span span("render");
//     auto rows = co_await query(r);      // what begins meanwhile is shown inside of it
//     co_return page_of(rows);
//   }
#pragma once

#include <heddle/core/base/config.h>

#include <cstddef>

namespace heddle {

namespace detail {
/// True: it is recorded, and trace_span_ends() is owed.
[[nodiscard]] HEDDLE_NOINLINE bool trace_span_begins(const char* name) noexcept;
HEDDLE_NOINLINE void trace_span_ends(const char* name) noexcept;
}  // namespace detail

/// From its construction to its destruction, on a track of its task; outside of tasks on one of its
/// thread. Spans of one task nest. It may live across suspensions.
///
/// It is recorded if its task is one of those that are sampled (one in 64, and all that such a task
/// creates), and everywhere while `heddle trace --all` asks for everything.
/// Cost      not recorded: a call, and two loads and tests. Recorded: some 20 ns at each end
/// Throws    nothing      Cancel  nothing
/// Thread-safety  a span belongs to one task, or to one thread
class trace_span {
 public:
  /// `name`: a literal. Only its address is kept, and read after the span has ended.
  template <std::size_t N>
  explicit trace_span(const char (&name)[N]) noexcept
      : name_(detail::trace_span_begins(name) ? name : nullptr) {}
  trace_span(const trace_span&) = delete;
  trace_span& operator=(const trace_span&) = delete;
  ~trace_span() {
    if (name_) [[unlikely]]
      detail::trace_span_ends(name_);
  }

 private:
  const char* name_;
};

}  // namespace heddle
