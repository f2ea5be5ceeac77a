// SPDX-License-Identifier: MIT
// Internal to io.
// Memory for received bytes: taken when bytes come, given back when they are consumed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle::detail {

/// The size of a block: the most that one receive by readiness brings.
inline constexpr std::size_t block_size = 16 * 1024;

/// Blocks come from a small cache of the thread, and go back to one. So a loop uses the same few,
/// warm blocks for all its connections. Never inlined, since no address of a thread-local may
/// survive a suspension. Throws std::bad_alloc.
char* take_block();
void give_block(char* block) noexcept;

class buffer_lender;

/// A buffer that the kernel has filled, on its way from a reactor to a stream.
struct lent_chunk {
  buffer_lender* lender = nullptr;
  char* data = nullptr;
  std::uint32_t size = 0;
  std::uint16_t id = 0;
  lent_chunk* next = nullptr;
};

/// The owner of lent memory. Thread-safe.
class buffer_lender {
 public:
  virtual void give_back(lent_chunk& chunk) noexcept = 0;
  /// True: so many chunks are lent that this one should be copied and not kept.
  [[nodiscard]] virtual bool is_short() const noexcept = 0;

 protected:
  ~buffer_lender() = default;
};

/// The unread bytes of one stream, in one piece. Holds no memory while there are none. Not
/// thread-safe: it belongs to the reader's role.
class input_buffer {
 public:
  input_buffer() noexcept = default;
  input_buffer(const input_buffer&) = delete;
  input_buffer& operator=(const input_buffer&) = delete;
  ~input_buffer() { clear(); }

  [[nodiscard]] std::string_view view() const noexcept { return {data_ + begin_, end_ - begin_}; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }

  /// Drops the first `n` bytes; there must be as many.
  void consume(std::size_t n) noexcept {
    begin_ += n;
    if (begin_ == end_) clear();
  }
  void clear() noexcept;

  /// Makes free memory behind the bytes, at least a quarter of a block. Then receive into tail(),
  /// at most room() bytes, and tell by added() how many came. Throws std::bad_alloc.
  void make_room();
  [[nodiscard]] char* tail() noexcept { return data_ + end_; }
  [[nodiscard]] std::size_t room() const noexcept { return capacity_ - end_; }
  void added(std::size_t n) noexcept { end_ += n; }

  void append(std::string_view bytes);
  /// Puts bytes in front, which may not be a part of view(). Throws std::bad_alloc; then nothing
  /// has changed.
  void prepend(std::string_view bytes);
  /// Takes over bytes in a lent buffer. If this buffer is empty and the lender can spare the chunk,
  /// it is kept in place; else it is copied and given back. After std::bad_alloc the chunk is still
  /// the caller's.
  void adopt(lent_chunk& chunk);

 private:
  enum class kind : std::uint8_t { none, block, heap, lent };

  void reserve_behind(std::size_t n);
  void free_memory() noexcept;

  char* data_ = nullptr;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;  // with a lent buffer: end_, so that nothing is added to it
  lent_chunk* lent_ = nullptr;
  kind kind_ = kind::none;
};

}  // namespace heddle::detail
