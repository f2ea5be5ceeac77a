// SPDX-License-Identifier: MIT
#include "timeline.h"

#include "timeline_cut.h"
#include "timeline_names.h"

#include <heddle/core/checked.h>
#include <heddle/core/seeing/report.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace tool {
namespace {

using heddle::detail::narrow;
using seeing::trace_event;
using what = timeline::what;
constexpr auto none = timeline::none;

/// An event of any ring, in the order of time.
struct moment {
  std::int64_t at = 0;
  std::size_t order = 0;  // among those of its ring
  std::uint32_t ring = 0;
  trace_event kind = trace_event::none;
  std::uint64_t what = 0;
};

/// What is known of a ring while its events are gone through.
struct place {
  std::uint32_t track = none;
  std::uint32_t recording = none;  // the track of what was not recorded
  std::uint32_t io = none;
  std::uint32_t timers = none;
  std::vector<std::uint32_t> open;  // slices, from the outermost
  std::uint32_t gap = none;
  std::uint32_t newborn = none;  // the task whose birth is being told
  std::uint32_t span_of = none;
  std::int64_t busy_until = 0;  // the end of its last slice
};

/// A moment that leads to a slice which is still to come.
struct origin {
  std::uint32_t item = none;
  const char* name = "";
};

class builder {
 public:
  builder(const rings& from, seeing::sight& process, std::int64_t begin);
  timeline build() &&;

 private:
  void make_tracks();
  void add_track(std::uint32_t ring, bool several_runtimes);
  void collect();
  void see(const moment& m);
  void see_step(const moment& m);
  void see_birth(const moment& m);
  void see_rare(const moment& m);
  void see_thief(const moment& m);
  void see_job(const moment& m);
  void see_span(const moment& m);
  [[nodiscard]] std::uint32_t take_span_track(const std::string& name);
  void see_recording(const moment& m);
  std::uint32_t slice(std::uint32_t track, std::int64_t begin, std::int64_t end, what kind,
                      const std::string& name, std::uint32_t task = none);
  std::uint32_t instant(std::uint32_t track, std::int64_t at, const std::string& name,
                        std::uint32_t task = none);
  void close(place& p, std::int64_t at, const std::string& function);
  void arrive(std::uint32_t item, origin from);
  [[nodiscard]] std::uint32_t child(std::uint32_t& known, std::uint32_t under, track_kind kind,
                                    const char* name);
  [[nodiscard]] std::string step_name(const timeline::item& i, const std::string& function) const;
  void finish();

  const rings* from_;
  timeline to_;
  timeline_names names_;
  std::vector<place> places_;
  std::vector<moment> moments_;
  std::unordered_map<std::uint32_t, origin> wakes_;   // by task
  std::unordered_map<std::uint32_t, origin> births_;  // by task
  std::unordered_map<std::uint64_t, origin> jobs_;    // by job
  struct open_spans {
    std::uint32_t track = none;
    std::vector<std::uint32_t> open;
  };
  std::unordered_map<std::uint32_t, open_spans> spans_;  // by task; of a thread, by ~ring
  std::unordered_map<std::string, std::vector<std::uint32_t>> span_tracks_;
  std::unordered_map<std::uint32_t, bool> taken_;  // of these tracks
  std::uint32_t stalls_ = none;
};

builder::builder(const rings& from, seeing::sight& process, std::int64_t begin)
    : from_(&from), names_(to_, process) {
  to_.begin = begin;
  to_.end = from.taken_at();
  to_.process = process.process();
  to_.processor_clock = from.clock() == seeing::trace_clock::processor;
}

std::uint32_t builder::child(std::uint32_t& known, std::uint32_t under, track_kind kind,
                             const char* name) {
  if (known == none) {
    known = narrow<std::uint32_t>(to_.tracks.size());
    const std::string above = under == none ? "" : to_.tracks[under].name + ": ";
    to_.tracks.push_back({above + name, kind, 0, under});
  }
  return known;
}

void builder::add_track(std::uint32_t ring, bool several_runtimes) {
  const auto& r = from_->all()[ring];
  const auto& head = r.head;
  auto& p = places_[ring];
  p.track = narrow<std::uint32_t>(to_.tracks.size());
  const auto owner = static_cast<seeing::ring_owner>(head.owner);
  const bool is_loop = owner == seeing::ring_owner::loop;
  int thread = head.thread;
  if (thread == 0)  // it has ended: its first event has the number that it had
    for (const auto& e : r.events)
      if (e.kind == trace_event::ring_begins) thread = static_cast<int>(e.what);
  std::string name = is_loop ? "loop " + std::to_string(head.loop)
                             : (owner == seeing::ring_owner::pool ? "pool thread " : "thread ") +
                                   std::to_string(thread);
  if (is_loop && several_runtimes) name += " of runtime " + std::to_string(head.runtime);
  if (head.thread == 0) name += " (ended)";
  to_.tracks.push_back({name, is_loop ? track_kind::loop : track_kind::thread, thread, none});
  if (!is_loop) return;
  (void)child(p.io, p.track, track_kind::io, "I/O");
  (void)child(p.timers, p.track, track_kind::timers, "timers");
  const auto is_of_recording = [](const recorded& e) {
    return e.kind >= trace_event::gap_begins && e.kind <= trace_event::all_ends;
  };
  if (std::any_of(r.events.begin(), r.events.end(), is_of_recording))
    (void)child(p.recording, p.track, track_kind::recording, "recording");
}

// Loops come first, by runtime and number, then the other threads.
void builder::make_tracks() {
  const auto& all = from_->all();
  places_.resize(all.size());
  std::vector<std::uint32_t> order;
  std::uint64_t runtime = 0;
  bool several = false;
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    if (!all[i].events.empty() || all[i].head.thread != 0) order.push_back(i);
    const auto its = all[i].head.runtime;
    several = several || (its != 0 && runtime != 0 && its != runtime);
    if (its != 0) runtime = its;
  }
  const auto key = [&](std::uint32_t i) {
    const auto& h = all[i].head;
    return std::make_tuple(h.owner, h.runtime, h.loop, h.thread);
  };
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return key(a) < key(b); });
  for (const auto i : order) add_track(i, several);
}

