// SPDX-License-Identifier: MIT
#include <heddle/io/tls/sessions.h>

#include <utility>

namespace heddle::detail {

// The caller frees what was dropped, with no lock held.
void session_store::forget_locked(order::iterator which, order& dropped) {
  const auto [begin, end] = by_key_.equal_range(which->key);
  for (auto at = begin; at != end; ++at) {
    if (at->second != which) continue;
    by_key_.erase(at);
    break;
  }
  dropped.splice(dropped.end(), all_, which);
}

void session_store::put(const std::string& key, session_ptr session) {
  if (most_ == 0) return;
  order fresh;
  fresh.push_back({key, std::move(session)});
  order dropped;
  {
    const std::lock_guard hold(lock_);
    // A multimap adds equal keys behind each other, so the first of them is the oldest.
    by_key_.emplace(key, fresh.begin());
    all_.splice(all_.begin(), fresh);
    if (by_key_.count(key) > most_for_one) forget_locked(by_key_.find(key)->second, dropped);
    if (all_.size() > most_) forget_locked(std::prev(all_.end()), dropped);
  }
}

session_ptr session_store::take(const std::string& key) {
  order dropped;
  session_ptr found;
  {
    const std::lock_guard hold(lock_);
    for (auto end = by_key_.upper_bound(key); !found;) {
      if (end == by_key_.begin()) break;
      const auto latest = std::prev(end);
      if (latest->first != key) break;
      const auto which = latest->second;
      SSL_SESSION* session = which->session.get();
      const bool holds = SSL_SESSION_is_resumable(session) == 1;
      const bool once = SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
      if (holds) {
        SSL_SESSION_up_ref(session);
        found.reset(session);
      }
      if (holds && !once) break;
      forget_locked(which, dropped);
      end = by_key_.upper_bound(key);
    }
  }
  return found;
}

}  // namespace heddle::detail
