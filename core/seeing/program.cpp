// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/program.h>

#include <algorithm>
#include <cstring>

namespace heddle::detail::seeing {
namespace {

struct wanted {
  const char* name;
  place offsets::* to;
  bool needed = true;
};

constexpr wanted all_wanted[] = {
    {"eventual.word", &offsets::word},
    {"eventual.joiners", &offsets::joiners},
    {"eventual.refs", &offsets::refs},
    {"eventual.runtime", &offsets::runtime},
    {"eventual.kind", &offsets::kind},
    {"eventual.flags", &offsets::flags},
    {"record", &offsets::record},
    {"record.resume", &offsets::resume},
    {"record.wait", &offsets::wait},
    {"record.home_word", &offsets::home},
    {"record.waits_at", &offsets::waits_at, false},
    {"record.creator", &offsets::creator, false},
    {"record.creator_life", &offsets::creator_life, false},
    {"record.made_at", &offsets::made_at, false},
    {"record.extra", &offsets::extra},
    {"record.strand_root", &offsets::strand_root},
    {"record.strand_next", &offsets::strand_next},
    {"eventual.next", &offsets::queue_link},
    {"extra.name", &offsets::extra_name},
    {"extra.message", &offsets::extra_message},
    {"extra.made", &offsets::extra_made},
    {"extra.strands", &offsets::extra_strands},
    {"extra.innermost", &offsets::innermost, false},
    {"frame.promise", &offsets::frame_promise},
    {"promise.continuation", &offsets::continuation},
    {"promise.record", &offsets::promise_record},
    {"promise.call_or_end", &offsets::end},
    {"record_chunk", &offsets::chunk},
    {"record_chunk.next", &offsets::chunk_next},
    {"record_chunk.number", &offsets::chunk_number},
    {"record_chunk.records", &offsets::chunk_records},
    {"group.serial", &offsets::group_serial, false},
    {"group.id", &offsets::group_id, false},
    {"group.workers", &offsets::group_workers, false},
    {"group.next", &offsets::group_next, false},
    {"worker.group", &offsets::worker_group, false},
    {"group.reactor_note", &offsets::reactor_note, false},
    {"group.stopping", &offsets::group_stopping, false},
    {"group.closed", &offsets::group_closed, false},
    {"group.round_left", &offsets::group_round_left, false},
    {"worker.driver", &offsets::driver, false},
    {"worker.ready_head", &offsets::ready_head, false},
    {"worker.ready_tail", &offsets::ready_tail, false},
    {"worker.ready_ring", &offsets::ready_ring, false},
    {"ring.mask", &offsets::ring_mask, false},
    {"ring.cells", &offsets::ring_cells, false},
    {"worker.local_cells", &offsets::local_cells, false},
    {"worker.local_room", &offsets::local_room, false},
    {"worker.local_head", &offsets::local_head, false},
    {"worker.local_tail", &offsets::local_tail, false},
    {"worker.next_slot", &offsets::next_slot, false},
    {"worker.pinned", &offsets::pinned, false},
    {"worker.movable_count", &offsets::movable, false},
    {"worker.sleep", &offsets::sleep, false},
    {"worker.beat", &offsets::beat, false},
    {"worker.timers", &offsets::worker_timers, false},
    {"worker.timers_size", &offsets::timers_size, false},
    {"worker.thread_state", &offsets::thread_state, false},
    {"worker.thread_number", &offsets::thread_number, false},
    {"worker.stolen", &offsets::stolen, false},
    {"worker.polls", &offsets::polls, false},
    {"worker.io_events", &offsets::io_events, false},
    {"worker.rescues", &offsets::rescues, false},
    {"worker.busy", &offsets::busy, false},
    {"worker.woke_at", &offsets::woke_at, false},
    {"stalls", &offsets::stalls, false},
    {"stall", &offsets::stall, false},
    {"timers.heap", &offsets::heap, false},
    {"timer_entry", &offsets::entry, false},
    {"timer_entry.deadline", &offsets::entry_deadline, false},
    {"timer_entry.node", &offsets::entry_node, false},
    {"timer_node.timers", &offsets::node_timers, false},
    {"timer_node.place", &offsets::node_place, false},
    {"thread_state.current", &offsets::current, false},
    {"join_block.parent", &offsets::join_parent, false},
    {"waiter", &offsets::waiter, false},
    {"queue_turn", &offsets::turn, false},
    {"frame_depot", &offsets::depot, false},
    {"frame_depot.chunks", &offsets::depot_chunks, false},
    {"frame_depot.reserved", &offsets::depot_reserved, false},
    {"thread_state.frames", &offsets::thread_frames, false},
    {"worker", &offsets::worker, false},
    {"frame_chunk.next", &offsets::frame_chunk_next, false},
    {"frame_chunk.block_bytes", &offsets::frame_block_bytes, false},
    {"frame_chunk.blocks", &offsets::frame_blocks, false},
    {"queue_turn.ticket", &offsets::ticket, false},
    {"join_node.next", &offsets::join_next, false},
    {"join_node.fire", &offsets::join_fire, false},
    {"scope.link", &offsets::scope_link, false},
    {"scope_link.outer", &offsets::scope_outer, false},
    {"worker.measures", &offsets::worker_measures, false},
    {"measures.lag", &offsets::measured_lag, false},
};
constexpr std::size_t wanted_count = sizeof all_wanted / sizeof all_wanted[0];

constexpr std::size_t most_rows = 1024;

address as_address(const void* p) noexcept { return reinterpret_cast<address>(p); }

/// True: what a reader copies in one piece has room for what it takes out of the piece.
bool are_sound(const offsets& at) noexcept {
  const auto inside = [](place p, std::uint32_t bytes) {
    return p.size <= bytes && p.at <= bytes - p.size;
  };
  for (const place p : {at.word, at.joiners, at.refs, at.runtime, at.kind, at.flags, at.resume,
                        at.wait, at.home, at.extra, at.strand_root, at.strand_next, at.queue_link,
                        at.waits_at, at.creator, at.creator_life, at.made_at})
    if (!inside(p, at.record.size)) return false;
  for (const place p : {at.continuation, at.promise_record, at.end})
    if (!inside(p, at.frame_promise.size)) return false;
  for (const place p : {at.chunk_next, at.chunk_number, at.chunk_records})
    if (!inside(p, at.chunk.size)) return false;
  return at.record.size <= largest_record && at.record.size == at.chunk_records.size &&
         at.record.size != 0 && at.chunk.size <= largest_chunk &&
         at.frame_promise.at <= largest_frame_head &&
         at.frame_promise.size <= largest_frame_head - at.frame_promise.at;
}

}  // namespace

std::uint64_t number_in(const void* bytes, std::uint32_t size) noexcept {
  std::uint64_t value = 0;
  if (size <= sizeof value) std::memcpy(&value, bytes, size);  // little-endian, as all that we know
  return value;
}

bool program::load(memory& from, address object, place p, std::uint64_t& to) const noexcept {
  unsigned char bytes[8];
  const std::uint32_t size = p.size < 8 ? p.size : 8;
  if (size == 0 || object == 0 || !from.read(object + p.at, bytes, size)) return false;
  to = number_in(bytes, size);
  return true;
}

refusal program::open(memory& from, const modules& code, address layout) noexcept {
  memory_ = &from;
  code_ = &code;
  if (!from.get(layout, head_)) return refusal::unreadable;
  constexpr short_text<16> magic = "heddle layout";
  if (std::memcmp(head_.magic.chars, magic.chars, sizeof magic.chars) != 0)
    return refusal::no_layout;
  if (head_.major != layout_head::major_version || head_.field_bytes < sizeof(field_row) ||
      head_.root_bytes < sizeof(root_row) || head_.kind_bytes < sizeof(kind_row))
    return refusal::other_version;
  if (const auto r = read_fields(); r != refusal::none) return r;
  if (const auto r = read_roots(); r != refusal::none) return r;
  return read_kinds();
}

refusal program::read_fields() noexcept {
  bool found[wanted_count] = {};
  const address end = as_address(head_.fields_end);
  std::size_t rows = 0;
  for (address row = as_address(head_.fields); row < end && rows < most_rows;
       row += head_.field_bytes, ++rows) {
    field_row copy = {"", 0, 0};
    if (!memory_->get(row, copy)) return refusal::unreadable;
    copy.name.chars[sizeof copy.name.chars - 1] = 0;
    for (std::size_t i = 0; i < wanted_count; ++i)
      if (std::strcmp(all_wanted[i].name, copy.name.chars) == 0) {
        at_.*all_wanted[i].to = {copy.offset, copy.size};
        found[i] = true;
      }
  }
  for (std::size_t i = 0; i < wanted_count; ++i)
    if (!found[i] && all_wanted[i].needed) {
      missing_ = all_wanted[i].name;
      return refusal::incomplete;
    }
  if (are_sound(at_)) return refusal::none;
  missing_ = "of places within their classes";
  return refusal::incomplete;
}

refusal program::read_roots() noexcept {
  const address end = as_address(head_.roots_end);
  std::size_t rows = 0;
  address types[2] = {};
  type_count_ = 0;
  for (address row = as_address(head_.roots); row < end && rows < most_rows;
       row += head_.root_bytes, ++rows) {
    root_row copy = {"", nullptr};
    if (!memory_->get(row, copy)) return refusal::unreadable;
    copy.name.chars[sizeof copy.name.chars - 1] = 0;
    const auto is = [&](const char* name) { return std::strcmp(copy.name.chars, name) == 0; };
    if (is("record_chunks")) record_chunks_ = as_address(copy.at);
    if (is("runtimes")) runtimes_ = as_address(copy.at);
    if (is("tracing")) tracing_ = as_address(copy.at);
    if (is("frame_depot")) frame_depot_ = as_address(copy.at);
    if (is("frame_chunks")) frame_chunks_ = as_address(copy.at);
    if (is("run_joins")) run_joins_ = as_address(copy.at);
    if (is("stalls")) stalls_ = as_address(copy.at);
    if (is("type_with_one_base")) types[0] = as_address(copy.at);
    if (is("type_with_bases")) types[1] = as_address(copy.at);
    if (copy.name.chars[0] == '=' && type_count_ < most_types) {
      types_[type_count_] = as_address(copy.at);
      std::memcpy(type_names_[type_count_++], copy.name.chars + 1, sizeof copy.name.chars - 1);
    }
  }
  // The first word of a type_info names its class.
  if (types[0] != 0) (void)memory_->get(types[0], one_base_);
  if (types[1] != 0) (void)memory_->get(types[1], bases_);
  if (record_chunks_ != 0) return refusal::none;
  missing_ = "record_chunks";
  return refusal::incomplete;
}

const char* program::name_of_type(address type) const noexcept {
  for (std::size_t i = 0; i < type_count_; ++i)
    if (types_[i] == type) return type_names_[i];
  return nullptr;
}

refusal program::read_kinds() noexcept {
  const address end = as_address(head_.kinds_end);
  kind_count_ = 0;
  for (address row = as_address(head_.kinds); row < end && kind_count_ < most_kinds;
       row += head_.kind_bytes) {
    auto* to = kind_bytes_ + kind_count_ * sizeof(kind_row);
    if (!memory_->read(row, to, sizeof(kind_row))) return refusal::unreadable;
    auto* copy = reinterpret_cast<kind_row*>(to);
    copy->type.chars[sizeof copy->type.chars - 1] = 0;
    copy->name.chars[sizeof copy->name.chars - 1] = 0;
    copy->text.chars[sizeof copy->text.chars - 1] = 0;
    ++kind_count_;
  }
  kinds_ = reinterpret_cast<const kind_row*>(kind_bytes_);
  return refusal::none;
}

}  // namespace heddle::detail::seeing
