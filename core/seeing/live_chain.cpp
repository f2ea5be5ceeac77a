// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/live_chain.h>

namespace heddle::detail::seeing {
namespace {

constexpr std::uint64_t tags = 3;     // a strand without a record of its own names that of its task
constexpr std::uint64_t end_tag = 1;  // of a frame that no other awaits: the strand's first one
constexpr std::size_t most_steps = 1024;

class chain_finder {
 public:
  chain_finder(const program& of, memory& from, address record, const live_words& where) noexcept
      : of_(of), from_(from), record_(record), where_(where) {}

  [[nodiscard]] bool walk(address frame, live_chain& to) noexcept {
    to.count = 0;
    for (std::size_t i = 0; i < most_steps; ++i) {
      unsigned char head[largest_frame_head];
      const auto& at = of_.at();
      const std::uint32_t promise = at.frame_promise.at;
      if (frame == 0 || frame % 8 != 0 || !from_.read(frame, head, promise + at.frame_promise.size))
        return false;
      const auto part = [&](place p) { return number_in(head + promise + p.at, p.size); };
      const address resume = number_in(head, 8);
      if ((part(at.promise_record) & ~tags) != record_) return false;
      if (i == 0 ? !is_on_stack(resume) : !of_.code().is_code(resume)) return false;
      if (to.count < live_chain::most) to.resume[to.count++] = resume;
      if ((part(at.end) & end_tag) != 0) return true;
      frame = part(at.continuation);
      if (frame == 0) return true;
    }
    return true;  // too deep to be told whole
  }

 private:
  [[nodiscard]] bool is_on_stack(address resume) const noexcept {
    if (where_.function_count == 0) return of_.code().is_code(resume);
    for (std::size_t i = 0; i < where_.function_count; ++i)
      if (where_.functions[i] == resume) return true;
    return false;
  }

  const program& of_;
  memory& from_;
  const address record_;
  const live_words& where_;
};

}  // namespace

bool find_live_chain(const program& of, memory& from, address record, const live_words& where,
                     live_chain& to) noexcept {
  if (record == 0) return false;
  chain_finder finder(of, from, record, where);
  for (std::size_t i = 0; i < where.count; ++i)
    if (where.words[i] > 4096 && !of.code().is_code(where.words[i]) &&
        finder.walk(where.words[i], to))
      return true;
  to.count = 0;
  return false;
}

}  // namespace heddle::detail::seeing
