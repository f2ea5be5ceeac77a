// SPDX-License-Identifier: MIT
#include <heddle/io/streams/derived.h>

#include <algorithm>
#include <limits>
#include <new>

namespace heddle::detail {
namespace {

constexpr std::uint64_t all_there_is = std::numeric_limits<std::uint64_t>::max();

received found(got what) noexcept { return {what, 0}; }

}  // namespace

got source_role::look() {
  if (!from_.input().empty()) return got::data;
  const got what = from_.receive();
  if (!from_.input().empty()) return got::data;
  if (what == got::end && from_.read_failed()) from_.throw_error();
  return what;
}

void source_role::give_back(std::string_view bytes) noexcept {
  try {
    from_.input().prepend(bytes);
  } catch (const std::bad_alloc&) { from_.lose_input(); }
}

void source_role::let_go() noexcept {
  if (!std::exchange(held_, false)) return;
  from_.end_read();
  from_.unref();
}

std::size_t derived_transport::move_some(source_role& from, std::uint64_t most,
                                         input_buffer& into) {
  auto& in = from.core().input();
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(most, in.size()));
  into.append(in.view().substr(0, n));
  in.consume(n);
  passed().in.count(n);
  return n;
}

received taking_transport::receive_some(input_buffer& into) {
  if (left_ == 0) return found(got::end);
  const got what = from_.look();
  if (what == got::data && !from_.core().input().empty()) left_ -= move_some(from_, left_, into);
  return found(what);
}

// When the first source has ended, a wait would have to change its queue. So the change is told as
// data: the reader looks again, and then waits in the queue of the second source.
received chaining_transport::receive_some(input_buffer& into) {
  const got what = now().look();
  if (what == got::end && !is_second_) {
    is_second_ = true;
    return found(got::data);
  }
  if (what == got::data && !now().core().input().empty()) {
    const std::size_t n = move_some(now(), all_there_is, into);
    if (is_second_) from_second_ += n;
  }
  return found(what);
}

void chaining_transport::give_back(std::string_view unread) noexcept {
  const auto of_second =
      static_cast<std::size_t>(std::min<std::uint64_t>(from_second_, unread.size()));
  const std::size_t of_first = unread.size() - of_second;
  second_.give_back(unread.substr(of_first));
  first_.give_back(unread.substr(0, of_first));
}

received showing_transport::receive_some(input_buffer& into) {
  const got what = from_.look();
  auto& in = from_.core().input();
  if (what != got::data || in.empty()) return found(what);
  // Shown, and then not taken for want of memory, a piece would be shown twice. So the room is made
  // before.
  struct tidy {
    input_buffer& b;
    ~tidy() {
      if (b.empty()) b.clear();
    }
  } at_end{into};
  into.make_room();
  const std::size_t n = std::min(into.room(), in.size());
  see_(in.view().substr(0, n));
  (void)move_some(from_, n, into);
  return found(what);
}

}  // namespace heddle::detail
