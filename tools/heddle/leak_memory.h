// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: a copy of all that a program can write, cut into what certainly
// lives and the blocks of its heap.
//
// Problem   What a lost block of the heap holds is lost too. So it has to be known where a block
//           begins and ends. And dead frames on a stack, or blocks that were freed, still hold
//           pointers to what was lost.
// Chosen    glibc's heap tells the size in front of each block, so it is walked. Of a stack only
//           what is above the stack pointer lives; of that of a loop that is parked only its
//           thread-locals, since no code of the user's is under way there. heddle's own blocks of
//           frames are cut by size.
// Bounds    What is understood by none of this counts as living, with all that it points to. So
//           less is found, and nothing wrong: with another allocator, or a sanitizer's, nothing.
// Cost      As much memory as the program has written.
#pragma once

#include "target.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tool {

struct range {
  address begin = 0;
  address end = 0;
};

struct heap_block {
  address begin = 0;
  address end = 0;
  address told_end = 0;     // how far its contents go; pointers behind `end` mean the next block
  std::int64_t owner = -1;  // the task whose frame it is; -1: nobody's
  bool is_reached = false;
  bool is_opaque = false;  // what it holds is known, or dead, and is not looked through
};

class leak_memory {
 public:
  /// False: nothing could be read; or far too much is mapped, as sanitizers do.
  bool take(target& of);

  /// What lives whatever points to it: variables, stacks, and what is not understood.
  [[nodiscard]] const std::vector<range>& roots() const { return roots_; }
  [[nodiscard]] heap_block* block_at(address at);
  [[nodiscard]] std::size_t block_count() const { return blocks_.size(); }
  /// The word at `at`, which is a multiple of 8; 0: it was not read.
  [[nodiscard]] std::uint64_t word(address at) const;
  /// Calls `see(word)` for each word of the range that may lead to a block.
  template <class F>
  void each_word(const range& r, F&& see) const {
    const piece* p = piece_at(r.begin);
    if (!p || blocks_.empty()) return;
    const address lowest = blocks_.front().begin, highest = blocks_.back().end;
    const std::size_t end = (std::min(r.end, p->end()) - p->begin) / 8;
    const std::uint64_t* const words = p->words.data();
    for (std::size_t i = (r.begin - p->begin + 7) / 8; i < end; ++i)
      if (words[i] >= lowest && words[i] < highest) see(words[i]);
  }

 private:
  struct piece {
    address begin = 0;
    std::vector<std::uint64_t> words;
    bool is_file = false;
    bool is_stack = false;
    [[nodiscard]] address end() const { return begin + words.size() * 8; }
  };

  [[nodiscard]] const piece* piece_at(address at) const;
  void copy(target& of, const range& r, bool is_file, bool is_stack);
  void cut(const piece& p);
  [[nodiscard]] bool cut_heap(const piece& p, address begin);
  [[nodiscard]] bool cut_large(const piece& p);
  [[nodiscard]] bool is_list_of_free(const heap_block& b) const;
  void cut_frames(target& of);
  void cut_chunk(address chunk, std::vector<heap_block>& cells);
  void leave_out(address begin, std::uint64_t bytes);

  std::vector<piece> pieces_;
  std::vector<range> roots_;
  std::vector<heap_block> blocks_;  // in order
};

}  // namespace tool
