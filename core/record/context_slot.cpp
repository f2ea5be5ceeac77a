// SPDX-License-Identifier: MIT
#include <heddle/core/record/context_slot.h>

#include <heddle/core/base/thread_state.h>

#include <algorithm>

namespace heddle::detail {
namespace {
constinit atomic<std::uint64_t> last_number{0};
}  // namespace

std::uint64_t next_context_number() noexcept { return last_number.fetch_add(1, relaxed) + 1; }

context_map_ref context_map::with(const context_map* from, std::uint64_t variable,
                                  context_value_ref value) {
  const std::size_t n = from ? from->size_ : 0;
  std::size_t at = 0;
  while (at < n && from->entries_[at].variable < variable) ++at;
  const bool there = at < n && from->entries_[at].variable == variable;
  context_map_ref made(new context_map(n - (there ? 1 : 0) + (value ? 1 : 0)));
  entry* out = made->entries_;
  for (std::size_t i = 0; i < at; ++i) *out++ = from->entries_[i];
  if (value) *out++ = entry{variable, std::move(value)};
  for (std::size_t i = at + (there ? 1 : 0); i < n; ++i) *out++ = from->entries_[i];
  return made;
}

context_value_ref context_map::find(std::uint64_t variable) const noexcept {
  const entry* last = entries_ + size_;
  const entry* at =
      std::lower_bound(static_cast<const entry*>(entries_), last, variable,
                       [](const entry& e, std::uint64_t wanted) { return e.variable < wanted; });
  return at != last && at->variable == variable ? at->value : context_value_ref();
}

context_slot::~context_slot() = default;

void context_slot::share(counted_ptr<context_state> state) noexcept {
  target_.store(state.get(), relaxed);
  shared_ = std::move(state);
}

// The slot whose map counts, as far as can be seen without the lock. The slot of a shared context
// belongs to no task, so it shares nothing in turn. It lives as long as this slot.
context_slot& context_slot::target() noexcept {
  // pairs with shared()
  auto* state = target_.load(acquire);
  return state ? state->slot : *this;
}

context_slot& context_slot::lock_target() noexcept {
  auto* t = &target();
  t->lock_.lock();
  if (t != this || !shared_) return *t;
  t->lock_.unlock();  // it was shared meanwhile
  t = &shared_->slot;
  t->lock_.lock();
  return *t;
}

context_map_ref context_slot::copy() noexcept {
  // pairs with replace() and shared()
  if (!target().begun_.load(acquire)) return {};
  auto& t = lock_target();
  auto map = t.map_;
  t.lock_.unlock();
  return map;
}

context_value_ref context_slot::find(std::uint64_t variable) noexcept {
  // pairs with replace() and shared()
  if (!target().begun_.load(acquire)) return {};
  auto& t = lock_target();
  auto value = t.map_ ? t.map_->find(variable) : context_value_ref();
  t.lock_.unlock();
  return value;
}

// The new map is made outside of the lock, from the map that is there. If another map took its
// place meanwhile, the new one is made again from that.
context_value_ref context_slot::replace(std::uint64_t variable, context_value_ref value) {
  for (;;) {
    const auto before = copy();
    auto after = context_map::with(before.get(), variable, value);
    auto& t = lock_target();
    const bool same = t.map_.get() == before.get();
    if (same) {
      std::swap(t.map_, after);
      // pairs with begun(), copy() and find()
      t.begun_.store(true, release);
    }
    t.lock_.unlock();
    if (same) return before ? before->find(variable) : context_value_ref();
  }
}

counted_ptr<context_state> context_slot::shared() {
  auto fresh = context_ref(new context_state);
  lock_.lock();
  if (!shared_) {
    fresh->slot.map_ = std::move(map_);
    fresh->slot.identity_ = identity_;
    fresh->slot.begun_.store(static_cast<bool>(fresh->slot.map_), relaxed);
    shared_ = std::move(fresh);
    // pairs with target() and begun()
    target_.store(shared_.get(), release);
  }
  auto result = shared_;
  lock_.unlock();
  return result;
}

std::uint64_t context_slot::identity() noexcept {
  auto& t = lock_target();
  if (t.identity_ == 0) t.identity_ = next_context_number();
  const auto id = t.identity_;
  t.lock_.unlock();
  return id;
}

context_scope::context_scope(context_slot* slot) noexcept
    : before_(std::exchange(this_thread().context, slot)) {}

context_scope::~context_scope() { this_thread().context = before_; }

}  // namespace heddle::detail
