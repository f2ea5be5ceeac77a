// SPDX-License-Identifier: MIT
#include "rings.h"

#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <cstddef>

namespace tool {
namespace {

using seeing::trace_cell;
using seeing::trace_clock;

constexpr std::size_t most_rings = 1024;
constexpr std::uint64_t most_events = std::uint64_t{1} << 24;  // of one ring
constexpr std::uint64_t ticks_mask = (std::uint64_t{1} << 56) - 1;

}  // namespace

std::int64_t monotonic_now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

rings::state rings::open() {
  if (root_at_ == 0) return state::none;
  if (!from_->read(root_at_, &root_, seeing::trace_root_bytes_of_1)) return state::unreadable;
  if (root_.version == 0 || root_.version > seeing::trace_root_image::known_version)
    return state::other_version;
  if (root_.version > 1 && !from_->get(root_at_, root_)) return state::unreadable;
  if (clock() != trace_clock::monotonic && clock() != trace_clock::processor) return state::none;
  if (!lives_ && clock() == trace_clock::processor && root_.seen_ns <= root_.base_ns)
    return state::no_clock;
  return find() ? state::good : state::unreadable;
}

// Rings are put in front of the others and never go. So those that are not known yet come first.
bool rings::find() {
  seeing::address newest = 0;
  if (!from_->get(root_at_ + offsetof(seeing::trace_root_image, rings), newest)) return false;
  std::vector<copied_ring> fresh;
  for (seeing::address at = newest; at != 0 && all_.size() + fresh.size() < most_rings;) {
    if (std::any_of(all_.begin(), all_.end(), [&](const auto& r) { return r.at == at; })) break;
    copied_ring r;
    r.at = at;
    if (!from_->get(at, r.head)) return false;
    const std::uint64_t capacity = r.head.mask + 1;
    if (capacity == 0 || capacity > most_events || (capacity & r.head.mask) != 0) return false;
    at = r.head.next;
    fresh.push_back(std::move(r));
  }
  all_.insert(all_.end(), std::make_move_iterator(fresh.begin()),
              std::make_move_iterator(fresh.end()));
  return true;
}

// Both clocks are read here, on the machine of the process: it is the same counter. The narrowest
// of a few tries. Of a core they are those that the program has kept.
void rings::read_clocks() {
  if (!lives_) {
    now_ns_ = clock() == trace_clock::processor ? root_.seen_ns : root_.base_ns;
    now_ticks_ = clock() == trace_clock::processor ? root_.seen_ticks : root_.base_ticks;
    return;
  }
  std::int64_t best = 0;
  for (int i = 0; i < 5; ++i) {
    const auto before = monotonic_now();
    const auto ticks = seeing::processor_ticks();
    const auto after = monotonic_now();
    if (i != 0 && after - before >= best) continue;
    best = after - before;
    now_ns_ = before + best / 2;
    now_ticks_ = ticks;
  }
  if (clock() == trace_clock::monotonic) now_ticks_ = static_cast<std::uint64_t>(now_ns_);
}

std::int64_t rings::time_of(std::uint64_t ticks) const {
  // Of 56 bits: the distance from now, backwards; a few ticks may lie behind it.
  auto back = static_cast<std::int64_t>((now_ticks_ - ticks) & ticks_mask);
  if (back > static_cast<std::int64_t>(ticks_mask / 2))
    back -= static_cast<std::int64_t>(ticks_mask) + 1;
  if (clock() == trace_clock::monotonic) return now_ns_ - back;
  const auto ran = static_cast<double>(now_ticks_ - root_.base_ticks);
  const auto took = static_cast<double>(now_ns_ - root_.base_ns);
  if (ran <= 0 || took <= 0) return now_ns_;
  return now_ns_ - static_cast<std::int64_t>(static_cast<double>(back) * (took / ran));
}

// Protocol OVERWRITE, the reader's side: see sched/loop/trace_ring.h.
bool rings::take(copied_ring& of) {
  const std::uint64_t capacity = of.head.mask + 1;
  std::uint64_t whole = 0;
  const auto head_at = of.at + offsetof(seeing::trace_ring_image, head);
  if (!from_->get(of.at, of.head) || of.head.mask + 1 != capacity) return false;
  whole = of.head.head;
  auto from = of.next;
  if (whole < from) return false;
  if (whole - from > capacity) from = whole - capacity;
  std::vector<trace_cell> cells(static_cast<std::size_t>(whole - from));
  for (std::size_t done = 0; done < cells.size();) {
    const auto place = (from + done) & of.head.mask;
    const auto piece = std::min<std::uint64_t>(cells.size() - done, capacity - place);
    if (!from_->read(of.head.cells + place * sizeof(trace_cell), &cells[done],
                     static_cast<std::size_t>(piece) * sizeof(trace_cell)))
      return false;
    done += static_cast<std::size_t>(piece);
  }
  std::uint64_t now = 0;
  if (!from_->get(head_at, now)) return false;
  const std::uint64_t safe = now >= capacity ? now - capacity + 1 : 0;
  const auto first = std::min(std::max(from, safe), whole);
  of.lost += first - (of.known ? of.next : from);
  of.known = true;
  of.events.reserve(of.events.size() + static_cast<std::size_t>(whole - first));
  for (auto i = first; i < whole; ++i) {
    const auto& c = cells[static_cast<std::size_t>(i - from)];
    of.events.push_back({c.when >> seeing::trace_time_shift,
                         static_cast<seeing::trace_event>(c.when & 0xff), c.what});
  }
  of.next = whole;
  return true;
}

bool rings::take() {
  const bool found = find();
  bool good = found;
  for (auto& r : all_) good = take(r) && good;
  read_clocks();
  taken_at_ = lives_ ? now_ns_ : last_event();
  return good;
}

std::int64_t rings::last_event() const {
  std::int64_t last = 0;
  for (const auto& r : all_)
    if (!r.events.empty()) last = std::max(last, time_of(r.events.back().when));
  return last;
}

void rings::skip() {
  (void)find();
  for (auto& r : all_) {
    if (from_->get(r.at, r.head)) r.next = r.head.head;
    r.known = true;
    r.events.clear();
    r.lost = 0;
  }
}

bool rings::record_all(pid_t process, std::int64_t until) const {
  iovec here{&until, sizeof until};
  iovec there{reinterpret_cast<void*>(root_at_ + offsetof(seeing::trace_root_image, all_until)),
              sizeof until};
  return ::process_vm_writev(process, &here, 1, &there, 1, 0) == static_cast<ssize_t>(sizeof until);
}

}  // namespace tool
