// SPDX-License-Identifier: MIT
#include "leak_memory.h"

#include "written_memory.h"

#include <heddle/core/memory/frame_depot.h>

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>

namespace tool {
namespace {

using heddle::detail::frame_depot;

constexpr address arena_bytes = address{64} << 20;  // glibc: arenas of threads begin at multiples
constexpr std::uint64_t is_large = 2;               // glibc: a block that has a mapping of its own
constexpr std::uint64_t size_mask = ~std::uint64_t{7};
constexpr address most_mapped = address{1} << 40;  // in one piece
constexpr std::size_t piece_bytes = std::size_t{1} << 22;

/// What the thread-locals of all files need together, in front of each thread's control block.
address thread_local_bytes(target& of) {
  constexpr std::size_t most_headers = 64;
  auto& mem = of.see().what().mem();
  address bytes = 0;
  for (std::size_t i = 0; i < of.see().code().head_count(); ++i) {
    const address head = of.see().code().heads()[i];
    ElfW(Ehdr) file;
    ElfW(Phdr) p;
    if (!mem.get(head, file) || std::memcmp(file.e_ident, ELFMAG, SELFMAG) != 0) continue;
    for (std::size_t k = 0; k < std::min<std::size_t>(file.e_phnum, most_headers); ++k)
      if (mem.get(head + file.e_phoff + k * sizeof p, p) && p.p_type == PT_TLS)
        bytes += (p.p_memsz + p.p_align + 63) / 64 * 64;
  }
  return bytes;
}

/// The control block of a loop's thread, which begins with its own address, or 0. In front of it
/// stand the thread-locals, and one of these is the loop's thread_state.
address thread_block(target& of, const seeing::loop_view& loop) {
  constexpr address most = 65536;
  const auto& program = of.see().what();
  address state = 0;
  if (!program.load(program.mem(), loop.at, program.at().thread_state, state)) return 0;
  for (address at = (state + 63) / 64 * 64; at < state + most; at += 64) {
    address words[3] = {};
    if (!program.mem().get(at, words)) return 0;
    if (words[0] == at && words[2] == at) return at;
  }
  return 0;
}

/// That of each loop.
std::vector<address> thread_blocks(target& of) {
  std::vector<address> blocks;
  for (std::size_t i = 0; i < of.see().loops().size(); ++i)
    blocks.push_back(thread_block(of, of.see().loops()[i]));
  return blocks;
}

/// Does an arena of glibc begin at `at`, or one more part of one? It tells how long it is.
bool is_arena(seeing::memory& mem, address at, address end, address& bytes) {
  struct {
    address arena, before;
    std::uint64_t size, writable;
  } head = {};
  if (!mem.get(at, head)) return false;
  bytes = head.size;
  return head.arena % arena_bytes >= sizeof head && head.arena % arena_bytes <= 64 &&
         head.before % arena_bytes == 0 && head.size % 4096 == 0 && head.size != 0 &&
         head.size <= std::min(arena_bytes, end - at);
}

/// The system shows neighbours as one mapping: here they become regions of their own, as far as is
/// known where a thread's stack ends, or an arena begins and ends.
std::vector<written_region> part(target& of, const std::vector<address>& thread_blocks,
                                 const std::vector<written_region>& mapped) {
  constexpr address behind_locals = 2304;  // glibc: what it knows of a thread
  std::vector<address> ends;
  for (const address tcb : thread_blocks)
    if (tcb != 0) ends.push_back((tcb + behind_locals + 4095) / 4096 * 4096);
  for (const auto& r : mapped) {
    if (!r.path.empty()) continue;
    for (address at = (r.begin + arena_bytes - 1) / arena_bytes * arena_bytes; at < r.end;
         at += arena_bytes) {
      address bytes = 0;
      if (is_arena(of.see().what().mem(), at, r.end, bytes))
        ends.insert(ends.end(), {at, at + bytes});
    }
  }
  std::sort(ends.begin(), ends.end());
  std::vector<written_region> parts;
  for (auto r : mapped) {
    for (auto e = std::upper_bound(ends.begin(), ends.end(), r.begin);
         e != ends.end() && *e < r.end; ++e) {
      if (*e == r.begin) continue;
      parts.push_back(r);
      parts.back().end = r.begin = *e;
    }
    parts.push_back(std::move(r));
  }
  return parts;
}

}  // namespace

bool leak_memory::take(target& of) {
  const auto stacks = thread_stacks(of.see(), of.core());
  const address locals = thread_local_bytes(of);
  const auto blocks = thread_blocks(of);
  auto regions = part(of, blocks, written_regions(of.see(), of.core()));
  for (const auto& r : regions)
    if (r.end - r.begin > most_mapped) return false;
  for (auto& r : regions) {
    address lowest = 0;
    for (const auto& s : stacks)
      if (s.pointer >= r.begin && s.pointer < r.end && (lowest == 0 || s.pointer < lowest))
        lowest = s.pointer;
    if (lowest != 0) r.begin = std::max(r.begin, (lowest - red_zone) / 8 * 8);
    for (std::size_t i = 0; i < of.see().loops().size(); ++i) {
      const address tcb = of.see().loops()[i].parked ? blocks[i] : 0;
      if (lowest != 0 && tcb > r.begin && tcb < r.end) r.begin = std::max(r.begin, tcb - locals);
    }
    copy(of, {r.begin, r.end}, r.path.starts_with("/"), lowest != 0);
  }
  for (const auto& p : pieces_) cut(p);
  std::sort(blocks_.begin(), blocks_.end(),
            [](const heap_block& a, const heap_block& b) { return a.begin < b.begin; });
  for (auto& b : blocks_) b.is_opaque = b.is_opaque || is_list_of_free(b);
  cut_frames(of);
  return !pieces_.empty();
}

/// glibc's cache of a thread: 64 counts, and 64 lists of blocks that are free. What stands in those
/// is dead.
bool leak_memory::is_list_of_free(const heap_block& b) const {
  constexpr address bytes = 0x290 - 16;
  constexpr std::uint64_t most = 16;
  if (b.end - b.begin != bytes) return false;
  for (std::size_t i = 0; i < 64; ++i) {
    const std::uint64_t count = word(b.begin + i / 4 * 8) >> (i % 4 * 16) & 0xffff;
    const std::uint64_t first = word(b.begin + 128 + i * 8);
    if (count > most || (count == 0) != (first == 0)) return false;
  }
  return true;
}

/// What cannot be read is left out: a device, or what has gone meanwhile.
void leak_memory::copy(target& of, const range& r, bool is_file, bool is_stack) {
  piece p;
  p.begin = r.begin;
  p.is_file = is_file;
  p.is_stack = is_stack;
  for (address at = r.begin; at < r.end; at += piece_bytes) {
    const auto n = static_cast<std::size_t>(std::min<address>(piece_bytes, r.end - at));
    const std::size_t had = p.words.size();
    p.words.resize(had + n / 8);
    if (of.see().what().mem().read(at, p.words.data() + had, n / 8 * 8)) continue;
    p.words.resize(had);
    break;
  }
  if (!p.words.empty()) pieces_.push_back(std::move(p));
}

const leak_memory::piece* leak_memory::piece_at(address at) const {
  auto above = std::upper_bound(pieces_.begin(), pieces_.end(), at,
                                [](address a, const piece& p) { return a < p.begin; });
  if (above == pieces_.begin()) return nullptr;
  --above;
  return at < above->end() ? &*above : nullptr;
}

std::uint64_t leak_memory::word(address at) const {
  const piece* p = piece_at(at);
  return p ? p->words[(at - p->begin) / 8] : 0;
}

void leak_memory::cut(const piece& p) {
  if (!p.is_file && !p.is_stack) {
    if (cut_heap(p, p.begin) || cut_large(p)) return;
    // The arena of a thread begins with what describes it, which has no fixed size.
    if (p.begin % arena_bytes == 0)
      for (address at = p.begin + 32; at < p.begin + 4096 && at < p.end(); at += 16)
        if (cut_heap(p, at)) {
          roots_.push_back({p.begin, at});
          return;
        }
  }
  roots_.push_back({p.begin, p.end()});
}

/// Blocks one behind the other from `begin` to the end of the piece, or none at all.
bool leak_memory::cut_heap(const piece& p, address begin) {
  const std::size_t had = blocks_.size();
  for (address at = begin; at + 16 <= p.end();) {
    const std::uint64_t head = p.words[(at - p.begin) / 8 + 1];
    const std::uint64_t bytes = head & size_mask;
    if (bytes < 32 || bytes % 16 != 0 || bytes > p.end() - at || (head & is_large) != 0) {
      blocks_.resize(had);
      return false;
    }
    // The last word of a block that is in use stands in front of the next one's size, whose lowest
    // bit tells whether it is in use.
    const address next = at + bytes;
    const bool last = next == p.end();
    const bool in_use =
        !last && next + 16 <= p.end() && (p.words[(next - p.begin) / 8 + 1] & 1) != 0;
    blocks_.push_back({at + 16, next, last ? next : next + 8, -1, false, !in_use});
    at = next;
    if (last) return true;
  }
  blocks_.resize(had);
  return false;
}

/// Large blocks have mappings of their own, of which neighbours are seen as one.
bool leak_memory::cut_large(const piece& p) {
  const std::size_t had = blocks_.size();
  for (address at = p.begin; at + 16 <= p.end();) {
    const std::uint64_t head = p.words[(at - p.begin) / 8 + 1];
    const std::uint64_t bytes = head & size_mask;
    if ((head & is_large) == 0 || bytes < 4096 || bytes % 4096 != 0 || bytes > p.end() - at) break;
    blocks_.push_back({at + 16, at + bytes, at + bytes});
    at += bytes;
    if (at == p.end()) return true;
  }
  blocks_.resize(had);
  return false;
}

heap_block* leak_memory::block_at(address at) {
  auto above = std::upper_bound(blocks_.begin(), blocks_.end(), at,
                                [](address a, const heap_block& b) { return a < b.begin; });
  if (above == blocks_.begin()) return nullptr;
  --above;
  return at < above->end ? &*above : nullptr;
}

/// The chunks that frames come from are cut into their blocks. The lists of free ones are left out:
/// whatever they lead to is free. Records are known, so their chunks are not looked through.
void leak_memory::cut_frames(target& of) {
  constexpr std::size_t most_chunks = std::size_t{1} << 22;
  const auto& program = of.see().what();
  const auto& at = program.at();
  address chunk = program.record_chunks() != 0 ? word(program.record_chunks()) : 0;
  for (std::size_t i = 0; chunk != 0 && i < most_chunks; ++i) {
    if (auto* b = block_at(chunk)) b->is_opaque = true;
    chunk = chunk % 8 == 0 ? word(chunk + at.chunk_next.at) : 0;
  }
  if (program.frame_depot() == 0 || at.depot.size == 0) return;
  std::vector<heap_block> cells;
  chunk = word(program.frame_depot() + at.depot_chunks.at);
  for (std::size_t i = 0; chunk != 0 && chunk % 8 == 0 && i < most_chunks; ++i) {
    cut_chunk(chunk, cells);
    chunk = word(chunk);
  }
  blocks_.insert(blocks_.end(), cells.begin(), cells.end());
  std::erase_if(blocks_, [](const heap_block& b) { return b.begin == b.end; });
  std::sort(blocks_.begin(), blocks_.end(),
            [](const heap_block& a, const heap_block& b) { return a.begin < b.begin; });
  leave_out(program.frame_depot(), at.depot.size);
  for (std::size_t i = 0; i < of.see().loops().size(); ++i) {
    const address state = word(of.see().loops()[i].at + at.thread_state.at);
    if (state != 0) leave_out(state + at.thread_frames.at, at.thread_frames.size);
  }
}

/// A chunk tells how large its blocks are, and how many it has.
void leak_memory::cut_chunk(address chunk, std::vector<heap_block>& cells) {
  auto* b = block_at(chunk);
  if (!b) return;
  const std::uint64_t told = word(chunk + sizeof(address));
  const std::uint64_t size = told & 0xffffffff, count = told >> 32;
  if (size == 0 || size % frame_depot::grain != 0) return;
  const address first = chunk + frame_depot::alignment_of(size);
  if (first > b->told_end || count > (b->told_end - first) / size) return;
  for (std::uint64_t k = 0; k < count; ++k)
    cells.push_back({first + k * size, first + (k + 1) * size, first + (k + 1) * size});
  b->end = b->begin;  // it is its cells from here on
}

void leak_memory::leave_out(address begin, std::uint64_t bytes) {
  std::vector<range> left;
  for (const auto& r : roots_) {
    if (begin >= r.end || begin + bytes <= r.begin) {
      left.push_back(r);
      continue;
    }
    if (r.begin < begin) left.push_back({r.begin, begin});
    if (begin + bytes < r.end) left.push_back({begin + bytes, r.end});
  }
  roots_ = std::move(left);
}

}  // namespace tool
