// SPDX-License-Identifier: MIT
#include <heddle/sched/stalls/describe.h>

#include <heddle/core/seeing/live_chain.h>
#include <heddle/core/seeing/sight.h>
#include <heddle/core/seeing/stalls.h>
#include <heddle/sched/loop/worker.h>

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace heddle::detail {
namespace {

using seeing::address;
using seeing::stall_entry;

address address_of(const void* p) noexcept { return reinterpret_cast<address>(p); }

std::uint64_t length_of(duration d) noexcept {
  return d > duration::zero() ? static_cast<std::uint64_t>(d.count()) : 0;
}

/// The reader of this process, in pages of its own: the stalled thread may hold a lock of the heap.
class reader {
 public:
  struct parts {
    seeing::sight sight{0};
    seeing::cached_memory memory;
    seeing::task_view task;
    std::uint64_t words[stack_sample::most_words];
  };

  reader() noexcept {
    void* room =
        ::mmap(nullptr, sizeof(parts), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return;
    parts_ = ::new (room) parts;
    is_open_ = parts_->sight.open() == seeing::opening::good;
  }
  reader(const reader&) = delete;
  ~reader() {
    if (!parts_) return;
    parts_->~parts();
    ::munmap(parts_, sizeof(parts));
  }
  [[nodiscard]] bool is_open() const noexcept { return is_open_; }
  parts* operator->() noexcept { return parts_; }

 private:
  parts* parts_ = nullptr;
  bool is_open_ = false;
};

class hash {  // FNV-1a
 public:
  void add(std::uint64_t number) noexcept {
    for (int i = 0; i < 8; ++i) value_ = (value_ ^ (number >> (8 * i) & 255)) * 0x100000001b3;
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_ | 1; }  // an entry's is not 0

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

/// The record of the task that runs on the loop. Read as from outside: the loop's thread writes it.
address current_task(reader& r, const worker& loop) noexcept {
  (void)r->sight.look_at_loops();
  const auto* seen = r->sight.loops().at(address_of(&loop));
  return seen ? seen->current : 0;
}

void note_task(reader& r, address record, stall_entry& to) noexcept {
  auto& t = r->task;
  if (record == 0 || !r->sight.tasks().look_at(record, t)) return;
  to.number = t.number;
  to.generation = t.generation;
  to.made_line = t.made_line;
  seeing::short_writer name(to.task);
  name.put(t.name);
  seeing::short_writer file(to.made_file);
  file.put(t.made_file);
}

/// The stack of a thread that sleeps, from its top as far as it can be read.
std::size_t read_stack(reader& r, std::uint64_t from) noexcept {
  constexpr std::size_t at_once = 64;
  std::size_t n = 0;
  while (n + at_once <= stack_sample::most_words &&
         r->memory.read(from + n * 8, r->words + n, at_once * 8))
    n += at_once;
  return n;
}

void note_chain(reader& r, address record, const kept_loop& what, stall_entry& to) noexcept {
  seeing::live_words where;
  r->memory.over(r->sight.what().mem());
  if (what.sample) {
    where = {what.sample->word, what.sample->words, what.sample->function, what.sample->frames};
  } else if (what.call && what.call->stack != 0) {
    where.words = r->words;
    where.count = read_stack(r, what.call->stack);
  }
  seeing::live_chain chain;
  if (where.count == 0 ||
      !seeing::find_live_chain(r->sight.what(), r->memory, record, where, chain))
    return;
  to.chain_count = static_cast<std::uint32_t>(std::min(chain.count, stall_entry::most_chain));
  std::copy_n(chain.resume, to.chain_count, to.chain);
}

/// Below the task's own coroutines stands the loop, which is the same in every stall.
std::size_t frames_of_the_step(const stack_sample& s, const stall_entry& e) noexcept {
  for (std::size_t i = s.frames; i > 0; --i)
    for (std::uint32_t k = 0; k < e.chain_count; ++k)
      if (s.function[i - 1] == e.chain[k]) return i;
  return s.frames;
}

void note_frames(const stack_sample& s, stall_entry& to) noexcept {
  const auto n = std::min(frames_of_the_step(s, to), stall_entry::most_frames);
  to.frame_count = static_cast<std::uint32_t>(n);
  std::copy_n(s.at, n, to.frames);
}

/// Stalls are alike if the same functions are on the thread's stack, or the same call blocks, under
/// the same chain; where none of it is known, if the tasks were made at one place.
std::uint64_t key_of(const kept_loop& what, const stall_entry& e) noexcept {
  hash key;
  key.add(e.call);
  if (e.number == 0) key.add(e.made_line);
  for (std::uint32_t i = 0; i < e.frame_count; ++i) key.add(what.sample->function[i]);
  for (std::uint32_t i = 0; i < e.chain_count; ++i) key.add(e.chain[i]);
  if (e.frame_count + e.chain_count == 0) {
    key.add(e.made_line);
    for (const char* c = e.made_file; *c != 0; ++c) key.add(static_cast<unsigned char>(*c));
  }
  return key.value();
}

void put_loop(seeing::short_writer& to, const stall_entry& e) noexcept {
  to.put("loop ");
  to.number(e.loop_number);
}

}  // namespace

bool describe_stall(const kept_loop& what, stall_entry& entry, stall_text& text) noexcept {
  entry = {};
  entry.lasted = length_of(what.so_far);
  entry.loop = address_of(what.loop);
  entry.loop_number = what.loop->index();
  if (what.call) entry.call = what.call->number + 1;
  timespec now{};
  if (::clock_gettime(CLOCK_MONOTONIC, &now) == 0)
    entry.began = length_of(std::chrono::seconds(now.tv_sec) +
                            std::chrono::nanoseconds(now.tv_nsec) - what.so_far);
  reader r;
  if (r.is_open()) {
    const address record =
        what.sample ? address_of(what.sample->task) : current_task(r, *what.loop);
    note_task(r, record, entry);
    note_chain(r, record, what, entry);
  }
  if (entry.number == 0) entry.made_line = what.loop->serves();
  if (what.sample) note_frames(*what.sample, entry);
  entry.key = key_of(what, entry);
  seeing::short_writer to(text.message);
  put_loop(to, entry);
  to.put(" is kept by one step, ");
  seeing::put_length(to, entry.lasted);
  to.put(" so far: ");
  seeing::put_stalled(to, entry);
  if (!r.is_open()) return false;
  if (entry.frame_count + entry.chain_count != 0 || what.call) to.put(": ");
  seeing::put_stack(to, entry, r->sight.names(), false);
  return true;
}

void describe_end(const stall_entry& entry, duration took, stall_text& text) noexcept {
  seeing::short_writer to(text.message);
  put_loop(to, entry);
  to.put(" was kept for ");
  seeing::put_length(to, length_of(took));
  to.put(" by ");
  seeing::put_stalled(to, entry);
}

}  // namespace heddle::detail
