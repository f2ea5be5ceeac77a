// SPDX-License-Identifier: MIT
#include <heddle/sched/wait_many.h>

#include <heddle/core/seeing/layout.h>

#include <algorithm>
#include <array>

namespace heddle::detail {

distinct_members::distinct_members(std::size_t most) { targets_.reserve(most); }
distinct_members::~distinct_members() = default;

void distinct_members::add(eventual& member) { targets_.push_back(&member); }

void distinct_members::settle() {
  kept_.resize(targets_.size());
  for (std::size_t i = 0; i < kept_.size(); ++i) kept_[i] = i;
  const auto by_place = [&](std::size_t a, std::size_t b) {
    return targets_[a] != targets_[b] ? std::less<>()(targets_[a], targets_[b]) : a < b;
  };
  const auto same = [&](std::size_t a, std::size_t b) { return targets_[a] == targets_[b]; };
  std::sort(kept_.begin(), kept_.end(), by_place);
  kept_.erase(std::unique(kept_.begin(), kept_.end(), same), kept_.end());
  std::sort(kept_.begin(), kept_.end());
  for (std::size_t i = 0; i < kept_.size(); ++i) targets_[i] = targets_[kept_[i]];
  targets_.resize(kept_.size());
}

bool distinct_members::done(std::size_t i) const noexcept { return targets_[i]->done(); }

many_wait::many_wait(const std::vector<eventual*>& members, wait_until until,
                     std::optional<duration> limit)
    : queue_waiter(queue_),
      timer_node(&timed_out),
      members_(members),
      until_(until),
      limit_(limit),
      left_(members.size()) {
  if (members.empty()) throw bad_value("wait for no members: it would never return");
  switch (until) {
    case wait_until::first_completed:
    case wait_until::first_exception:
    case wait_until::all_completed: return;
  }
  throw bad_value("wait: there is no such condition");
}

many_wait::~many_wait() {
  detach();
  delete[] nodes_;
}

bool many_wait::counts(outcome how) noexcept {
  --left_;
  enough_ = enough_ || left_ == 0 || until_ == wait_until::first_completed ||
            (until_ == wait_until::first_exception && how == outcome::error);
  return enough_;
}

bool many_wait::await_ready() noexcept {
  for (const auto* m : members_)
    if (m->done()) (void)counts(m->how_ended());
  if (enough_ || (limit_ && *limit_ <= duration::zero())) return go_on();
  left_ = members_.size();  // begin() counts the ended members again when it adds their nodes
  return false;
}

bool many_wait::begin(task_record& t) {
  for (auto* m : members_) check_joinable(t, *m);
  nodes_ = new node[members_.size()];
  for (std::size_t i = 0; i < members_.size(); ++i) {
    nodes_[i].owner = this;
    nodes_[i].added = members_[i]->add_joiner(nodes_[i]);
    if (nodes_[i].added) continue;
    work_list nobody;  // stays empty: no task waits yet
    ended(members_[i]->how_ended(), nobody);
  }
  if (limit_) {
    timers& heap = timers_of_this_loop();
    heap.lock();
    try {
      heap.arm(*this, saturating_add(clock::now(), *limit_));
    } catch (...) {
      heap.unlock();
      throw;
    }
    heap.unlock();
  }
  queue_.lock();
  const bool suspended = !enough_ && queue_.suspend(*this, t);
  queue_.unlock();
  return suspended;
}

void many_wait::ended(outcome how, work_list& todo) noexcept {
  queue_.lock();
  if (counts(how))
    if (auto* w = queue_.claim_first()) todo.schedule(*w->task);
  queue_.unlock();
}

void many_wait::fired(join_node& n, eventual& target, work_list& todo) noexcept {
  static_cast<node&>(n).owner->ended(target.how_ended(), todo);
}

void many_wait::timed_out(timer_node& n, work_list& todo) noexcept {
  auto& self = static_cast<many_wait&>(n);
  self.queue_.lock();
  self.enough_ = true;
  if (auto* w = self.queue_.claim_first()) todo.schedule(*w->task);
  self.queue_.unlock();
}

void many_wait::detach() noexcept {
  if (armed_in) {
    armed_in->lock();
    (void)armed_in->disarm(*this);
    armed_in->unlock();
  }
  if (!nodes_) return;
  for (std::size_t i = 0; i < members_.size(); ++i)
    if (std::exchange(nodes_[i].added, false)) (void)members_[i]->remove_joiner(nodes_[i]);
}

void many_wait::await_resume() {
  detach();
  if (cancelled_at_resume(*this)) throw_cancelled(*task);
}

}  // namespace heddle::detail

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<many_wait> {
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail9many_waitE",
       .name = "wait",
       .text = " %0 left",
       .figures = {{seeing::figure::here, offsetof(many_wait, left_), 8}},
       .members = {seeing::member_list::vector, offsetof(many_wait, members_), 0},
       .ended_by = seeing::kind_row::tasks,
       .one_is_enough = 1},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto wait_many_kinds = std::to_array(layout_of<many_wait>::kinds);
}  // namespace

}  // namespace heddle::detail
