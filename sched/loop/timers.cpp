// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/timers.h>

#include <heddle/core/base/assert.h>
#include <heddle/core/checked.h>
#include <heddle/core/record/work_list.h>
#include <heddle/sched/loop/histogram_cells.h>

namespace heddle::detail {
namespace {

/// One timer of so many is measured. The count of timers that fire is kept anyhow.
constexpr std::uint64_t lag_every = 64;

}  // namespace

void timers::make_room() {
  if (heap_.size() == heap_.capacity()) heap_.reserve(heap_.empty() ? 16 : 2 * heap_.size());
}

bool timers::arm(timer_node& node, time_point deadline) {
  HEDDLE_DEBUG_ASSERT(node.place == timer_node::not_armed, "a timer was armed twice");
  heap_.emplace_back();
  if (node.armed_in != this) node.armed_in = this;
  node.sequence = next_sequence_++;
  sift_up(narrow<std::uint32_t>(heap_.size() - 1), {deadline.time_since_epoch().count(), &node});
  size_.store(heap_.size(), relaxed);
  if (node.place != 0) return false;
  publish();
  return true;
}

bool timers::disarm(timer_node& node) noexcept {
  if (node.place == timer_node::not_armed) return false;
  const bool first = node.place == 0;
  remove(node.place);
  node.place = timer_node::not_armed;
  if (first) publish();
  return true;
}

unsigned timers::expire(time_point now) noexcept {
  const auto limit = now.time_since_epoch().count();
  unsigned fired = 0;
  while (first_.load(relaxed) <= limit) {
    work_list todo;
    lock_.lock();
    if (heap_.empty() || heap_[0].deadline > limit) {
      lock_.unlock();
      break;
    }
    timer_node& node = *heap_[0].node;
    const auto nth = fired_.load(relaxed) + 1;
    fired_.store(nth, relaxed);
    if (nth % lag_every == 0) [[unlikely]]
      note_lag(limit - heap_[0].deadline);
    remove(0);
    node.place = timer_node::not_armed;
    publish();
    node.fire(node, todo);  // after the unlock the node may be gone
    lock_.unlock();
    todo.settle();
    ++fired;
  }
  return fired;
}

void timers::note_lag(std::int64_t lag) noexcept {
  if (lag_) lag_->add(duration(lag));
}

void timers::publish() noexcept {
  size_.store(heap_.size(), relaxed);
  // pairs with first()
  first_.store(heap_.empty() ? duration::max().count() : heap_[0].deadline, release);
}

void timers::remove(std::uint32_t at) noexcept {
  const entry last = heap_.back();
  heap_.pop_back();
  size_.store(heap_.size(), relaxed);
  if (at == heap_.size()) return;
  if (at > 0 && before(last, heap_[(at - 1) / 4]))
    sift_up(at, last);
  else
    sift_down(at, last);
  // A rare burst of a million timers must not keep its memory for ever.
  if (heap_.capacity() > 4096 && heap_.size() < heap_.capacity() / 8) heap_.shrink_to_fit();
}

void timers::sift_up(std::uint32_t at, entry e) noexcept {
  while (at > 0) {
    const std::uint32_t parent = (at - 1) / 4;
    if (!before(e, heap_[parent])) break;
    put(at, heap_[parent]);
    at = parent;
  }
  put(at, e);
}

void timers::sift_down(std::uint32_t at, entry e) noexcept {
  const auto n = narrow<std::uint32_t>(heap_.size());
  for (;;) {
    std::uint32_t best = 4 * at + 1;
    if (best >= n) break;
    const std::uint32_t end = best + 4 < n ? best + 4 : n;
    for (std::uint32_t c = best + 1; c < end; ++c)
      if (before(heap_[c], heap_[best])) best = c;
    if (!before(heap_[best], e)) break;
    put(at, heap_[best]);
    at = best;
  }
  put(at, e);
}

}  // namespace heddle::detail
