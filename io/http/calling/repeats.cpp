// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/repeats.h>

#include <heddle/core/base/atomic.h>
#include <heddle/core/checked.h>
#include <heddle/io/http/message/writer.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace heddle::http::detail {
namespace {

/// A number below `bound`. Chance spreads the repeats of many clients: nothing is secret here.
std::uint64_t chance(std::uint64_t bound) noexcept {
  static heddle::detail::atomic<std::uint64_t> seed{0};
  // relaxed: any number will do
  std::uint64_t x = seed.fetch_add(0x9E3779B97F4A7C15u, heddle::detail::relaxed) +
                    static_cast<std::uint64_t>(clock::now().time_since_epoch().count());
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9u;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBu;
  return (x ^ x >> 31) % bound;
}

std::optional<duration> told_by(std::string_view retry_after, std::time_t now) {
  std::int64_t seconds = 0;
  if (!heddle::detail::parse_number(retry_after, seconds)) {
    const auto date = parse_http_date(retry_after);
    if (!date) return {};
    seconds = *date - now;
  }
  constexpr std::int64_t longest = 365 * 24 * 3600;
  return std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, longest));
}

}  // namespace

bool may_be_repeated(const call& c) noexcept {
  if (c.has_source() && !c.extras->source.ready()) return false;
  switch (c.method.kind()) {
    case method::get:
    case method::head:
    case method::put:
    case method::delete_:
    case method::options:
    case method::trace: return true;
    default: return false;
  }
}

bool is_retried(const call& c, int status) noexcept {
  const retry* const how = c.retry();
  if (!how || (c.extras && c.extras->retried >= how->most) || how->most == 0) return false;
  if (status != 0 && std::ranges::find(how->statuses, status) == how->statuses.end()) return false;
  const bool ready = !c.has_source() || c.extras->source.ready();
  return may_be_repeated(c) || (how->any_method && ready);
}

duration wait_before(const retry& policy, unsigned retried,
                     std::optional<std::string_view> retry_after, std::time_t now) {
  const duration most = std::max(policy.max_delay.get(), duration::zero());
  if (retry_after) {
    if (const auto told = told_by(*retry_after, now)) return std::min(*told, most);
  }
  duration wait = std::clamp(policy.delay.get(), duration::zero(), most);
  for (unsigned i = 0; i < retried && wait < most; ++i) wait = std::min(wait * 2, most);
  const auto half = static_cast<std::uint64_t>(wait.count() / 2);
  return wait - std::chrono::nanoseconds(heddle::detail::narrow<std::int64_t>(chance(half + 1)));
}

}  // namespace heddle::http::detail
