// SPDX-License-Identifier: MIT
#include <heddle/io/watch.h>

#include <heddle/io/files/file_threads.h>
#include <heddle/io/files/file_turn.h>
#include <heddle/io/files/open_file.h>
#include <heddle/io/files/watched_paths.h>
#include <heddle/sched/timeout.h>

#include <memory>
#include <optional>
#include <utility>

namespace heddle {
namespace detail {
namespace {

using shared_watch = std::shared_ptr<watched_paths>;

static_assert(static_cast<int>(path_change::overflow) == static_cast<int>(file_change::overflow));

task<> next_edge(watched_paths& w, std::uint32_t seen) {
  readable_wait edge(w.source(), w.name(), seen, "watch");
  co_await edge;
}

/// Returns after `limit` at the latest.
task<> next_edge_within(watched_paths& w, std::uint32_t seen, duration limit) {
  const auto body = [&w, seen] { return next_edge(w, seen); };
  try {
    task<> limited = timeout(limit, body);
    co_await limited;
  } catch (const timeout_error&) {}  // the caller looks at the clock
}

file_event told(path_event e) {
  return {static_cast<file_change>(e.change), std::move(e.path), std::move(e.from), e.is_directory};
}

async_generator<file_event> events_of(shared_watch w) {
  for (;;) {
    while (auto next = w->take()) co_yield told(std::move(*next));
    if (w->is_over()) co_return;
    file_turn turn;
    co_await turn;
    const auto seen = w->source().edges();
    if (w->fetch()) {
      if (!w->wants_look()) continue;
      auto job = on_file_thread([](const shared_watch& paths) { paths->look(); }, w);
      co_await job;
      continue;
    }
    const duration left = w->settle_moves();
    if (left == duration::zero()) continue;
    auto more = left == duration::max() ? next_edge(*w, seen) : next_edge_within(*w, seen, left);
    co_await more;
  }
}

task<async_generator<file_event>> begin_watch(std::string path, watch_options options) {
  auto job = on_file_thread(
      [](std::string p, const watch_options& o) {
        return std::make_shared<watched_paths>(std::move(p), o.tree, o.move_limit.get());
      },
      std::move(path), options);
  shared_watch paths = co_await job;
  paths->begin(current_reactor());
  co_return events_of(std::move(paths));
}

}  // namespace
}  // namespace detail

std::string_view to_string(file_change change) noexcept {
  switch (change) {
    case file_change::created: return "created";
    case file_change::modified: return "modified";
    case file_change::attributes: return "attributes";
    case file_change::moved: return "moved";
    case file_change::removed: return "removed";
    case file_change::overflow: break;
  }
  return "overflow";
}

task<async_generator<file_event>> watch(std::string path, watch_options options) {
  detail::check_path(path);
  return detail::begin_watch(std::move(path), options);
}
task<async_generator<file_event>> watch(std::string path) {
  return watch(std::move(path), watch_options());
}

}  // namespace heddle
