// SPDX-License-Identifier: MIT
#include <heddle/io/http/topic.h>

#include <heddle/core/base/spin_lock.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/websocket/websocket_access.h>
#include <heddle/sched/sleep.h>

#include <array>
#include <map>
#include <mutex>
#include <utility>

namespace heddle::http {
namespace detail {
namespace {

// So many receivers are served. Then others have their turn: some hundred microseconds.
constexpr std::size_t at_once = 64;

}  // namespace

/// Receivers by their numbers. publish() takes some at a time, so it holds no lock while it sends,
/// and newcomers and leavers need not copy a list.
//
// options   constant
// all else  under the lock
struct topic_state {
  using guard = std::lock_guard<heddle::detail::spin_lock>;
  using some = std::array<ws_ref, at_once>;

  explicit topic_state(const topic_options& o) : options(o) {}

  std::uint64_t add(ws_ref core) {
    const guard hold(lock);
    receivers.emplace(++last, std::move(core));
    return last;
  }
  void remove(std::uint64_t number) noexcept {
    decltype(receivers)::node_type old;  // destroyed without the lock
    const guard hold(lock);
    old = receivers.extract(number);
  }
  /// The next receivers behind the number `after`, which is moved on; up to the number `until`.
  std::size_t take(std::uint64_t& after, std::uint64_t until, some& to,
                   std::array<std::uint64_t, at_once>& numbers) {
    const guard hold(lock);
    std::size_t n = 0;
    for (auto at = receivers.upper_bound(after); at != receivers.end() && n < to.size(); ++at) {
      if (at->first > until) break;
      after = numbers[n] = at->first;
      to[n++] = at->second;
    }
    return n;
  }
  [[nodiscard]] std::uint64_t latest() const noexcept {
    const guard hold(lock);
    return last;
  }
  [[nodiscard]] std::size_t size() const noexcept {
    const guard hold(lock);
    return receivers.size();
  }

  const topic_options options;
  mutable heddle::detail::spin_lock lock;
  std::map<std::uint64_t, ws_ref> receivers;
  std::uint64_t last = 0;
};

namespace {

/// Offers a message to one receiver. False: it is closed.
bool offer(ws_core& to, const std::shared_ptr<const prepared_message>& m, const topic_options& o,
           published& sum) {
  const auto how =
      o.slow == slow_receiver::drop_oldest ? to.send_or_line_up(m, o.line) : to.try_send(m);
  switch (how) {
    case ws_sent::closed: return false;
    case ws_sent::full:
      ++sum.skipped;
      if (o.slow == slow_receiver::close)
        to.begin_close(ws_code::try_later, "this receiver is too slow");
      return true;
    case ws_sent::sent:
    case ws_sent::queued: break;
  }
  ++sum.reached;
  return true;
}

/// Serves the next receivers. False: there are none.
bool serve_some(topic_state& topic, std::uint64_t& after, std::uint64_t until,
                const std::shared_ptr<const prepared_message>& m, published& sum) {
  topic_state::some to;
  std::array<std::uint64_t, at_once> numbers;
  const std::size_t n = topic.take(after, until, to, numbers);
  for (std::size_t i = 0; i < n; ++i)
    if (!offer(*to[i], m, topic.options, sum)) topic.remove(numbers[i]);
  return n == at_once;
}

task<published> send_to_all(std::shared_ptr<topic_state> topic,
                            std::shared_ptr<const prepared_message> m) {
  published sum;
  const auto until = topic->latest();
  std::uint64_t after = 0;
  while (serve_some(*topic, after, until, m, sum)) co_await yield_now();
  co_return sum;
}

}  // namespace
}  // namespace detail

subscription::subscription(subscription&& other) noexcept
    : to_(std::move(other.to_)), number_(std::exchange(other.number_, 0)) {}

subscription& subscription::operator=(subscription&& other) noexcept {
  if (this != &other) {
    cancel();
    to_ = std::move(other.to_);
    number_ = std::exchange(other.number_, 0);
  }
  return *this;
}

subscription::~subscription() { cancel(); }

void subscription::cancel() noexcept {
  const auto number = std::exchange(number_, 0);
  if (number == 0) return;
  if (const auto to = to_.lock()) to->remove(number);
  to_.reset();
}

topic::topic(const topic_options& options)
    : state_(std::make_shared<detail::topic_state>(options)) {
  (void)heddle::detail::checked<std::size_t>(options.line, "line", 1);
}

subscription topic::subscribe(websocket& ws) {
  const auto& core = detail::websocket_access::core(ws);
  if (!core) heddle::detail::throw_usage("an empty websocket cannot subscribe to a topic");
  core->accept(headers());
  return {state_, state_->add(core)};
}

task<published> topic::publish(const ws_message& m) {
  return publish(prepared(m, state_->options.compress));
}

task<published> topic::publish(prepared m) {
  return detail::send_to_all(state_, detail::websocket_access::message(m));
}

std::size_t topic::subscribers() const noexcept { return state_->size(); }

}  // namespace heddle::http