void builder::collect() {
  const auto& all = from_->all();
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    if (places_[i].track == none) continue;
    const auto& events = all[i].events;
    std::size_t first = events.size();
    while (first != 0 && events[first - 1].kind != trace_event::ring_begins) --first;
    std::int64_t last = 0;  // the ring's events are in order, whatever rounding makes of them
    const auto before = moments_.size();
    for (std::size_t k = first; k < events.size(); ++k) {
      last = std::max(last, from_->time_of(events[k].when));
      moments_.push_back({last, moments_.size(), i, events[k].kind, events[k].what});
    }
    if (all[i].head.owner != static_cast<std::uint32_t>(seeing::ring_owner::loop)) continue;
    timeline::reach r;
    r.loop = all[i].head.loop;
    r.track = places_[i].track;
    r.since = before < moments_.size() ? std::max(moments_[before].at, to_.begin) : to_.end;
    r.rate = all[i].head.sampled;
    r.lost = all[i].lost;
    to_.loops.push_back(r);
  }
  std::sort(moments_.begin(), moments_.end(), [](const moment& a, const moment& b) {
    return a.at != b.at ? a.at < b.at : a.order < b.order;
  });
  // Nothing is shown of the time before the first event.
  if (!moments_.empty()) to_.begin = std::max(to_.begin, moments_.front().at);
  std::sort(to_.loops.begin(), to_.loops.end(),
            [](const auto& a, const auto& b) { return a.loop < b.loop; });
}

std::uint32_t builder::slice(std::uint32_t track, std::int64_t begin, std::int64_t end, what kind,
                             const std::string& name, std::uint32_t task) {
  timeline::item i;
  i.on = track;
  i.begin = begin;
  i.end = end;
  i.name = names_.text(name);
  i.task = task;
  i.kind = kind;
  to_.items.push_back(i);
  return narrow<std::uint32_t>(to_.items.size() - 1);
}

std::uint32_t builder::instant(std::uint32_t track, std::int64_t at, const std::string& name,
                               std::uint32_t task) {
  return slice(track, at, at, what::moment, name, task);
}

void builder::arrive(std::uint32_t item, origin from) {
  if (from.item == none) return;
  to_.flows.push_back({from.item, to_.items[from.item].begin, item, from.name});
}

// A function of the library tells less than the task that it runs for.
std::string builder::step_name(const timeline::item& i, const std::string& function) const {
  if (i.task == none) return function.empty() ? "step" : function;
  const auto& t = to_.tasks[i.task];
  if (!function.empty() && !seeing::is_of_library(function.c_str())) return function;
  if (!t.function.empty() && !seeing::is_of_library(t.function.c_str())) return t.function;
  if (!t.name.empty()) return t.name;
  return function.empty() ? t.id : function;
}

void builder::close(place& p, std::int64_t at, const std::string& function) {
  if (p.open.empty()) return;  // it began before the first event that is left
  auto& i = to_.items[p.open.back()];
  p.open.pop_back();
  i.end = at;
  p.busy_until = at;
  if (i.kind == what::step || i.kind == what::strand) i.name = names_.text(step_name(i, function));
}

