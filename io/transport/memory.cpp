// SPDX-License-Identifier: MIT
#include <heddle/io/transport/memory.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace heddle::detail {
namespace {

/// A call to the owner of an end. An owner takes locks of its own, so it must not be called under
/// the lock of a pipe: it is noted there, held, and called by the destructor after the unlock.
class owner_call {
 public:
  owner_call() = default;
  owner_call(const owner_call&) = delete;
  ~owner_call() {
    if (!owner_) return;
    if (error_ != 0)
      owner_->failed(error_);
    else
      owner_->writable();
    owner_->drop();
  }
  /// Notes the call. The lock that guards `owner` is held. `error` 0: the owner is told of room.
  void of(source_owner* owner, int error) noexcept {
    if (!owner) return;
    owner_ = owner;
    error_ = error;
    owner->hold();
  }

 private:
  source_owner* owner_ = nullptr;
  int error_ = 0;
};

// Counts an edge, under the lock. The caller schedules the returned task after the unlock.
task_record* edge_locked(memory_pipe& pipe) noexcept {
  ++pipe.edges;
  waiter* w = pipe.readers.claim_first();
  return w ? w->task : nullptr;
}

}  // namespace

memory_pipe::memory_pipe(std::size_t room)
    : bytes(std::make_unique_for_overwrite<char[]>(room)), capacity(room) {}

std::size_t memory_pipe::put(std::string_view piece, std::size_t free) noexcept {
  const auto n = std::min({piece.size(), free, capacity - write_at});
  std::memcpy(bytes.get() + write_at, piece.data(), n);
  write_at = write_at + n == capacity ? 0 : write_at + n;
  return n;
}

std::size_t memory_pipe::take(char* to, std::size_t most, std::size_t there) noexcept {
  const auto n = std::min({most, there, capacity - read_at});
  std::memcpy(to, bytes.get() + read_at, n);
  read_at = read_at + n == capacity ? 0 : read_at + n;
  return n;
}

memory_transport::both memory_transport::make_pair(std::size_t capacity) {
  auto link = std::make_shared<memory_link>(capacity);
  owned<memory_transport> a(new memory_transport(link, link->first, link->second));
  owned<memory_transport> b(new memory_transport(link, link->second, link->first));
  return {std::move(a), std::move(b)};
}

memory_transport::memory_transport(std::shared_ptr<memory_link> link, memory_pipe& in,
                                   memory_pipe& out) noexcept
    : transport(false), link_(std::move(link)), in_(in), out_(out) {
  readers_ = &in_.readers;
}

void memory_transport::belongs_to(source_owner& owner) noexcept {
  in_.reader_owner = &owner;
  out_.sender_owner = &owner;
}

received memory_transport::receive(input_buffer& into) {
  in_.readers.lock();
  const bool open = in_.reader_owner != nullptr;
  const auto there = open ? in_.filled : 0;
  const bool ended = open && in_.ended;
  const int error = open ? in_.error : 0;
  seen_ = in_.edges;
  in_.readers.unlock();
  if (there == 0) {
    if (error != 0) return {got::broken, error};
    return {ended ? got::end : got::nothing, 0};
  }
  into.make_room();
  const auto n = in_.take(into.tail(), into.room(), there);
  into.added(n);
  passed().in.count(n);
  owner_call of_room;
  in_.readers.lock();
  in_.filled -= n;
  if (std::exchange(in_.wants_room, false)) of_room.of(in_.sender_owner, 0);
  in_.readers.unlock();
  return {got::data, 0};
}

HEDDLE_NOINLINE bool memory_transport::wait(waiter& w, task_record& t) noexcept {
  in_.readers.lock();
  const bool waits = in_.reader_owner && in_.edges == seen_ && in_.readers.suspend(w, t);
  in_.readers.unlock();
  return waits;
}

void memory_transport::look_away() noexcept {
  in_.readers.lock();
  seen_ = in_.edges;
  in_.readers.unlock();
}

ssize_t memory_transport::send(std::string_view piece) noexcept {
  out_.readers.lock();
  const auto free = out_.capacity - out_.filled;
  const bool closed = !out_.reader_owner;
  const int code = closed ? out_.error : free == 0 ? EAGAIN : 0;
  if (closed) out_.error = EPIPE;
  out_.wants_room = code == EAGAIN;
  out_.readers.unlock();
  if (code != 0) return -code;
  // As a socket: the first message to a peer that has closed is taken, and the next one is refused.
  if (closed) return static_cast<ssize_t>(piece.size());
  const auto n = out_.put(piece, free);
  passed().out.count(n);
  out_.readers.lock();
  out_.filled += n;
  task_record* woken = edge_locked(out_);
  out_.readers.unlock();
  if (woken) schedule(*woken);
  return static_cast<ssize_t>(n);
}

bool memory_transport::end_output() noexcept {
  out_.readers.lock();
  out_.ended = true;
  task_record* woken = edge_locked(out_);
  out_.readers.unlock();
  if (woken) schedule(*woken);
  return true;
}

bool memory_transport::is_quiet() noexcept {
  in_.readers.lock();
  const bool quiet = in_.filled == 0 && !in_.ended && in_.error == 0;
  in_.readers.unlock();
  return quiet;
}

void memory_transport::nudge() noexcept {
  in_.readers.lock();
  task_record* woken = edge_locked(in_);
  in_.readers.unlock();
  if (woken) schedule(*woken);
}

// A reset shows in both directions of the other end, as it does on a socket. Unread bytes are a
// reset, too.
void memory_transport::retire(bool reset) noexcept {
  bool unread = false;
  retire_input(reset, unread);
  retire_output(reset || unread);
}

void memory_transport::retire_input(bool reset, bool& unread) noexcept {
  work_list todo;
  owner_call of_end;
  in_.readers.lock();
  in_.reader_owner = nullptr;
  unread = in_.filled != 0;
  if (reset || unread) in_.error = ECONNRESET;
  ++in_.edges;
  while (waiter* w = in_.readers.claim_first()) todo.schedule(*w->task);
  if (std::exchange(in_.wants_room, false)) of_end.of(in_.sender_owner, 0);
  in_.readers.unlock();
  todo.settle();
}

void memory_transport::retire_output(bool reset) noexcept {
  task_record* woken = nullptr;
  {
    owner_call of_reset;
    out_.readers.lock();
    out_.sender_owner = nullptr;
    if (reset) {
      out_.error = ECONNRESET;
      of_reset.of(out_.reader_owner, ECONNRESET);
    }
    out_.ended = true;
    woken = edge_locked(out_);
    out_.readers.unlock();
    if (woken) schedule(*woken);
  }
}

}  // namespace heddle::detail
