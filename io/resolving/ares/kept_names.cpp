// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/ares/kept_names.h>

#include <heddle/io/resolving/ares/configuration.h>
#include <heddle/io/resolving/rotation.h>

#include <algorithm>
#include <utility>

namespace heddle::detail {

kept_names::key kept_names::key_of(const name_query& q) { return {folded(q.host), q.family}; }

bool kept_names::find(const name_query& q, std::uint64_t version, name_answer& out) {
  const key k = key_of(q);
  const std::lock_guard hold(lock_);
  const auto at = all_.find(k);
  if (at == all_.end()) return false;
  const time_point now = clock::now();
  entry& e = at->second;
  if (e.until <= now || e.version != version) {
    all_.erase(at);
    return false;
  }
  if (e.failure.code != 0) e.failure.raise();
  out = e.answer;
  out.kept = true;
  out.holds = e.until - now;
  rotate_equals(out.addresses, e.given++);
  return true;
}

void kept_names::put(const name_query& q, entry e, duration holds) {
  if (holds <= duration::zero() || most_ == 0) return;
  key k = key_of(q);
  const std::lock_guard hold(lock_);
  e.until = saturating_add(clock::now(), holds);
  if (all_.find(k) == all_.end() && all_.size() >= most_) {
    const auto goes = std::min_element(all_.begin(), all_.end(), [](const auto& a, const auto& b) {
      return a.second.until < b.second.until;
    });
    all_.erase(goes);
  }
  all_.insert_or_assign(std::move(k), std::move(e));
}

void kept_names::keep(const name_query& q, std::uint64_t version, const name_answer& a) {
  if (!a.holds) return;
  put(q, {a, {}, {}, version}, std::min(a.holds->get(), longest_));
}

void kept_names::keep(const name_query& q, std::uint64_t version, const name_failure& f) {
  if (f.holds) put(q, {{}, f, {}, version}, std::min(*f.holds, longest_negative_));
}

void kept_names::flush() {
  std::map<key, entry> old;
  const std::lock_guard hold(lock_);
  all_.swap(old);
}

}  // namespace heddle::detail
