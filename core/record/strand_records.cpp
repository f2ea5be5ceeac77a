// SPDX-License-Identifier: MIT
#include <heddle/core/record/strand_records.h>

#include <cstddef>
#include <new>
#include <utility>

namespace heddle::detail {

// Protocol STRAND. A child of fork_join is a strand. It runs under the nearest record above it:
// that of the task, or of a strand that has one. When a strand really suspends it needs a word of
// its own. So it takes an unnamed record (it is promoted), and rewrites the record pointers of its
// own frames (task.cpp).
//
// Problem   Three things must stop all strands below: a cancellation of the task, a cancellation
//           of one strand by a scope inside it, and the failure of a join. A promoted strand has a
//           word of its own, so a cancellation of the record above does not reach it.
// Rejected  To tell every strand of the task and let each find out whether it is meant: a time-out
//           would walk over all other strands. A list for each strand: locks that nest as deep as
//           the forks.
// Chosen    One list for each task. In it all that is below a strand stands directly behind that
//           strand, with its depth. A strand enters directly behind the record that it ran under.
//           It leaves when nothing is below it any more, so the order needs no search.
// Promised  Each strand is told exactly once. A fork pays nothing but the load of its record's
//           word.
// Touch     The list, prev and next of each strand: under the list's lock. It is a leaf lock: no
//           other lock is taken inside it.
//
// Exactly once. If the record above and the list both deliver the cancellation, the strand is
// cancelled twice. If neither does, the cancellation is lost. What was asked of a record before a
// strand below it was listed stands in that record's word (must), and the strand takes it over
// when it is listed. What is asked later finds the strand in the list. The two sides agree on an
// order:
//   the strand     lock(list); link; set `strands` in the word that it ran under; if that word had
//                  must: cancel itself; unlock
//   the canceller  one compare-exchange on the word, which fails if `strands` is set.
//                  It succeeds: it precedes the strand's set. So the strand sees the must that the
//                  canceller made, and the canceller never looks at the list.
//                  It fails: lock(list); cancel the record and each strand behind it; unlock. A
//                  strand that was listed before saw nothing of this cancellation. A strand that
//                  is listed later sees all of it.
// Only the task or strand itself takes its must, and only when it runs: then nothing is below it.
// uncancel() may withdraw a must from any thread. Strands that took it over keep theirs.
// A strand without a record that meets must at a fork takes a record first. So it takes the
// cancellation over, and its siblings still find it.
//
// A failed join does the same: state failed; one more `troubled` in the word that its parent runs
// under; lock(list); cancel the strands inside the join; unlock. A strand that is listed later
// finds the failure and cancels itself. A strand that was told from above to stop is marked
// (told_to_stop). Joins that fail do not tell a marked strand again, since most joins fail because
// their strands were told. A new cancellation tells a marked strand again. A strand that meets
// trouble at a fork takes a record, whether the trouble is its own or not. So it looks up the joins
// once, and forks below it do not look at all. When the failed join is over its parent takes the
// trouble back.
task_record* strand_records::make(promise_base& first, task_record& under, void* join) {
  static constexpr eventual_ops ops{[](eventual& self) noexcept {
                                      auto& r = static_cast<task_record&>(self);
                                      auto* root = r.strand().root;
                                      r.recycle();
                                      root->unref();
                                    },
                                    nullptr, nullptr};
  task_record& task = under.root();
  auto& shared = task.extra().strands;
  auto* r = task_record::make(
      kind::strand, ops, 1,
      std::bit_cast<std::source_location>((under.depth() + 1) * task_record::depth_unit));
  r->joiners_.store(reinterpret_cast<std::uintptr_t>(join), relaxed);
  r->belongs_to(task.runtime());
  r->at_home(task.home_bits());
  if (task.is_pinned()) r->pin();
  if (task.is_traced()) [[unlikely]]
    r->trace();
  task.ref();
  auto* part =
      ::new (static_cast<void*>(r->storage_)) task_record::strand_part{&task, nullptr, nullptr};
  if (auto* around = under.extra_if_any(); around && around->innermost) enter_scopes(*r, *around);
  shared.lock.lock();
  if (under.kind_ == kind::strand) {
    part->prev = &under;
    part->next = std::exchange(under.strand().next, r);
  } else {
    part->next = std::exchange(shared.head, r);
  }
  if (part->next) part->next->strand().prev = r;
  const auto before = under.word_.set_flag(word::strands);
  if ((before & word::must) || ((before & word::troubled) && strand_abandoned(first))) {
    r->flags_.fetch_or(task_record::told_to_stop, relaxed);
    (void)r->word_.cancel();  // active: nothing is owed
  }
  shared.lock.unlock();
  return r;
}

// Blocks with a deadline nest through forks (protocol SCOPE).
void strand_records::enter_scopes(task_record& strand, const task_extra& around) {
  try {
    strand.extra().innermost = around.innermost;
  } catch (...) {
    strand.unref();
    throw;
  }
}

bool strand_records::was_told(const task_record& strand) noexcept {
  return (strand.flags_.load(relaxed) & task_record::told_to_stop) != 0;
}

// The list's lock is held.
void strand_records::tell_to_stop(task_record& strand, owed_list& todo) noexcept {
  strand.flags_.fetch_or(task_record::told_to_stop, relaxed);
  (void)todo.owes(strand, strand.word_.cancel());
}

task_record* strand_records::first_below(task_record& t) noexcept {
  return t.kind_ == kind::strand ? t.strand().next : t.extra_if_any()->strands.head;
}

on_cancel strand_records::cancel(task_record& t, owed_list& todo) noexcept {
  auto& shared = t.root().extra_if_any()->strands;  // the first strand made it
  shared.lock.lock();
  const auto owed = t.word_.cancel();
  const auto own = t.depth();
  if (owed != on_cancel::no)
    for (auto* r = first_below(t); r && r->depth() > own; r = r->strand().next)
      tell_to_stop(*r, todo);
  shared.lock.unlock();
  return owed;
}

// All that is below a strand was forked by that strand, and so is inside the same join. What is
// below a strand that was told before is left to that strand.
void strand_records::cancel_abandoned(task_record& t, owed_list& todo,
                                      bool (*inside)(void* join)) noexcept {
  auto& shared = t.root().extra_if_any()->strands;
  shared.lock.lock();
  const auto own = t.depth();
  for (auto* r = first_below(t); r && r->depth() > own;) {
    // A strand has no joiners: that field holds the join that it reports to.
    const bool is_inside =
        !was_told(*r) && inside(reinterpret_cast<void*>(r->joiners_.load(relaxed)));
    const auto top = r->depth();
    do {
      if (is_inside && !was_told(*r)) tell_to_stop(*r, todo);
      r = r->strand().next;
    } while (r && r->depth() > top);
  }
  shared.lock.unlock();
}

void strand_records::retire(task_record& strand) noexcept {
  auto& part = strand.strand();
  auto& shared = part.root->extra_if_any()->strands;
  shared.lock.lock();
  if (part.prev)
    part.prev->strand().next = part.next;
  else
    shared.head = part.next;
  if (part.next) part.next->strand().prev = part.prev;
  shared.lock.unlock();
  strand.unref();
}

}  // namespace heddle::detail
