// SPDX-License-Identifier: MIT
#include <heddle/io/first_ready.h>

#include <heddle/core/errors.h>
#include <heddle/sched/task_group.h>

#include <exception>
#include <functional>
#include <limits>
#include <system_error>
#include <utility>

namespace heddle {

namespace {

constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

/// Who was first. Each child tries to be.
struct race {
  detail::atomic<std::size_t> first{none};
  task_group group;
};

/// An error of the stream is something to read, too: the next read throws it again. Not so an
/// error of the caller, or want of memory.
task<> wait_for_something(stream_reader& from, std::size_t place, race& r) {
  try {
    bool more = true;
    while (more && from.buffered().empty()) more = co_await from.fill();
  } catch (const std::system_error&) {
    // It is told by the place.
  }
  std::size_t expected = none;
  // pairs with the loads in race_all() and first_ready_of()
  (void)r.first.compare_exchange_strong(expected, place, detail::acq_rel, detail::acquire);
  r.group.cancel();
}

task<> race_all(const std::vector<stream_reader*>& readers, race& r) {
  const auto start = [&](task_group& g) {
    try {
      for (std::size_t i = 0; i < readers.size(); ++i)
        g.create_task(wait_for_something, std::ref(*readers[i]), i, std::ref(r));
    } catch (const usage_error&) {
      // On another loop a child may be first already, and a cancelled group takes no more children.
      // pairs with the exchange in wait_for_something()
      if (r.first.load(detail::acquire) == none) throw;
    }
  };
  std::exception_ptr error;
  try {
    co_await with_task_group(r.group, start);
  } catch (const exception_group& all) { error = all.exceptions().front(); }
  if (error) std::rethrow_exception(error);
}

task<std::size_t> first_ready_of(std::vector<stream_reader*> readers) {
  for (std::size_t i = 0; i < readers.size(); ++i)
    if (!readers[i]->buffered().empty() || readers[i]->at_eof()) co_return i;
  race r;
  auto racing = race_all(readers, r);
  co_await racing;
  // pairs with the exchange in wait_for_something()
  co_return r.first.load(detail::acquire);
}

}  // namespace

task<std::size_t> first_ready(std::vector<stream_reader*> readers) {
  if (readers.empty()) throw bad_value("first_ready of no readers");
  return first_ready_of(std::move(readers));
}

}  // namespace heddle
