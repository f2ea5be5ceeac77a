// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/loops.h>

#include <algorithm>
#include <cstring>

namespace heddle::detail::seeing {
namespace {

constexpr std::uint64_t callback_tag = 1;
constexpr std::uint64_t parked_state = 1;
constexpr std::size_t cells_at_once = 256;

std::size_t hash_of(address record, std::size_t room) noexcept {
  return static_cast<std::size_t>((record / 32) * 0x9e3779b97f4a7c15u >> 32) % room;
}

/// The class of the loop's driver, as people call it.
void driver_name(const program& of, address driver, char* to, std::size_t room) noexcept {
  address table = 0, type = 0, name = 0;
  char text[128] = "";
  to[0] = 0;
  if (!of.mem().get(driver, table) || !of.mem().get(table - 8, type) ||
      !of.mem().get(type + 8, name) || !of.mem().text(name, text, sizeof text))
    return;
  const char* known = std::strstr(text, "epoll")   ? "epoll"
                      : std::strstr(text, "uring") ? "io_uring"
                                                   : "simulated";
  if (std::strlen(known) < room) std::strcpy(to, known);
}

}  // namespace

bool loops_view::load(const program& of) noexcept {
  constexpr int most_tries = 4;
  bool whole = false;
  for (int i = 0; i < most_tries && !whole; ++i) whole = load_runtimes(of);
  queued_count_ = 0;
  for (auto& q : queued_) q = {};
  for (std::uint32_t i = 0; i < count_; ++i) load_queues(of, i);
  return whole;
}

// A runtime may end meanwhile, and its memory may be something else. So a loop has to name the
// runtime that it was found through, and the runtime must have the same number in the end.
bool loops_view::load_runtimes(const program& of) noexcept {
  count_ = runtimes_ = 0;
  const auto& at = of.at();
  address first = 0, again = 0;
  if (of.runtimes() == 0 || at.group_next.size == 0) return true;  // none was linked
  if (!of.mem().get(of.runtimes(), first)) return false;
  for (address group = first; group != 0 && runtimes_ < most_runtimes; ++runtimes_) {
    std::uint64_t serial = 0, later = 0;
    if (!of.load(of.mem(), group, at.group_serial, serial) || !load_runtime(of, group) ||
        !of.load(of.mem(), group, at.group_serial, later) || serial != later ||
        !of.load(of.mem(), group, at.group_next, group))
      return false;
  }
  return of.mem().get(of.runtimes(), again) && first == again;
}

bool loops_view::load_runtime(const program& of, address group) noexcept {
  const auto& at = of.at();
  struct {
    address begin;
    address end;
  } workers{};
  std::uint64_t id = 0;
  if (!of.load(of.mem(), group, at.group_id, id) ||
      !of.mem().get(group + at.group_workers.at, workers))
    return false;
  std::uint32_t number = 0;
  for (address w = workers.begin; w < workers.end && count_ < most_loops; w += 8, ++number) {
    address worker = 0, its_group = 0;
    if (!of.mem().get(w, worker) || !of.load(of.mem(), worker, at.worker_group, its_group) ||
        its_group != group)
      return false;
    auto& to = loops_[count_++];
    to = {};
    to.at = worker;
    to.runtime = static_cast<std::uint32_t>(runtimes_);
    to.number = number;
    to.id = static_cast<std::uint16_t>(id);
    load_loop(of, worker, to);
  }
  return true;
}

void loops_view::load_loop(const program& of, address worker, loop_view& to) noexcept {
  const auto& at = of.at();
  auto& mem = of.mem();
  std::uint64_t value = 0, head = 0, tail = 0;
  if (of.load(mem, worker, at.thread_number, value)) to.thread = static_cast<int>(value);
  if (of.load(mem, worker, at.sleep, value)) to.parked = value == parked_state;
  if (of.load(mem, worker, at.beat, value)) to.steps = value;
  if (of.load(mem, worker, at.timers_size, value)) to.timers = value;
  if (of.load(mem, worker, at.stolen, value)) to.stolen = value;
  if (of.load(mem, worker, at.polls, value)) to.polls = value;
  if (of.load(mem, worker, at.io_events, value)) to.io_events = value;
  if (of.load(mem, worker, at.rescues, value)) to.rescues = value;
  if (of.load(mem, worker, at.busy, value)) to.busy = value;
  if (of.load(mem, worker, at.woke_at, value)) to.woke_at = value;
  if (of.load(mem, worker, at.thread_state, value) && value != 0)
    (void)of.load(mem, value, at.current, to.current);
  if (of.load(mem, worker, at.ready_head, head) && of.load(mem, worker, at.ready_tail, tail))
    to.ready += tail > head ? tail - head : 0;
  if (of.load(mem, worker, at.local_head, head) && of.load(mem, worker, at.local_tail, tail))
    to.ready += tail > head ? tail - head : 0;
  if (of.load(mem, worker, at.next_slot, value)) to.ready += value != 0 ? 1 : 0;
  if (of.load(mem, worker, at.driver, value)) driver_name(of, value, to.driver, sizeof to.driver);
}

void loops_view::note(std::uint32_t loop, queue_kind where, std::uint64_t place,
                      address item) noexcept {
  if (item == 0 || (item & callback_tag) != 0 || queued_count_ == most_queued) return;
  constexpr std::size_t room = sizeof queued_ / sizeof queued_[0];
  std::size_t i = hash_of(item, room);
  while (queued_[i].record != 0 && queued_[i].record != item) i = (i + 1) % room;
  if (queued_[i].record == 0) ++queued_count_;
  queued_[i] = {item, loop, where, place};
}

void loops_view::load_queues(const program& of, std::uint32_t loop) noexcept {
  const auto& at = of.at();
  auto& mem = of.mem();
  const address worker = loops_[loop].at;
  std::uint64_t head = 0, tail = 0, ring = 0, mask = 0, cells = 0, room = 0, slot = 0;
  if (of.load(mem, worker, at.next_slot, slot)) note(loop, queue_kind::next_slot, 1, slot);
  if (of.load(mem, worker, at.ready_head, head) && of.load(mem, worker, at.ready_tail, tail) &&
      of.load(mem, worker, at.ready_ring, ring) && of.load(mem, ring, at.ring_mask, mask) &&
      of.load(mem, ring, at.ring_cells, cells))
    load_cells(of, loop, queue_kind::run_queue, cells, mask, head, tail);
  if (of.load(mem, worker, at.local_head, head) && of.load(mem, worker, at.local_tail, tail) &&
      of.load(mem, worker, at.local_cells, cells) && of.load(mem, worker, at.local_room, room) &&
      room != 0)
    load_cells(of, loop, queue_kind::local_queue, cells, room - 1, head, tail);
  load_inbox(of, loop);
}

void loops_view::load_cells(const program& of, std::uint32_t loop, queue_kind where, address cells,
                            std::uint64_t mask, std::uint64_t head, std::uint64_t tail) noexcept {
  if ((mask & (mask + 1)) != 0 || tail <= head || tail - head > mask + 1) return;
  address items[cells_at_once];
  std::uint64_t place = 1;
  for (std::uint64_t i = head; i != tail && queued_count_ < most_queued;) {
    const std::uint64_t first = i & mask;
    const auto n = std::min<std::uint64_t>({tail - i, mask + 1 - first, cells_at_once});
    if (!of.mem().read(cells + first * 8, items, n * 8)) return;
    for (std::uint64_t k = 0; k < n; ++k) note(loop, where, place++, items[k]);
    i += n;
  }
}

// A stack, the newest first, linked through the records. A callback has its link elsewhere, so it
// ends the walk.
void loops_view::load_inbox(const program& of, std::uint32_t loop) noexcept {
  constexpr std::uint64_t most = 1024;
  std::uint64_t item = 0, n = 0;
  if (!of.load(of.mem(), loops_[loop].at, of.at().pinned, item)) return;
  for (; item != 0 && (item & callback_tag) == 0 && n < most; ++n) {
    note(loop, queue_kind::inbox, n + 1, item);
    if (!of.load(of.mem(), item, of.at().queue_link, item)) return;
  }
}

const loop_view* loops_view::runs(address record) const noexcept {
  for (std::size_t i = 0; i < count_; ++i)
    if (loops_[i].current == record) return &loops_[i];
  return nullptr;
}

const loop_view* loops_view::at(address loop) const noexcept {
  for (std::size_t i = 0; i < count_; ++i)
    if (loops_[i].at == loop) return &loops_[i];
  return nullptr;
}

const queued* loops_view::find(address record) const noexcept {
  constexpr std::size_t room = sizeof queued_ / sizeof queued_[0];
  for (std::size_t i = hash_of(record, room); queued_[i].record != 0; i = (i + 1) % room)
    if (queued_[i].record == record) return &queued_[i];
  return nullptr;
}

}  // namespace heddle::detail::seeing
