// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/loop_trace.h>

#include <heddle/sched/loop/work.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <string_view>

namespace heddle::detail {
namespace {

/// What an event costs, about, and the share of time that events may take.
constexpr duration event_takes = std::chrono::nanoseconds(15);
constexpr int part = 100;

/// What a loop takes to record events_a_check steps, at least, so that its ring reaches back some
/// 10 s: it holds 65,536 events, of which many are no steps.
constexpr duration reach_of_check = std::chrono::milliseconds(60);

constexpr std::uint64_t rarest_rate = (std::uint64_t{1} << 20) - 1;
constexpr std::size_t most_letters = 40;  // of a name

/// The first word of an object: of a frame its function, of an object with virtual functions their
/// table.
std::uintptr_t first_word(const void* object) noexcept {
  std::uintptr_t word = 0;
  std::memcpy(&word, object, sizeof word);
  return word;
}

}  // namespace

void loop_trace::begin(std::uint64_t runtime, std::uint32_t loop) noexcept {
  ring_ = trace_ring::claim(ring_owner::loop);
  if (!ring_) return;
  ring_->is_of_loop(runtime, loop);
  set_ring_of_this_thread(ring_);
  rate_ = wanted_trace_rate().one_in - 1;
  ring_->samples_one_in(rate_ + 1);
  checked_ = clock::now();
  refresh();
}

void loop_trace::end() noexcept {
  mask_ = never;
  if (!ring_) return;
  set_ring_of_this_thread(nullptr);
  ring_->let_go();
  ring_ = nullptr;
}

void loop_trace::refresh() noexcept {
  if (!ring_ || (!all_ && gap_until_ != time_point()))
    mask_ = never;
  else
    mask_ = all_ || depth_ != 0 ? 0 : rate_;
}

// A traced step sets the mask to 0, so all that is created in it comes here. An awaited task that
// is not traced may run within that step. So the creator is asked.
void loop_trace::born(task_record& t, task_record* creator, std::uint64_t created) noexcept {
  if (!ring_) return;
  const bool inherits = creator && creator->root().is_traced();
  const bool sampled = inherits || (created & rate_) == 0;
  if (!sampled && !all_) return;
  if (sampled) t.trace();
  ring_->note(trace_event::born, trace_name(t));
  ring_->note(trace_event::born_at, std::bit_cast<std::uintptr_t>(t.made()));
  ring_->note(trace_event::born_runs, first_word(t.frame()));
  if (creator) ring_->note(trace_event::born_by, trace_name(*creator));
  note_name(t);
}

void loop_trace::note_name(task_record& t) noexcept {
  auto* extra = t.extra_if_any();
  if (!extra) return;
  char letters[most_letters] = {};
  std::size_t n = 0;
  {
    const std::lock_guard hold(extra->lock);
    n = extra->name.copy(letters, most_letters);
  }
  for (std::size_t i = 0; i < n; i += 8)
    ring_->note(trace_event::born_named, first_word(letters + i));
}

bool loop_trace::in_gap(time_point polled) noexcept {
  if (gap_until_ == time_point()) return false;
  if (!all_ && polled < gap_until_) return true;
  gap_until_ = time_point();
  ring_->note(trace_event::gap_ends, 0);
  checked_ = clock::now();
  until_check_ = events_a_check;
  refresh();
  return false;
}

// The last events_a_check steps took `took` to come. One task in twice as many is recorded if they
// came too fast, and in half as many if they came slowly.
std::uint64_t loop_trace::better_rate(duration took) const noexcept {
  constexpr duration share = event_takes * 2 * int{events_a_check} * part;
  const bool is_given = wanted_trace_rate().is_given;
  const duration least = is_given ? share : std::max(share, reach_of_check);
  if (took < least) return rate_ < rarest_rate ? 2 * rate_ + 1 : rate_;
  return took > 4 * least && rate_ + 1 > wanted_trace_rate().one_in ? rate_ / 2 : rate_;
}

// A step is two events. So the last steps took 2 * events_a_check * event_takes to record, about,
// and should have come in a hundred times as long.
void loop_trace::check_share() noexcept {
  constexpr duration share = event_takes * 2 * int{events_a_check} * part;
  until_check_ = events_a_check;
  const auto t = clock::now();
  const auto took = t - checked_;
  checked_ = t;
  if (all_) return;
  const auto rate = better_rate(took);
  if (took < share) {
    gap_until_ = t + (share - took);
    ring_->note(trace_event::gap_begins, 0);
  }
  if (rate != rate_) {
    rate_ = rate;
    ring_->note(trace_event::rate, rate_ + 1);
    ring_->samples_one_in(rate_ + 1);
  }
  refresh();
}

std::uintptr_t loop_trace::step_begins(task_record& t, void* frame, trace_event kind,
                                       time_point polled) noexcept {
  if (!ring_ || (!all_ && !t.is_traced()) || in_gap(polled)) return 0;
  if (--until_check_ == 0) {
    check_share();
    if (in_gap(polled)) return 0;
  }
  ring_->put(trace_ticks_in_order(), kind, trace_name(t));
  ++depth_;
  refresh();
  return first_word(frame);
}

void loop_trace::step_ends(std::uintptr_t function) noexcept {
  ring_->note(trace_event::step_ends, function);
  --depth_;
  refresh();
}

void loop_trace::note(trace_event kind, std::uint64_t what) noexcept {
  if (ring_) ring_->note(kind, what);
}

void loop_trace::callback_begins(const callback& c) noexcept {
  if (ring_) ring_->put(trace_ticks_in_order(), trace_event::callback_begins, first_word(&c));
}
void loop_trace::callback_ends() noexcept { note(trace_event::callback_ends, 0); }

void loop_trace::task_ended(task_record& t) noexcept {
  if (!ring_ || gap_until_ != time_point()) return;
  const auto how = t.how_ended();
  ring_->note(how == outcome::value       ? trace_event::ended
              : how == outcome::cancelled ? trace_event::ended_cancelled
                                          : trace_event::ended_error,
              trace_name(t));
}

void loop_trace::woken(task_record& t) noexcept {
  if (ring_ && gap_until_ == time_point()) ring_->note(trace_event::woken, trace_name(t));
}

// Loops look at the word every fair_every steps, and after each sleep. While every step is
// recorded they compare it with the time. So recording ends although nobody takes the word back.
bool loop_trace::look(time_point t) noexcept {
  if (!ring_) return false;
  auto until = tracing.all_until.load(relaxed);
  const bool on = until != 0 && t.time_since_epoch().count() < until;
  // Its time has passed. If a tool has written it again meanwhile, it is looked at again.
  if (!on && until != 0)
    (void)tracing.all_until.compare_exchange_strong(until, 0, relaxed, relaxed);
  seen_ = on ? look_always : 0;
  if (on != all_) {
    all_ = on;
    ring_->note(on ? trace_event::all_begins : trace_event::all_ends, 0);
    checked_ = t;
    until_check_ = events_a_check;
    refresh();
  }
  return on;
}

}  // namespace heddle::detail
