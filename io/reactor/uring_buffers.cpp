// SPDX-License-Identifier: MIT
#include <heddle/io/reactor/uring_buffers.h>

#include <heddle/core/errors.h>

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <new>

namespace heddle::detail {
namespace {

// The lender of bytes that were copied out of a ring's buffers.
struct moved_lender final : buffer_lender {
  void give_back(lent_chunk& chunk) noexcept override { ::operator delete(&chunk); }
  [[nodiscard]] bool is_short() const noexcept override { return false; }
};
constinit moved_lender moved;

}  // namespace

lent_chunk* move_out(lent_chunk& chunk) noexcept {
  void* memory = ::operator new(sizeof(lent_chunk) + chunk.size, std::nothrow);
  if (!memory) return nullptr;
  char* bytes = static_cast<char*>(memory) + sizeof(lent_chunk);
  std::memcpy(bytes, chunk.data, chunk.size);
  auto* copy = ::new (memory) lent_chunk;
  copy->lender = &moved;
  copy->data = bytes;
  copy->size = chunk.size;
  chunk.lender->give_back(chunk);
  return copy;
}

uring_buffers* uring_buffers::make(io_uring& ring, reactor& owner) {
  auto* b = new uring_buffers;
  constexpr std::size_t ring_bytes = count * sizeof(io_uring_buf);
  constexpr std::size_t all = count * size + ring_bytes;
  void* memory = ::mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    const int error = errno;
    delete b;
    throw_system_error(error, "mmap of receive buffers");
  }
  b->memory_ = static_cast<char*>(memory);
  b->ring_ = reinterpret_cast<io_uring_buf_ring*>(b->memory_ + count * size);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(b->ring_);
  registration.ring_entries = count;
  registration.bgid = group;
  const int error = ::io_uring_register_buf_ring(&ring, &registration, 0);
  if (error < 0) {
    delete b;
    throw_system_error(-error, "io_uring_register_buf_ring");
  }
  b->owner_ = &owner;
  io_uring_buf_ring_init(b->ring_);
  for (unsigned i = 0; i < count; ++i) {
    b->chunks_[i].lender = b;
    b->chunks_[i].data = b->memory_ + i * size;
    b->chunks_[i].id = static_cast<std::uint16_t>(i);
    io_uring_buf_ring_add(b->ring_, b->chunks_[i].data, size, static_cast<unsigned short>(i),
                          io_uring_buf_ring_mask(count), static_cast<int>(i));
  }
  io_uring_buf_ring_advance(b->ring_, count);
  return b;
}

uring_buffers::~uring_buffers() {
  if (memory_) ::munmap(memory_, count * size + count * sizeof(io_uring_buf));
}

void uring_buffers::ring_gone(io_uring& ring) noexcept {
  (void)::io_uring_unregister_buf_ring(&ring, group);
  lock_.lock();
  owner_ = nullptr;
  const bool last = lent_ == 0;
  lock_.unlock();
  if (last) delete this;
}

lent_chunk& uring_buffers::filled(unsigned id, std::uint32_t bytes) noexcept {
  lock_.lock();
  ++lent_;
  available_.store(available_.load(relaxed) - 1, relaxed);
  lock_.unlock();
  auto& c = chunks_[id];
  c.size = bytes;
  c.next = nullptr;
  return c;
}

void uring_buffers::give_back(lent_chunk& chunk) noexcept {
  lock_.lock();
  --lent_;
  bool last = false;
  if (owner_) {
    io_uring_buf_ring_add(ring_, chunk.data, size, chunk.id, io_uring_buf_ring_mask(count), 0);
    io_uring_buf_ring_advance(ring_, 1);
    const unsigned now = available_.load(relaxed) + 1;
    available_.store(now, relaxed);
    if (starving_ && now >= count / 8) {
      starving_ = false;
      owner_->wake();  // under the lock, so that the reactor cannot end meanwhile
    }
  } else {
    last = lent_ == 0;
  }
  lock_.unlock();
  if (last) delete this;
}

bool uring_buffers::any_or_wake_later() noexcept {
  lock_.lock();
  const bool any = available_.load(relaxed) >= count / 8;
  starving_ = !any;
  lock_.unlock();
  return any;
}

}  // namespace heddle::detail
