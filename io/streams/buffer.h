// SPDX-License-Identifier: MIT
// Internal to io.
// Memory for received bytes: taken when bytes come, given back when they are consumed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heddle::detail {

/// The size of a block, and of a kernel buffer: the most that one receive brings.
inline constexpr std::size_t block_size = 16 * 1024;

/// Blocks go and come through a small cache of the thread, so that one loop uses the same few,
/// warm, for all its connections. Never inlined: no thread-local survives a suspension. Throws
/// std::bad_alloc.
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

/// Whose the memory is. From any thread.
class buffer_lender {
 public:
  virtual void give_back(lent_chunk& chunk) noexcept = 0;
  /// So many are lent that this one is better copied than kept.
  [[nodiscard]] virtual bool is_short() const noexcept = 0;

 protected:
  ~buffer_lender() = default;
};

/// The unread bytes of one stream, contiguous; no memory while there are none. Not thread-safe: the
/// reader's alone.
class input_buffer {
 public:
  input_buffer() noexcept = default;
  input_buffer(const input_buffer&) = delete;
  input_buffer& operator=(const input_buffer&) = delete;
  ~input_buffer() { clear(); }

  [[nodiscard]] std::string_view view() const noexcept { return {data_ + begin_, end_ - begin_}; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }

  /// Drops the first `n` bytes, of which there are as many.
  void consume(std::size_t n) noexcept {
    begin_ += n;
    if (begin_ == end_) clear();
  }
  void clear() noexcept;

  /// Free memory behind the bytes, at least a quarter of a block: receive into tail(), then
  /// added().
  void make_room();
  [[nodiscard]] char* tail() noexcept { return data_ + end_; }
  [[nodiscard]] std::size_t room() const noexcept { return capacity_ - end_; }
  void added(std::size_t n) noexcept { end_ += n; }

  void append(std::string_view bytes);
  /// Takes over bytes that came in a lent buffer: kept in place if nothing else is here and its
  /// lender can spare it, else copied.
  /// Strong: after std::bad_alloc the chunk is still the caller's.
  void adopt(lent_chunk& chunk);

 private:
  enum class kind : std::uint8_t { none, block, heap, lent };

  void reserve_behind(std::size_t n);
  void free_memory() noexcept;

  char* data_ = nullptr;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;  // of a lent buffer: end_, nothing may be added to it
  lent_chunk* lent_ = nullptr;
  kind kind_ = kind::none;
};

}  // namespace heddle::detail
