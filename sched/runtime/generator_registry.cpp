// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/generator_registry.h>

#include <mutex>

namespace heddle::detail {

void listed_generator::destroy() noexcept { handle().destroy(); }

generator_chain::~generator_chain() {
  while (auto g = pop()) {}
}

counted_ptr<listed_generator> generator_chain::pop() noexcept {
  auto* g = first_;
  if (g) first_ = g->next_;
  return counted_ptr<listed_generator>(g);
}

void generator_chain::push_all(listed_generator* list) noexcept {
  while (list) {
    auto* g = std::exchange(list, list->next_);
    g->next_ = nullptr;
    (first_ ? last_->next_ : first_) = g;
    last_ = g;
  }
}

bool generator_registry::add(listed_generator& g) noexcept {
  auto& l = lists_[g.list_ % count_];
  std::lock_guard hold(l.lock);
  if (l.shut) return false;
  g.ref();
  g.listed_ = true;
  g.prev_ = nullptr;
  g.next_ = l.first;
  if (l.first) l.first->prev_ = &g;
  l.first = &g;
  return true;
}

bool generator_registry::remove(listed_generator& g) noexcept {
  auto& l = lists_[g.list_ % count_];
  std::lock_guard hold(l.lock);
  if (!g.listed_) return false;
  g.listed_ = false;
  (g.prev_ ? g.prev_->next_ : l.first) = g.next_;
  if (g.next_) g.next_->prev_ = g.prev_;
  return true;
}

bool generator_registry::has(listed_generator& g) noexcept {
  auto& l = lists_[g.list_ % count_];
  std::lock_guard hold(l.lock);
  return g.listed_;
}

generator_chain generator_registry::shut() noexcept {
  generator_chain all;
  for (unsigned i = 0; i < count_; ++i) {
    auto& l = lists_[i];
    listed_generator* first;
    {
      std::lock_guard hold(l.lock);
      l.shut = true;
      first = std::exchange(l.first, nullptr);
      for (auto* g = first; g; g = g->next_) g->listed_ = false;  // the links are ours now
    }
    all.push_all(first);
  }
  return all;
}

}  // namespace heddle::detail
