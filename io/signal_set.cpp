// SPDX-License-Identifier: MIT
#include <heddle/io/signal_set.h>

#include <heddle/core/errors.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/signals/signal_place.h>

namespace heddle {
namespace detail {

class signal_state {
 public:
  explicit signal_state(std::initializer_list<int> signals) {
    for (const int s : signals) check_signal(s);
    source_ = &current_reactor().watch(place_.bell(), nullptr, watched_for::reading);
    name_ = source_->name();
    try {
      for (const int s : signals) place_.want(s);
    } catch (...) {
      end_watch();
      throw;
    }
  }
  signal_state(const signal_state&) = delete;
  ~signal_state() { end_watch(); }

  task<int> wait() {
    for (;;) {
      const auto seen = source_->edges();
      if (const int s = place_.take()) co_return s;
      readable_wait next(*source_, name_, seen, "signal");
      co_await next;
    }
  }

 private:
  void end_watch() noexcept { source_->retire(); }

  signal_place place_;  // destroyed last, since its bell is watched
  io_source* source_ = nullptr;
  source_name name_;
};

}  // namespace detail

signal_set::signal_set(std::initializer_list<int> signals)
    : state_(new detail::signal_state(signals)) {}
signal_set::signal_set(signal_set&&) noexcept = default;
signal_set& signal_set::operator=(signal_set&&) noexcept = default;
signal_set::~signal_set() = default;

task<int> signal_set::wait() {
  if (!state_) detail::throw_usage("this signal set was moved from");
  return state_->wait();
}

}  // namespace heddle
