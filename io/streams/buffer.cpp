// SPDX-License-Identifier: MIT
#include <heddle/io/streams/buffer.h>

#include <heddle/core/base/config.h>
#include <heddle/core/memory/magazine.h>

#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace heddle::detail {
namespace {

constexpr std::uint32_t batch = 8;
// Batches that the process keeps for the next burst: 8 MiB. What is beyond goes back to the
// allocator. Else each block of the largest burst would stay for ever: 16 KiB for each connection
// that once had bytes at the same moment as all others.
constexpr std::uint32_t most_batches = 64;
constexpr std::size_t least_room = block_size / 4;

constinit magazine_depot<raw_links> blocks_of_the_process;

/// A forked child may run loops of its own. It has only the thread that forked, so a lock that
/// another thread held would stay locked for ever. So the depot is locked over the fork.
void care_for_forked_blocks() {
  static const int once =
      ::pthread_atfork([] { blocks_of_the_process.hold(); }, [] { blocks_of_the_process.let_go(); },
                       [] { blocks_of_the_process.let_go(); });
  (void)once;
}

struct block_cache {
  block_cache() noexcept { care_for_forked_blocks(); }
  magazine<raw_links> blocks;
  ~block_cache() { blocks.flush(blocks_of_the_process, batch); }
};

HEDDLE_NOINLINE magazine<raw_links>& own_blocks() noexcept {
  thread_local block_cache cache;
  return cache.blocks;
}

}  // namespace

HEDDLE_NOINLINE char* take_block() {
  auto& own = own_blocks();
  if (auto* b = own.pop()) return reinterpret_cast<char*>(b);
  if (own.refill(blocks_of_the_process, batch)) return reinterpret_cast<char*>(own.pop());
  return static_cast<char*>(::operator new(block_size));
}

HEDDLE_NOINLINE void give_block(char* block) noexcept {
  auto& own = own_blocks();
  if (own.push(::new (static_cast<void*>(block)) raw_links::block{}, batch)) return;
  auto* surplus = own.surplus(batch);
  if (!surplus || blocks_of_the_process.put_below(surplus, most_batches)) return;
  while (surplus) ::operator delete(std::exchange(surplus, surplus->next));
}

void input_buffer::free_memory() noexcept {
  switch (kind_) {
    case kind::none: break;
    case kind::block: give_block(data_); break;
    case kind::heap: ::operator delete(data_); break;
    case kind::lent: lent_->lender->give_back(*lent_); break;
  }
}

void input_buffer::clear() noexcept {
  free_memory();
  kind_ = kind::none;
  data_ = nullptr;
  begin_ = end_ = capacity_ = 0;
}

void input_buffer::reserve_behind(std::size_t n) {
  if (kind_ != kind::none && capacity_ - end_ >= n) return;
  const std::size_t held = size();
  if ((kind_ == kind::block || kind_ == kind::heap) && capacity_ - held >= n && begin_ >= held) {
    // At most half of the buffer is moved, so a byte is moved a bounded number of times.
    std::memcpy(data_, data_ + begin_, held);
    begin_ = 0;
    end_ = held;
    return;
  }
  const std::size_t wanted = held + n;
  const bool small = wanted <= block_size;
  const std::size_t capacity = small ? block_size : std::max(wanted, 2 * capacity_);
  char* fresh = small ? take_block() : static_cast<char*>(::operator new(capacity));
  if (held) std::memcpy(fresh, data_ + begin_, held);
  free_memory();
  kind_ = small ? kind::block : kind::heap;
  data_ = fresh;
  begin_ = 0;
  end_ = held;
  capacity_ = capacity;
}

void input_buffer::make_room() { reserve_behind(kind_ == kind::none ? block_size : least_room); }

void input_buffer::append(std::string_view bytes) {
  if (bytes.empty()) return;
  reserve_behind(bytes.size());
  std::memcpy(data_ + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

void input_buffer::prepend(std::string_view bytes) {
  if (bytes.empty()) return;
  if (begin_ < bytes.size()) {
    // The fresh memory has its room behind the bytes, where more will come.
    const std::size_t held = size();
    const std::size_t wanted = bytes.size() + held;
    const bool small = wanted <= block_size;
    char* fresh = small ? take_block() : static_cast<char*>(::operator new(wanted));
    if (held) std::memcpy(fresh + bytes.size(), data_ + begin_, held);
    free_memory();
    kind_ = small ? kind::block : kind::heap;
    data_ = fresh;
    begin_ = bytes.size();
    end_ = wanted;
    capacity_ = small ? block_size : wanted;
    lent_ = nullptr;
  }
  begin_ -= bytes.size();
  std::memcpy(data_ + begin_, bytes.data(), bytes.size());
}

void input_buffer::adopt(lent_chunk& chunk) {
  if (kind_ == kind::none && !chunk.lender->is_short()) {
    kind_ = kind::lent;
    lent_ = &chunk;
    data_ = chunk.data;
    begin_ = 0;
    end_ = capacity_ = chunk.size;
    return;
  }
  append({chunk.data, chunk.size});
  chunk.lender->give_back(chunk);
}

}  // namespace heddle::detail
