// SPDX-License-Identifier: MIT
#include "demonstration.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace cluster_render {
namespace {

namespace h = heddle;
using namespace std::chrono_literals;

constexpr auto look_pause = 200ms;  // between two looks at what workers have noted
constexpr auto rate_window = 2s;

double seconds_of(h::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

demonstration::demonstration(const settings& s, const work& w, const crew* c)
    : settings_(s), work_(w), crew_(c), items_(w.size()) {}

h::task<> demonstration::one(std::size_t number) {
  auto& i = items_[number];
  try {
    auto submitting = work_.submit(number);
    const auto handle = co_await std::move(submitting);
    i.id = handle.id();
    auto waiting = handle.result();
    i.got = co_await std::move(waiting);
  } catch (const h::cluster::error& e) { i.error = e.what(); }
  finished_.push_back(number);
  finished_at_.push_back(h::clock::now());
}

h::task<> demonstration::lane() {
  while (next_ < items_.size()) {
    auto next = one(next_++);
    co_await std::move(next);
  }
}

h::task<> demonstration::run_all() {
  begun_ = h::clock::now();
  std::vector<h::task<>> lanes;
  for (std::size_t i = 0; i < std::min(settings_.in_flight, items_.size()); ++i)
    lanes.push_back(lane());
  auto all = h::gather(std::move(lanes));
  co_await std::move(all);
  ended_ = h::clock::now();
}

h::task<std::size_t> demonstration::ask_again() {
  // Without a cluster the outcomes are those of one client. With one, another client has another
  // connection, and learns nothing but what is stored.
  std::optional<h::cluster::client> second;
  if (crew_) second.emplace(h::cluster::options::from_url(crew_->url()));
  if (second) h::cluster::use(*second);
  std::size_t differ = 0;
  for (const auto& i : items_) {
    if (!i.got) continue;
    auto waiting = work_.attach(i.id).result();
    const auto again = co_await std::move(waiting);
    differ += again == *i.got ? 0 : 1;
  }
  co_return differ;
}

h::task<> demonstration::check() {
  verdict v;
  auto asking = h::create_task(ask_again());
  v.two = co_await asking;
  auto comparing = h::to_thread([this, v]() mutable {
    checksum all;
    for (std::size_t n = 0; n < items_.size(); ++n) {
      const auto& got = items_[n].got;
      if (!got) {
        ++v.missing;
        continue;
      }
      all.add(got->second);
      v.different += got->second == work_.bytes_here(n) ? 0 : 1;
    }
    v.checksum = all.text();
    return v;
  });
  verdict_ = co_await std::move(comparing);
}

void demonstration::count_runs_now() {
  if (!crew_) return;
  std::ifstream log(crew_->run_log());
  log.seekg(static_cast<std::streamoff>(noted_));
  for (std::string line; std::getline(log, line) && !log.eof();) {
    noted_ += line.size() + 1;
    std::size_t number = 0;
    if (h::detail::parse_number(line, number) && number < items_.size()) ++items_[number].runs;
  }
}

h::task<> demonstration::count_runs() {
  for (;;) {
    count_runs_now();
    co_await h::sleep(look_pause);
  }
}

std::size_t demonstration::run_again() const noexcept {
  std::size_t again = 0;
  for (const auto& i : items_) again += i.runs > 1 ? i.runs - 1 : 0;
  return again;
}

double demonstration::seconds() const {
  if (begun_ == h::time_point{}) return 0;
  return seconds_of(ended_.value_or(h::clock::now()) - begun_);
}

double demonstration::rate() const {
  const auto now = h::clock::now();
  const auto since = std::max(begun_, now - rate_window);
  const auto first = std::lower_bound(finished_at_.begin(), finished_at_.end(), since);
  const double span = seconds_of(now - since);
  return span > 0 ? static_cast<double>(finished_at_.end() - first) / span : 0;
}

}  // namespace cluster_render