void builder::see_step(const moment& m) {
  auto& p = places_[m.ring];
  switch (m.kind) {
    case trace_event::step_begins:
    case trace_event::strand_begins: {
      const auto task = names_.task(m.what);
      const auto i =
          slice(p.track, m.at, -1, m.kind == trace_event::step_begins ? what::step : what::strand,
                "step", task);
      p.open.push_back(i);
      if (m.kind == trace_event::strand_begins) break;
      auto& from = wakes_[task].item != none ? wakes_[task] : births_[task];
      arrive(i, std::exchange(from, {}));
      break;
    }
    case trace_event::step_ends: close(p, m.at, names_.function(m.what)); break;
    case trace_event::callback_begins:
      p.open.push_back(slice(p.track, m.at, -1, what::callback, "callback"));
      break;
    case trace_event::callback_ends: close(p, m.at, ""); break;
    case trace_event::woken: {
      const auto task = names_.task(m.what);
      wakes_[task] = {instant(p.track, m.at, "wakes", task), "wake"};
      break;
    }
    default: {  // the ends of tasks
      const auto task = names_.task(m.what);
      const char* how = m.kind == trace_event::ended         ? "ends"
                        : m.kind == trace_event::ended_error ? "ends with an error"
                                                             : "ends cancelled";
      (void)instant(p.track, m.at, how, task);
      wakes_.erase(task);
      break;
    }
  }
}

void builder::see_birth(const moment& m) {
  auto& p = places_[m.ring];
  switch (m.kind) {
    case trace_event::born: {
      p.newborn = names_.task(m.what);
      births_[p.newborn] = {instant(p.track, m.at, "creates", p.newborn), "create"};
      break;
    }
    case trace_event::came: {
      const auto task = names_.task(m.what);
      births_[task] = {instant(p.track, m.at, "created outside", task), "create"};
      break;
    }
    case trace_event::born_at: names_.born_at(p.newborn, m.what); break;
    case trace_event::born_runs: names_.born_runs(p.newborn, m.what); break;
    case trace_event::born_by: names_.born_by(p.newborn, m.what); break;
    default: names_.born_named(p.newborn, m.what); break;
  }
}

void builder::see_rare(const moment& m) {
  auto& p = places_[m.ring];
  const auto count = [](std::uint64_t n, const char* one, const char* many) {
    return std::to_string(n) + (n == 1 ? one : many);
  };
  switch (m.kind) {
    case trace_event::parked: {
      const auto slept = static_cast<std::int64_t>(seeing::time_in(m.what));
      // The two clocks differ by a little: no sleep begins before the slice in front has ended.
      const auto begin = std::min(m.at, std::max(m.at - slept, p.busy_until));
      if (p.open.empty()) (void)slice(p.track, begin, m.at, what::parked, "parked");
      p.busy_until = m.at;
      if (const auto events = seeing::count_in(m.what); events != 0)
        (void)instant(p.io, m.at, count(events, " event", " events"));
      break;
    }
    case trace_event::polled: (void)instant(p.io, m.at, count(m.what, " event", " events")); break;
    case trace_event::timers_fired:
      (void)instant(p.timers, m.at, count(m.what, " timer", " timers"));
      break;
    case trace_event::stalled: {
      const auto stood = static_cast<std::int64_t>(seeing::time_in(m.what));
      (void)slice(child(stalls_, none, track_kind::stalls, "stalls"), m.at - stood, m.at,
                  what::stall, "stall of loop " + std::to_string(seeing::count_in(m.what)));
      break;
    }
    default: see_thief(m); break;
  }
}

void builder::see_thief(const moment& m) {
  const auto track = places_[m.ring].track;
  switch (m.kind) {
    case trace_event::stole: {
      const auto n = seeing::time_in(m.what);
      (void)instant(
          track, m.at,
          "steals " + std::to_string(n) + " from loop " + std::to_string(seeing::count_in(m.what)));
      break;
    }
    case trace_event::rescued:
      (void)instant(track, m.at, "serves hogged loop " + std::to_string(m.what));
      break;
    default: (void)instant(track, m.at, "wakes loop " + std::to_string(m.what)); break;
  }
}

void builder::see_job(const moment& m) {
  auto& p = places_[m.ring];
  if (m.kind == trace_event::job_queued) {
    const auto task = p.open.empty() ? none : to_.items[p.open.back()].task;
    jobs_[m.what] = {instant(p.track, m.at, "queues a job", task), "job"};
  } else if (m.kind == trace_event::job_begins) {
    const auto from = std::exchange(jobs_[m.what], {});
    const auto task = from.item == none ? none : to_.items[from.item].task;
    const auto i = slice(p.track, m.at, -1, what::job, "job", task);
    p.open.push_back(i);
    arrive(i, from);
  } else {
    close(p, m.at, "");
  }
}

