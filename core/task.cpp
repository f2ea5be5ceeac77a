// SPDX-License-Identifier: MIT
#include <heddle/core/task.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/record/strand_records.h>
#include <heddle/core/scheduler.h>
#include <heddle/core/seeing/layout.h>

#include <array>

namespace heddle::detail {

void promise_base::promote() {
  promise_base* root = this;  // becomes the strand's first frame: the one with an end
  while (root->end.is_call()) root = &of(root->continuation);
  auto* own = strand_records::make(*root, root->enclosing(), &root->end.own());
  own->at_home(this_thread().loop);
  const auto bits = reinterpret_cast<std::uintptr_t>(own);
  for (promise_base* p = this; p != root; p = &of(p->continuation)) p->record = bits;
  root->record = bits;
  this_thread().current = own;
}

drops_unstarted::drops_unstarted() noexcept
    : outside_(std::exchange(this_thread().drops_unstarted, true)) {}
drops_unstarted::~drops_unstarted() { this_thread().drops_unstarted = outside_; }

void drop_never_awaited(promise_base& frame) noexcept {
  if (!this_thread().drops_unstarted)
    warn_never_awaited(
        std::bit_cast<std::source_location>(frame.record - promise_base::unawaited_tag));
  const drops_unstarted silently;
  frame.handle().destroy();
}

}  // namespace heddle::detail

namespace heddle::detail {

template <>
struct layout_of<promise_base> {
  static constexpr std::uint32_t pointer = sizeof(void*);
  static constexpr seeing::field_row rows[] = {
      // Both compilers: the functions that resume and destroy, and behind them the promise.
      {"frame.promise", 2 * pointer, sizeof(promise_base)},
      {"promise.continuation", offsetof(promise_base, continuation), pointer},
      {"promise.record", offsetof(promise_base, record), 8},
      {"promise.call_or_end", offsetof(promise_base, end), pointer},
  };
};

namespace {
HEDDLE_ROW("heddle_fields")
constexpr auto task_fields = std::to_array(layout_of<promise_base>::rows);
}  // namespace

}  // namespace heddle::detail
