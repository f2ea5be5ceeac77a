// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/tasks.h>

#include <heddle/core/record/eventual.h>
#include <heddle/core/scheduler.h>

#include <time.h>

#include <algorithm>
#include <cstring>

namespace heddle::detail::seeing {
namespace {

constexpr std::uint64_t tags = 3;
constexpr std::uint64_t unstarted_tag = 1;
constexpr std::uint64_t place_tag = 1;
constexpr std::uint64_t at_tag = 2;  // of a record's link: it is the place of a wait
constexpr std::uint64_t end_tag = 1;
constexpr std::uint64_t creator_tag = 1;
constexpr std::uint8_t pinned_flag = 2;
constexpr std::uint64_t most_frames = std::uint64_t{1} << 20;
constexpr std::uint32_t most_strands = 100000;
/// A task that goes to and fro stands as before after a whole round, and its frames were read in
/// the middle of it. Only a reader that was without a processor meanwhile can meet that: a look
/// takes some 3 us, and a round longer than this where tasks crowd so. A look that lasts longer is
/// believed if the next one sees the same.
constexpr std::uint64_t longest_look = 30'000;  // ns

/// A number for the frames of a look and their places.
std::uint64_t chain_seen(const task_view& t) noexcept {
  std::uint64_t all = 0xcbf29ce484222325;
  const auto add = [&](std::uint64_t part) { all = (all ^ part) * 0x100000001b3; };
  add(t.depth);
  for (std::size_t i = 0; i < t.runs; ++i) {
    add(t.frames[i].resume);
    add(t.frames[i].place);
    add(t.frames[i].count);
  }
  return all;
}

bool is_task(std::uint64_t k) noexcept { return k == static_cast<std::uint64_t>(kind::task); }
bool is_strand(std::uint64_t k) noexcept { return k == static_cast<std::uint64_t>(kind::strand); }

}  // namespace

std::uint64_t clock_now() noexcept {
  timespec t{};
  if (::clock_gettime(CLOCK_MONOTONIC, &t) != 0) return 0;
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(t.tv_nsec);
}

bool task_reader::lives(const unsigned char* copy) const noexcept {
  const auto& at = program_->at();
  const auto k = field(copy, at.kind);
  return field(copy, at.refs) != 0 && (is_task(k) || is_strand(k)) &&
         !word::done(field(copy, at.word)) && field(copy, at.runtime) != 0;
}

bool task_reader::each(visitor see, void* context) noexcept {
  const auto& at = program_->at();
  cache_.over(program_->mem());
  const std::size_t size = at.record.size;
  const std::size_t bytes = at.chunk.size;
  const std::size_t records = (bytes - at.chunk_records.at) / size;
  address chunk = 0;
  if (!program_->mem().get(program_->record_chunks(), chunk)) return false;
  for (std::uint64_t below = ~std::uint64_t{0}; chunk != 0;) {
    if (chunk % 8 != 0 || !program_->mem().read(chunk, chunk_, bytes)) return false;
    const auto number = number_in(chunk_ + at.chunk_number.at, at.chunk_number.size);
    if (number >= below) return false;  // no list of ours goes upwards
    below = number;
    cache_.forget();
    const address next = number_in(chunk_ + at.chunk_next.at, at.chunk_next.size);
    for (std::size_t i = 0; i < records; ++i) {
      auto* copy = chunk_ + at.chunk_records.at + i * size;
      if (!lives(copy)) continue;
      const address record = chunk + at.chunk_records.at + i * size;
      if (settle(record, copy, number * records + i + 1, view_) && !see(context, view_))
        return true;
    }
    chunk = next;
  }
  return true;
}

bool task_reader::look_at(address record, task_view& to) noexcept {
  const auto number = number_of(record);
  unsigned char copy[largest_record];
  if (number == 0 || !program_->mem().read(record, copy, program_->at().record.size) ||
      !lives(copy))
    return false;
  cache_.over(program_->mem());
  return settle(record, copy, number, to);
}

/// Looks until a look holds. False: the task has ended meanwhile.
bool task_reader::settle(address record, unsigned char* copy, std::uint64_t number,
                         task_view& to) noexcept {
  std::uint64_t before = 0;  // what the last look saw that held, but lasted
  for (int i = 0;; ++i) {
    to.number = number;
    const bool is_last = i + 1 == most_tries;
    const auto began = clock_now();
    const auto how = look(record, copy, to);
    if (how == result::good && unchanged(record, copy)) {
      if (to.runs < 2 || clock_now() - began < longest_look) return true;
      const auto chain = chain_seen(to);
      if (chain == before) return true;
      before = chain;
    }
    if (how == result::gone) return false;
    if (is_last) break;
    ++repeated_;
    if (!program_->mem().read(record, copy, program_->at().record.size) || !lives(copy))
      return false;
    cache_.forget();
  }
  ++given_up_;
  to.what = doing::moving;
  to.waits_in[0] = 0;
  to.target = 0;
  to.runs = 0;
  to.depth = 0;
  return true;
}

bool task_reader::unchanged(address record, const unsigned char* copy) noexcept {
  const auto& at = program_->at();
  unsigned char again[largest_record];
  if (!program_->mem().read(record, again, at.record.size)) return false;
  const auto same = [&](place p) { return field(copy, p) == field(again, p); };
  return same(at.word) && same(at.resume) && same(at.wait) && same(at.kind) && same(at.runtime) &&
         same(at.home) && same(at.queue_link);
}

task_reader::result task_reader::look(address record, const unsigned char* copy,
                                      task_view& to) noexcept {
  const auto& at = program_->at();
  const auto number = to.number;
  to.at = record;
  to.number = number;
  to.word = field(copy, at.word);
  to.generation = word::generation(to.word);
  to.runtime = static_cast<std::uint16_t>(field(copy, at.runtime));
  to.is_strand = is_strand(field(copy, at.kind));
  to.is_pinned = (field(copy, at.flags) & pinned_flag) != 0;
  to.home = home_word::address_in(field(copy, at.home));
  to.name[0] = to.message[0] = to.made_file[0] = to.made_function[0] = to.waits_in[0] = 0;
  to.made_line = 0;
  to.by_number = to.by = to.made_ago = 0;
  to.wait = 0;
  to.target = 0;
  to.target_number = 0;
  to.object = to.owner = 0;
  to.object_bytes = to.owner_generation = 0;
  to.owner_number = to.gives_up_in = 0;
  to.ended_by_tasks = to.one_is_enough = to.is_locked = to.owner_ended = false;
  to.owner_has_strands = false;
  to.owner_name[0] = 0;
  to.strands = 0;
  to.runs = 0;
  to.depth = 0;
  to.more_runs = false;
  to.task = to.is_strand ? field(copy, at.strand_root) : record;
  to.below = 0;
  if (to.is_strand) read_join(field(copy, at.joiners), to);
  read_extra(copy, to);
  read_times(copy, to);
  if (!to.is_strand) read_creator(copy, to);

  const auto resume = field(copy, at.resume);
  const auto state = word::state(to.word);
  if (state == task_state::done) return result::gone;
  if (state == task_state::active) {
    to.what = (resume & unstarted_tag) != 0 ? doing::not_started : doing::active;
    if (to.what == doing::not_started && !walk(record, resume & ~tags, 0, to)) return result::torn;
    return result::good;
  }
  to.what = doing::waits;
  const auto link = field(copy, at.waits_at);
  const address where = (link & tags) == at_tag ? link - at_tag : 0;
  if (!walk(record, resume & ~tags, where, to)) return result::torn;
  to.wait = field(copy, at.wait);
  if (!waits_.describe(cache_, to.wait, to)) return result::torn;
  read_target(to);
  read_owner(to);
  return result::good;
}

// From the innermost frame to the root: the one with an end. Each other frame has the place where
// the next one awaits it. `where`: where the innermost one waits.
bool task_reader::walk(std::uint64_t owner, address frame, address where, task_view& to) noexcept {
  const auto& at = program_->at();
  const std::uint32_t promise = at.frame_promise.at;
  const std::uint32_t bytes = promise + at.frame_promise.size;
  unsigned char head[largest_frame_head];
  address tortoise = frame;
  std::uint64_t pause = 1;
  for (; to.depth < most_frames;) {
    if (frame == 0 || frame % 8 != 0 || !cache_.read(frame, head, bytes)) return false;
    const auto part = [&](place p) { return number_in(head + promise + p.at, p.size); };
    const address resume = number_in(head, 8);
    // A strand without a record of its own has the tag: such a frame is not the task's.
    if (!program_->code().is_code(resume) || part(at.promise_record) != owner) return false;
    ++to.depth;
    if (to.runs != 0 && to.frames[to.runs - 1].resume == resume &&
        to.frames[to.runs - 1].place == where) {
      ++to.frames[to.runs - 1].count;
    } else if (to.runs < task_view::most_runs) {
      to.frames[to.runs++] = {resume, where, 1};
    } else {
      to.more_runs = true;
      to.frames[to.runs - 1] = {resume, where, 1};
    }
    where = part(at.end);
    if ((where & end_tag) != 0) return true;
    frame = part(at.continuation);
    if (frame == tortoise) return false;  // a circle (Brent's way to find it)
    if (to.depth == pause) {
      tortoise = frame;
      pause *= 2;
    }
  }
  return false;
}

// libstdc++'s std::string: a pointer, and a length.
template <std::size_t N>
void task_reader::read_string(address at, char (&to)[N]) noexcept {
  struct {
    address text;
    std::uint64_t length;
  } string{};
  if (!cache_.get(at, string) || string.length == 0) return;
  const auto n = std::min<std::uint64_t>(string.length, N - 1);
  const bool whole = cache_.read(string.text, to, n);
  to[whole ? n : 0] = 0;
  if (whole && string.length > n) std::memcpy(to + n - 3, "...", 3);
}

void task_reader::read_extra(const unsigned char* copy, task_view& to) noexcept {
  const auto& at = program_->at();
  const auto bits = field(copy, at.extra);
  if (bits == 0) return;
  if ((bits & place_tag) != 0) {
    if (!to.is_strand) read_place(bits & ~place_tag, to);
    return;
  }
  read_string(bits + at.extra_name.at, to.name);
  read_string(bits + at.extra_message.at, to.message);
  std::uint64_t made = 0;
  if (!to.is_strand && program_->load(cache_, bits, at.extra_made, made)) read_place(made, to);
  if (!to.is_strand) read_strands(bits, to);
  read_scopes(bits, to);
}

// libstdc++'s std::source_location: a pointer to two texts and two numbers.
void task_reader::read_place(address place, task_view& to) noexcept {
  struct {
    address file;
    address function;
    std::uint32_t line;
    std::uint32_t column;
  } p{};
  if (place == 0 || place % 8 != 0 || !cache_.get(place, p) || p.line == 0) return;
  // A core without the program's file has the lines, and not the texts.
  if (!cache_.text(p.file, to.made_file, sizeof to.made_file)) std::strcpy(to.made_file, "?");
  (void)cache_.text(p.function, to.made_function, sizeof to.made_function);
  to.made_line = p.line;
}

void task_reader::read_strands(address extra, task_view& to) noexcept {
  const auto& at = program_->at();
  std::uint64_t strand = 0;
  if (!program_->load(cache_, extra, at.extra_strands, strand)) return;
  while (strand != 0 && to.strands < most_strands) {
    ++to.strands;
    if (!program_->load(cache_, strand, at.strand_next, strand)) return;
  }
}

bool task_reader::look_at_running(address frame, std::uint64_t owner, task_view& to) noexcept {
  cache_.over(program_->mem());
  const auto runs = to.runs;
  const auto depth = to.depth;
  to.runs = 0;
  to.depth = 0;
  to.more_runs = false;
  if (walk(owner, frame, 0, to)) return true;
  to.runs = runs;
  to.depth = depth;
  return false;
}

std::uint64_t task_reader::ago(std::uint64_t stamp) const noexcept {
  const auto units =
      (home_word::stamp_of(time_point(duration(static_cast<std::int64_t>(now_)))) - stamp) &
      home_word::stamp_mask;
  // A stamp of the future is one of just now: the reader took its time before.
  constexpr std::uint64_t most_ahead = 4096;
  return units > home_word::stamp_mask - most_ahead ? 0 : units << home_word::unit_shift;
}

void task_reader::read_times(const unsigned char* copy, task_view& to) noexcept {
  const auto home = field(copy, program_->at().home);
  to.since_known = now_ != 0 && home != 0;
  to.since = to.since_known ? ago(home & home_word::stamp_mask) : 0;
}

// What is noted of the creator stands where the result will. The tag, and a record at that address,
// tell it from the first bytes of a result that is stored just now.
void task_reader::read_creator(const unsigned char* copy, task_view& to) noexcept {
  const auto& at = program_->at();
  const auto by = field(copy, at.creator);
  if ((by & creator_tag) == 0) return;
  to.by_number = number_of(by - creator_tag);
  if (to.by_number == 0) return;
  to.by = by - creator_tag;
  to.by_generation = static_cast<std::uint32_t>(field(copy, at.creator_life));
  if (now_ != 0) to.made_ago = ago(field(copy, at.made_at) & home_word::stamp_mask);
}

// Of a strand the joiners are the join that it reports to, which knows the frame that forked it.
void task_reader::read_join(address join, task_view& to) noexcept {
  const auto& at = program_->at();
  std::uint64_t parent = 0, record = 0;
  if (program_->load(cache_, join, at.join_parent, parent) &&
      program_->load(cache_, parent, at.promise_record, record))
    to.below = record & ~tags;
}

void task_reader::read_target(task_view& to) noexcept {
  if (to.target == 0) return;
  std::uint64_t what = 0, word_of = 0;
  const auto& at = program_->at();
  if (!program_->load(cache_, to.target, at.kind, what) ||
      !program_->load(cache_, to.target, at.word, word_of))
    return;
  to.target_kind = static_cast<std::uint8_t>(what);
  if (is_task(what)) {
    to.target_number = number_of(to.target);
    to.target_generation = word::generation(word_of);
  }
}

// The lock has the low half of the owner's generation. The record may live again by now, or not at
// all. Then the owner is the last life before that had this low half.
void task_reader::read_owner(task_view& to) noexcept {
  if (to.owner == 0) return;
  const auto& at = program_->at();
  const auto low_half = to.owner_generation;
  unsigned char copy[largest_record];
  to.owner_number = number_of(to.owner);
  if (to.owner_number == 0 || !cache_.read(to.owner, copy, at.record.size)) {
    to.owner = to.owner_number = 0;
    return;
  }
  const auto now = word::generation(field(copy, at.word));
  to.owner_generation = now - ((now - low_half) & 0xffff);
  to.owner_ended = to.owner_generation != now || !lives(copy);
  const auto extra = field(copy, at.extra);
  if (to.owner_ended || extra == 0 || (extra & place_tag) != 0) return;
  read_string(extra + at.extra_name.at, to.owner_name);
  std::uint64_t strand = 0;
  to.owner_has_strands = is_task(field(copy, at.kind)) &&
                         program_->load(cache_, extra, at.extra_strands, strand) && strand != 0;
}

// The blocks with a deadline around the task, from the innermost.
void task_reader::read_scopes(address extra, task_view& to) noexcept {
  constexpr int most_scopes = 64;
  const auto& at = program_->at();
  std::uint64_t link = 0, left = 0;
  if (at.scope_link.size == 0 || !program_->load(cache_, extra, at.innermost, link)) return;
  for (int i = 0; link != 0 && i < most_scopes; ++i) {
    if (waits_.time_left(cache_, link - at.scope_link.at, left) &&
        left != static_cast<std::uint64_t>(INT64_MAX) &&
        (to.gives_up_in == 0 || left < to.gives_up_in))
      to.gives_up_in = left == 0 ? 1 : left;
    if (!program_->load(cache_, link, at.scope_outer, link)) return;
  }
}

void task_reader::load_chunks(address newest) noexcept {
  chunk_count_ = 0;
  newest_chunk_ = newest;
  const auto& at = program_->at();
  std::uint64_t below = ~std::uint64_t{0};
  for (address chunk = newest; chunk != 0 && chunk_count_ < most_chunks;) {
    std::uint64_t number = 0, next = 0;
    if (!program_->load(program_->mem(), chunk, at.chunk_number, number) || number >= below ||
        !program_->load(program_->mem(), chunk, at.chunk_next, next))
      break;
    below = number;
    chunks_[chunk_count_++] = chunk;
    chunk = next;
  }
  std::sort(chunks_, chunks_ + chunk_count_);
}

std::uint64_t task_reader::number_of(address record) noexcept {
  if (record == last_record_) return last_number_;  // records keep their numbers
  const auto& at = program_->at();
  const std::uint64_t size = at.record.size;
  address newest = 0;
  if (size == 0 || !program_->mem().get(program_->record_chunks(), newest)) return 0;
  if (newest != newest_chunk_) load_chunks(newest);
  const auto* above = std::upper_bound(chunks_, chunks_ + chunk_count_, record);
  if (above == chunks_) return 0;
  const address chunk = above[-1];
  const address inside = record - chunk;
  if (inside < at.chunk_records.at || inside >= at.chunk.size ||
      (inside - at.chunk_records.at) % size != 0)
    return 0;
  std::uint64_t number = 0;
  if (!program_->load(program_->mem(), chunk, at.chunk_number, number)) return 0;
  const std::uint64_t records = (at.chunk.size - at.chunk_records.at) / size;
  last_record_ = record;
  return last_number_ = number * records + (inside - at.chunk_records.at) / size + 1;
}

}  // namespace heddle::detail::seeing
