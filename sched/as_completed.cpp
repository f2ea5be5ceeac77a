// SPDX-License-Identifier: MIT
#include <heddle/sched/as_completed.h>

#include <heddle/core/seeing/layout.h>

#include <array>

namespace heddle::detail {

completion_queue::completion_queue(const std::vector<eventual*>& members,
                                   std::optional<duration> limit)
    : nodes_(new node[members.size()]), count_(members.size()), left_(members.size()) {
  if (limit) deadline_ = saturating_add(clock::now(), *limit);
  for (std::size_t i = 0; i < count_; ++i) {
    node& n = nodes_[i];
    n.owner = this;
    n.member = members[i];
    n.index = i;
    n.added = members[i]->add_joiner(n);
    if (n.added) continue;
    work_list nobody;  // stays empty: no task waits yet
    ended(n, nobody);
  }
}

completion_queue::~completion_queue() {
  close();
  delete[] nodes_;
}

// A node that is firing just now does so under the member's joiner lock. remove_joiner() takes that
// lock too. So after it no node fires any more.
void completion_queue::close() noexcept {
  for (std::size_t i = 0; i < count_; ++i)
    if (nodes_[i].added) (void)nodes_[i].member->remove_joiner(nodes_[i]);
}

void completion_queue::fired(join_node& n, eventual&, work_list& todo) noexcept {
  auto& own = static_cast<node&>(n);
  own.owner->ended(own, todo);
}

void completion_queue::ended(node& n, work_list& todo) noexcept {
  waiting_.lock();
  if (!late_) hand_out(n, false, todo);
  waiting_.unlock();
}

completion_queue::node* completion_queue::pop() noexcept {
  node* n = first_;
  if (!n) return nullptr;
  first_ = n->next;
  if (!first_) last_ = nullptr;
  --left_;
  return n;
}

void completion_queue::hand_out(node& n, bool first, work_list& todo) noexcept {
  if (auto* w = waiting_.claim_first()) {
    auto& next = static_cast<next_wait&>(*w);
    next.got_ = &n;
    todo.schedule(*w->task);
    if (--left_ == 0)  // no member is left for the other waiters
      while (auto* other = waiting_.claim_first()) todo.schedule(*other->task);
    return;
  }
  n.next = first ? first_ : nullptr;
  if (first)
    first_ = &n;
  else if (last_)
    last_->next = &n;
  else
    first_ = &n;
  if (!last_ || !first) last_ = &n;
}

/// Lock held. Takes a ready member if there is one. True: there is nothing to wait for.
bool next_wait::look() noexcept {
  got_ = from_->pop();
  return got_ || from_->left_ == 0 || from_->late_;
}

bool next_wait::await_ready() {
  check_fresh();
  from_->waiting_.lock();
  bool ready = look();
  from_->waiting_.unlock();
  if (!ready && from_->deadline_ && *from_->deadline_ <= clock::now()) {
    from_->waiting_.lock();
    if (!look()) from_->late_ = true;
    from_->waiting_.unlock();
    ready = true;
  }
  return ready && go_on();
}

bool next_wait::begin(task_record& t) {
  if (from_->deadline_) {
    timers& heap = timers_of_this_loop();
    heap.lock();
    try {
      heap.arm(*this, *from_->deadline_);
    } catch (...) {
      heap.unlock();
      throw;
    }
    heap.unlock();
  }
  from_->waiting_.lock();
  const bool suspended = !look() && from_->waiting_.suspend(*this, t);
  from_->waiting_.unlock();
  return suspended;
}

void next_wait::timed_out(timer_node& n, work_list& todo) noexcept {
  auto& self = static_cast<next_wait&>(n);
  auto& q = *self.from_;
  q.waiting_.lock();
  q.late_ = true;
  while (auto* w = q.waiting_.claim_first()) todo.schedule(*w->task);
  q.waiting_.unlock();
}

std::optional<std::size_t> next_wait::take() {
  if (armed_in) {
    armed_in->lock();
    (void)armed_in->disarm(*this);
    armed_in->unlock();
  }
  if (cancelled_at_resume(*this)) {
    if (got_) {
      work_list todo;
      from_->waiting_.lock();
      ++from_->left_;
      from_->hand_out(*got_, true, todo);
      from_->waiting_.unlock();
      todo.settle();
    }
    throw_cancelled(*task);
  }
  if (got_) return got_->index;
  bool late = false;
  from_->waiting_.lock();
  if (from_->left_ != 0) {  // the deadline has passed, during this wait or before it
    got_ = from_->pop();    // a member that ended just now is still handed out
    late = !got_ && from_->late_;
    if (late) --from_->left_;
  }
  from_->waiting_.unlock();
  if (got_) return got_->index;
  if (!late) return std::nullopt;
  from_->close();
  throw timeout_error();
}

}  // namespace heddle::detail

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<completion_queue> {
  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail9next_waitE",
       .name = "as_completed",
       .text = " %0 left",
       .figures = {{offsetof(next_wait, from_), offsetof(completion_queue, left_), 8}},
       .members = {seeing::member_list::array, offsetof(next_wait, from_),
                   offsetof(completion_queue, nodes_), offsetof(completion_queue, count_),
                   sizeof(completion_queue::node), offsetof(completion_queue::node, member)},
       .ended_by = seeing::kind_row::tasks,
       .one_is_enough = 1},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto as_completed_kinds = std::to_array(layout_of<completion_queue>::kinds);
}  // namespace

}  // namespace heddle::detail
