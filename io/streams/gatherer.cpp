// SPDX-License-Identifier: MIT
#include <heddle/io/streams/gatherer.h>

#include <heddle/core/errors.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>

namespace heddle::detail {

// True: the caller has become the giver, and gives what is gathered.
bool gatherer::gather_locked(std::string_view bytes) {
  if (gathered_.capacity() < capacity_) gathered_.reserve(capacity_);
  gathered_.append(bytes);
  wants_flush_ = wants_flush_ || gathered_.size() >= capacity_;
  return wants_flush_ && !std::exchange(giving_, true);
}

void gatherer::write(std::string_view bytes) {
  if (bytes.empty()) return;
  bool gives = false;
  bool fits = true;
  {
    const hold h(lock_);
    if (ended_) throw_usage("write after write_eof");
    fits = giving_ || bytes.size() <= capacity_ - std::min(capacity_, gathered_.size());
    if (fits)
      gives = gather_locked(bytes);
    else
      giving_ = true;
  }
  if (!fits) return give(bytes);
  if (!gives) return;
  try {
    give({});
  } catch (const std::bad_alloc&) {
    // The bytes are gathered, so this write has succeeded. The next flush tries again.
  }
}

void gatherer::flush() {
  {
    const hold h(lock_);
    wants_flush_ = true;
    if (std::exchange(giving_, true)) return;
  }
  give({});
}

void gatherer::write_eof() {
  if (!to_.can_write_eof()) to_.write_eof();  // throws: the end of this stream is not ours alone
  {
    const hold h(lock_);
    ended_ = wants_flush_ = wants_end_ = true;
    if (std::exchange(giving_, true)) return;
  }
  give({});
}

void gatherer::close() noexcept {
  {
    const hold h(lock_);
    wants_flush_ = wants_close_ = true;
    if (std::exchange(giving_, true)) return;
  }
  try {
    give({});
  } catch (...) {
    // give() has aborted the connection.
  }
}

void gatherer::abort() noexcept {
  {
    const hold h(lock_);
    gathered_.clear();
  }
  to_.abort();
}

std::size_t gatherer::size() noexcept {
  const hold h(lock_);
  return gathered_.size() + (giving_ ? 0 : given_.size());
}

// Gives the role back when nothing is left to do. After an exception a close that was left to this
// thread cannot send what is gathered: so the peer must not take it for the end of all.
void gatherer::give(std::string_view direct) {
  try {
    if (!direct.empty()) give_with(direct);
    while (give_next()) {}
  } catch (...) {
    bool closes = false;
    {
      const hold h(lock_);
      giving_ = false;
      closes = std::exchange(wants_close_, false);
    }
    if (closes) to_.abort();
    throw;
  }
}

// Giver's role. Writes all that is gathered by now, and `direct` behind it.
void gatherer::give_with(std::string_view direct) {
  if (!given_.empty()) to_.write(given_);  // of a flush that has failed
  given_.clear();
  {
    const hold h(lock_);
    given_.swap(gathered_);
  }
  to_.write_lines({given_, direct});
  given_.clear();
}

// Giver's role. Does one thing that is left to do. False: there is none, and the role was given
// back.
bool gatherer::give_next() {
  enum class what : std::uint8_t { nothing, bytes, end, close };
  auto next = what::nothing;
  {
    const hold h(lock_);
    if (given_.empty() && std::exchange(wants_flush_, false)) given_.swap(gathered_);
    if (!given_.empty())
      next = what::bytes;
    else if (std::exchange(wants_end_, false))
      next = what::end;
    else if (std::exchange(wants_close_, false))
      next = what::close;
    giving_ = next != what::nothing;  // without the role, given_ may be another thread's
  }
  switch (next) {
    case what::nothing: return false;
    case what::bytes:
      to_.write(given_);
      given_.clear();
      return true;
    case what::end: to_.write_eof(); return true;
    case what::close: to_.close(); return true;
  }
  return false;
}

}  // namespace heddle::detail
