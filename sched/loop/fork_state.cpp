// SPDX-License-Identifier: MIT
#include <heddle/sched/loop/fork_state.h>

#include <algorithm>

namespace heddle::detail {

template class deque<promise_base*>;

void fork_state::adapt(duration took) noexcept {
  const auto fit =
      std::int64_t{per_turn} * policy::fork_turn.count() / std::max(took.count(), std::int64_t{1});
  const auto most = std::min(2 * std::int64_t{per_turn}, std::int64_t{policy::most_forks_a_turn});
  budget = per_turn = static_cast<std::uint32_t>(std::clamp(fit, std::int64_t{2}, most));
}

}  // namespace heddle::detail