void builder::see_span(const moment& m) {
  auto& p = places_[m.ring];
  if (m.kind == trace_event::span_of) {
    p.span_of = names_.task(m.what);
    return;
  }
  const auto task = std::exchange(p.span_of, none);
  auto& s = spans_[task != none ? task : ~m.ring];
  const auto name = names_.at(m.what);
  if (m.kind == trace_event::span_begins) {
    if (s.open.empty()) s.track = task != none ? take_span_track(name) : p.track;
    s.open.push_back(slice(s.track, m.at, -1, what::span, name, task));
  } else if (!s.open.empty() && to_.text(to_.items[s.open.back()].name) == name) {
    to_.items[s.open.back()].end = m.at;
    s.open.pop_back();
    if (s.open.empty()) taken_[s.track] = false;
  }
}

// Spans of tasks that are under way at once stand on several tracks, each under the name of the
// outermost span. A track that is free again serves the next task.
std::uint32_t builder::take_span_track(const std::string& name) {
  auto& tracks = span_tracks_[name];
  for (const auto t : tracks)
    if (!std::exchange(taken_[t], true)) return t;
  const auto fresh = narrow<std::uint32_t>(to_.tracks.size());
  const auto number = tracks.empty() ? "" : " " + std::to_string(tracks.size() + 1);
  to_.tracks.push_back({"span " + name + number, track_kind::spans, 0, none});
  tracks.push_back(fresh);
  taken_[fresh] = true;
  return fresh;
}

void builder::see_recording(const moment& m) {
  auto& p = places_[m.ring];
  const auto track = child(p.recording, p.track, track_kind::recording, "recording");
  switch (m.kind) {
    case trace_event::gap_begins:
      p.gap = slice(track, m.at, -1, what::gap, "steps are not recorded");
      break;
    case trace_event::gap_ends:
      if (p.gap != none) to_.items[std::exchange(p.gap, none)].end = m.at;
      break;
    case trace_event::rate:
      (void)instant(track, m.at, "one task in " + std::to_string(m.what));
      break;
    default:
      (void)instant(
          track, m.at,
          m.kind == trace_event::all_begins ? "every step from here on" : "every step until here");
      break;
  }
}

void builder::see(const moment& m) {
  switch (m.kind) {
    case trace_event::step_begins:
    case trace_event::step_ends:
    case trace_event::strand_begins:
    case trace_event::callback_begins:
    case trace_event::callback_ends:
    case trace_event::woken:
    case trace_event::ended:
    case trace_event::ended_error:
    case trace_event::ended_cancelled: return see_step(m);
    case trace_event::born:
    case trace_event::born_at:
    case trace_event::born_runs:
    case trace_event::born_by:
    case trace_event::born_named:
    case trace_event::came: return see_birth(m);
    case trace_event::parked:
    case trace_event::polled:
    case trace_event::timers_fired:
    case trace_event::stole:
    case trace_event::rescued:
    case trace_event::woke_loop:
    case trace_event::stalled: return see_rare(m);
    case trace_event::job_queued:
    case trace_event::job_begins:
    case trace_event::job_ends: return see_job(m);
    case trace_event::span_of:
    case trace_event::span_begins:
    case trace_event::span_ends: return see_span(m);
    case trace_event::gap_begins:
    case trace_event::gap_ends:
    case trace_event::rate:
    case trace_event::all_begins:
    case trace_event::all_ends: return see_recording(m);
    default: return;  // of a newer program
  }
}

// What is under way at the end goes to the end of the window.
void builder::finish() {
  const auto goes_on = names_.text("goes on");
  for (auto& i : to_.items) {
    if (i.end >= 0) continue;
    i.end = to_.end;
    i.detail = goes_on;
    if (i.kind == what::step || i.kind == what::strand) i.name = names_.text(step_name(i, ""));
  }
  for (const auto& i : to_.items)
    if (i.kind == what::gap)
      for (auto& r : to_.loops)
        if (to_.tracks[i.on].under == r.track)
          r.gaps += std::max<std::int64_t>(0, i.end - std::max(i.begin, to_.begin));
}

timeline builder::build() && {
  make_tracks();
  collect();
  for (const auto& m : moments_) {
    if (m.at >= to_.begin) ++to_.events;
    see(m);
  }
  names_.look_at_the_living();
  finish();
  cut_and_nest(to_);
  return std::move(to_);
}

}  // namespace

timeline make_timeline(const rings& from, seeing::sight& process, std::int64_t begin) {
  return builder(from, process, begin).build();
}

}  // namespace tool
