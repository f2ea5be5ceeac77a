// SPDX-License-Identifier: MIT
#include <heddle/core/memory/frame_depot.h>

#include <new>

namespace heddle::detail {

frame_depot::~frame_depot() {
  if (arrange_) return;
  while (chunks_) {
    chunk* c = std::exchange(chunks_, chunks_->next);
    ::operator delete(c, std::align_val_t(alignment_of(c->block_bytes)));
  }
}

raw_links::block* frame_depot::carve(std::size_t index, std::uint32_t batch) {
  const std::size_t size = (index + 1) * grain;
  static_assert(sizeof(raw_links::block) <= grain && sizeof(chunk) <= grain);
  // The first block stands one alignment behind the chunk's head, so that all of them are aligned.
  const std::size_t alignment = alignment_of(size);
  auto* raw = static_cast<std::byte*>(
      ::operator new(alignment + size * batch, std::align_val_t(alignment)));
  auto* head =
      ::new (static_cast<void*>(raw)) chunk{nullptr, static_cast<std::uint32_t>(size), batch};
  chunks_lock_.lock_for_all_worlds();
  head->next = chunks_;
  chunks_ = head;
  chunks_lock_.unlock();
  reserved_.fetch_add(alignment + size * batch, relaxed);
  raw_links::block* list = nullptr;
  for (std::uint32_t i = batch; i-- > 0;) {
    auto* b = reinterpret_cast<raw_links::block*>(raw + alignment + size * i);
    b->next = list;
    list = b;
  }
  return list;
}

void frame_depot::hold() noexcept {
  for (auto& d : depots_) d.hold();
  chunks_lock_.lock();
}

void frame_depot::let_go() noexcept {
  chunks_lock_.unlock();
  for (auto& d : depots_) d.let_go();
}

void* frame_cache::refill(std::size_t index) {
  const uninterrupted refilling;
  if (!depot_->arrange_flush()) throw std::bad_alloc();
  const std::uint32_t batch = frame_depot::batch_of(index);
  if (!lists_[index].refill(depot_->of(index), batch))
    lists_[index].fill(depot_->carve(index, batch), batch);
  return lists_[index].pop();
}

void frame_cache::spill(std::size_t index) noexcept {
  const std::uint32_t batch = frame_depot::batch_of(index);
  if (lists_[index].is_asleep() && !depot_->arrange_flush())
    return lists_[index].flush(depot_->of(index), batch);
  lists_[index].spill(depot_->of(index), batch);
}

void frame_cache::flush() noexcept {
  for (std::size_t i = 0; i < frame_depot::classes; ++i)
    lists_[i].flush(depot_->of(i), frame_depot::batch_of(i));
}

}  // namespace heddle::detail
