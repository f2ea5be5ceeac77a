// SPDX-License-Identifier: MIT
#include "trace.h"

#include "rings.h"
#include "target.h"
#include "timeline.h"
#include "trace_files.h"

#include <heddle/core/checked.h>

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace tool {
namespace {

using seeing::sight;

constexpr double usual_last = 10;  // seconds
constexpr double usual_for = 2;
constexpr double longest = 24 * 3600;
// A loop that computes looks at the word every 61 steps, and one that sleeps as it wakes up. So the
// word is good for a little longer than the tool listens, and the tool takes it back in the end.
constexpr double grace = 0.5;
constexpr long pause_ns = 1'000'000;  // between two takes
constexpr std::uint64_t much_json = 200u << 20;
constexpr std::size_t most_loops_told = 4;  // each with its own reach

/// "10s", "1.5s", "500ms", "2m", "10": seconds. Negative: it is none.
double seconds_in(const std::string& text) {
  const auto digits = text.find_first_not_of("0123456789.");
  const std::string number = text.substr(0, digits);
  const std::string unit = digits == std::string::npos ? "s" : text.substr(digits);
  const double of = unit == "s"    ? 1
                    : unit == "ms" ? 1e-3
                    : unit == "m"  ? 60
                    : unit == "h"  ? 3600
                                   : 0;
  double value = 0;
  if (of == 0 || !heddle::detail::parse_number(number, value, longest)) return -1;
  return value * of > 0 && value * of <= longest ? value * of : -1;
}

enum class form { perfetto, chrome, page };

form form_of(const options& o) {
  if (o.html || o.output.ends_with(".html")) return form::page;
  if (o.json || o.output.ends_with(".json")) return form::chrome;
  return form::perfetto;
}

std::string path_of(const options& o, const timeline& t, form f) {
  if (!o.output.empty()) return o.output;
  return t.command + (f == form::page     ? ".trace.html"
                      : f == form::chrome ? ".trace.json"
                                          : ".pftrace");
}

int wrong(const char* what) {
  std::fprintf(stderr, "heddle: %s\nheddle --help tells more.\n", what);
  return usage;
}

/// Every step, for `seconds`. False: the process may not be written to, or it has ended.
bool listen(rings& from, pid_t process, double seconds) {
  const auto ns = [](double s) { return static_cast<std::int64_t>(s * 1e9); };
  from.skip();
  const auto end = monotonic_now() + ns(seconds);
  if (!from.record_all(process, end + ns(grace))) return false;
  bool good = true;
  while (good && monotonic_now() < end) {
    good = from.take();
    timespec pause{0, pause_ns};
    ::nanosleep(&pause, nullptr);
  }
  (void)from.record_all(process, 0);
  (void)from.take();
  return true;  // what was taken of a process that has ended is shown
}

void tell_reach(const timeline& t) {
  const auto seconds = [](std::int64_t ns) { return static_cast<double>(ns) * 1e-9; };
  const char* between = "";
  std::uint64_t rate = 0, lost = 0;
  std::int64_t gaps = 0;
  bool one_rate = true;
  std::int64_t shortest = t.loops.empty() ? 0 : t.end - t.loops.front().since;
  std::int64_t furthest = shortest;
  for (const auto& r : t.loops) {
    if (t.loops.size() <= most_loops_told)
      std::printf("%s%.1f s of loop %u", between, seconds(t.end - r.since), r.loop);
    between = ", ";
    shortest = std::min(shortest, t.end - r.since);
    furthest = std::max(furthest, t.end - r.since);
    one_rate = one_rate && (rate == 0 || rate == r.rate);
    rate = std::max(rate, r.rate);
    lost += r.lost;
    gaps += r.gaps;
  }
  if (t.loops.size() > most_loops_told)
    std::printf("%.1f to %.1f s of %zu loops", seconds(shortest), seconds(furthest),
                t.loops.size());
  if (t.loops.empty()) std::printf("no loop");
  if (t.all)
    std::printf("; every step");
  else if (rate == 1)
    std::printf("; steps of every task");
  else
    std::printf("; steps of 1 task in %llu%s and its children",
                static_cast<unsigned long long>(rate), one_rate ? "" : ", or more,");
  std::printf("; %llu events", static_cast<unsigned long long>(t.events));
  if (gaps > 0) std::printf("; %.3f s of gaps, in which steps were not recorded", seconds(gaps));
  if (lost != 0)
    std::printf("; %llu events were overwritten before they were read",
                static_cast<unsigned long long>(lost));
  std::printf(".\n");
  if (!t.processor_clock)
    std::printf("The processor's counter does not run evenly here: times are CLOCK_MONOTONIC's.\n");
}

int write(const options& o, const timeline& t) {
  const auto f = form_of(o);
  const auto path = path_of(o, t, f);
  file_writer to(path);
  switch (f) {
    case form::perfetto: write_perfetto(to, t); break;
    case form::chrome: write_chrome(to, t); break;
    case form::page: write_page(to, t); break;
  }
  const auto bytes = to.written();
  if (!to.close()) {
    std::fprintf(stderr, "heddle: %s cannot be written: %s\n", path.c_str(), std::strerror(errno));
    return usage;
  }
  tell_reach(t);
  std::printf("%s: %llu kB.", path.c_str(), static_cast<unsigned long long>(bytes / 1000));
  std::printf("%s\n", f == form::page     ? "  Open it in a browser; it needs no network."
                      : f == form::chrome ? "  Open it in ui.perfetto.dev or chrome://tracing."
                                          : "  Open it in ui.perfetto.dev, or write --html.");
  if (f == form::chrome && bytes > much_json)
    std::printf("Viewers take JSON of this size badly: without --json it is a third as large.\n");
  return good;
}

int complain_of(rings::state why, const target& of) {
  const auto title = of.title();
  switch (why) {
    case rings::state::none:
      std::fprintf(stderr,
                   "heddle: %s has recorded nothing\nIt has no runtime yet, or was started with "
                   "HEDDLE_TRACE=0.\n",
                   title.c_str());
      return nothing;
    case rings::state::other_version:
      std::fprintf(stderr,
                   "heddle: %s records in another form\nUse the tool that was built with its "
                   "library.\n",
                   title.c_str());
      return unreadable;
    case rings::state::no_clock:
      std::fprintf(
          stderr,
          "heddle: %s does not tell how fast its processor counts\nThe watch over stalls "
          "keeps that, and was off (HEDDLE_STALL_LIMIT=0), or the process ended at once.\n",
          title.c_str());
      return unreadable;
    default:
      std::fprintf(stderr,
                   "heddle: what was recorded cannot be read in %s: it has ended, or the "
                   "core is cut off\n",
                   title.c_str());
      return of.core() ? unreadable : gone;
  }
}

int trace_target(const options& o, target& of) {
  if (of.which() != 0) return nothing;  // one file for a program: that of its first heddle
  const double last = o.last.empty() ? usual_last : seconds_in(o.last);
  const double duration = o.duration.empty() ? usual_for : seconds_in(o.duration);
  sight& s = of.see();
  rings from(s.what().mem(), s.what().tracing(), of.elsewhere() == nullptr);
  if (const auto how = from.open(); how != rings::state::good) return complain_of(how, of);
  std::int64_t begin = 0;
  if (o.all) {
    begin = monotonic_now();
    if (!listen(from, s.process(), duration))
      return complain(s.process(),
                      errno == ESRCH ? seeing::opening::gone : seeing::opening::refused, "");
  } else {
    if (!from.take() && !of.core()) return complain_of(rings::state::unreadable, of);
    begin = from.taken_at() - static_cast<std::int64_t>(last * 1e9);
  }
  auto t = make_timeline(from, s, begin);
  t.all = o.all;
  t.command = of.command();
  if (t.command.empty()) t.command = "process-" + std::to_string(s.process());
  return write(o, t);
}

}  // namespace

int trace(const options& o) {
  const bool stands_still = !o.reader.empty() || means_core(o.target);
  if (o.target.empty() && !stands_still)
    return wrong("trace of which process, or of which core? heddle ps lists them");
  if (!o.all && !o.duration.empty()) return wrong("--for goes with --all");
  if (o.all && !o.last.empty()) return wrong("--last goes without --all");
  if (o.all && stands_still)
    return wrong(
        "--all records from now on, and only a living process goes on; without --all the "
        "last seconds are shown");
  if ((!o.last.empty() && seconds_in(o.last) < 0) ||
      (!o.duration.empty() && seconds_in(o.duration) < 0))
    return wrong("a time is 10s, 500ms, 2m or 1h, and at most a day");
  if (!stands_still && processes_named(o.target).size() > 1)
    return wrong("several programs are called so: take one by its number");
  return for_each_target(o, &trace_target);
}

}  // namespace tool
