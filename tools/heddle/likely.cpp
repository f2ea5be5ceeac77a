// SPDX-License-Identifier: MIT
#include "likely.h"

#include <heddle/core/record/eventual.h>

#include <algorithm>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

constexpr std::size_t most_futures = 1000;  // that memory is looked through for

bool awaits_future(const task_view& task) {
  return task.what == doing::waits && task.target != 0 &&
         task.target_kind == static_cast<std::uint8_t>(heddle::detail::kind::future);
}

}  // namespace

std::uint64_t ownerless(const task_view& task) {
  if (task.what != doing::waits) return 0;
  if (awaits_future(task)) return task.target;
  return task.is_locked ? 0 : task.object;
}

void likely::load(sight& from, const core_file* core) {
  core_ = core;
  struct context {
    likely& all;
  } c{*this};
  (void)from.tasks().each(
      [](void* to, const task_view& task) {
        auto& here = static_cast<context*>(to)->all;
        const auto object = ownerless(task);
        if (object == 0) return true;
        here.waiting_.push_back({task.at, object});
        here.mentions_.want(object, awaits_future(task) ? 1 : task.object_bytes);
        if (awaits_future(task)) here.futures_[task.target].push_back(task.at);
        return true;
      },
      &c);
  mentions_.read_frames(from);
}

void likely::add_to(circles& graph) const {
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> by;  // object -> who mentions it
  for (const auto& m : mentions_.found())
    if (!m.left_over) by[m.object].push_back(m.record);
  for (auto& [object, records] : by) {
    std::sort(records.begin(), records.end());
    records.erase(std::unique(records.begin(), records.end()), records.end());
  }
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> in;  // object -> who waits in it
  for (const auto& w : waiting_) in[w.object].push_back(w.record);
  constexpr std::size_t most_each = 64;
  for (const auto& w : waiting_) {
    const auto some = by.find(w.object);
    if (some == by.end()) continue;
    const auto& own = in[w.object];
    std::size_t n = 0;
    for (const auto record : some->second)
      if (std::find(own.begin(), own.end(), record) == own.end() && n++ < most_each)
        graph.add_likely(w.record, record);
  }
}

std::vector<mention> likely::of(const task_view& task) const {
  std::vector<mention> some;
  if (const auto object = ownerless(task); object != 0) some = mentions_.of(object);
  std::sort(some.begin(), some.end(), [](const mention& a, const mention& b) {
    return a.record != b.record ? a.record < b.record : a.left_over < b.left_over;
  });
  some.erase(std::unique(some.begin(), some.end(),
                         [](const mention& a, const mention& b) { return a.record == b.record; }),
             some.end());
  std::sort(some.begin(), some.end(),
            [](const mention& a, const mention& b) { return a.left_over < b.left_over; });
  return some;
}

bool likely::holder_of(sight& from, std::uint64_t future, held& to) {
  if (!looked_) {
    looked_ = true;
    std::vector<std::uint64_t> all;
    ranges own;
    for (const auto& [one, records] : futures_) {
      if (all.size() == most_futures) break;
      all.push_back(one);
      for (const auto record : records) {
        task_view task;
        if (!from.tasks().look_at(record, task)) continue;
        const auto frames = mentions_.frames_of(from, task);
        own.insert(own.end(), frames.begin(), frames.end());
      }
    }
    std::sort(own.begin(), own.end());
    std::vector<held> found;
    whole_ = find_holders(from, core_, all, own, found);
    for (std::size_t i = 0; i < found.size(); ++i) held_[all[i]] = found[i];
  }
  const auto at = held_.find(future);
  if (!whole_ || at == held_.end()) return false;
  to = at->second;
  return true;
}

}  // namespace tool
