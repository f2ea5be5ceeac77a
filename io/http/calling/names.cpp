// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/names.h>

#include <heddle/core/errors.h>
#include <heddle/core/future.h>
#include <heddle/io/resolving/finding.h>
#include <heddle/io/resolving/rotation.h>
#include <heddle/io/resolving/system_names.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/shield.h>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include <sys/socket.h>

namespace heddle::http::detail {

/// One look-up under way.
struct session_names::looking {
  looking() : answered(given.get_future()) {}
  promise<std::shared_ptr<served>> given;
  future<std::shared_ptr<served>> answered;
  any_task work;
  std::size_t waiting = 0;
};

session_names::session_names(dns_options options) : options_(std::move(options)) {}
session_names::~session_names() = default;

std::size_t session_names::size() const {
  const std::lock_guard hold(lock_);
  return kept_.size();
}

/// The part of the task that looks a name up. If the task is cancelled, before its first step or
/// later, the destructor ends the look-up for those that wait.
class session_names::giver {
 public:
  giver(std::shared_ptr<session_names> all, look_key at, std::shared_ptr<looking> to) noexcept
      : all_(std::move(all)), at_(std::move(at)), to_(std::move(to)) {}
  giver(giver&&) noexcept = default;
  ~giver() {
    if (!to_) return;
    forget();
    (void)to_->given.cancel();
  }
  /// The answer is kept before the look-up is forgotten, under one lock.
  void give(std::shared_ptr<served> s) {
    {
      const std::lock_guard hold(all_->lock_);
      try {
        all_->keep({std::get<0>(at_), std::get<1>(at_)}, s);
      } catch (const std::bad_alloc&) {}  // it is not kept
      forget_locked();
    }
    (void)to_->given.try_set_value(std::move(s));  // false: the look-up was cancelled meanwhile
    to_.reset();
  }
  void fail(std::exception_ptr error) noexcept {
    forget();
    (void)to_->given.state().fail(std::move(error));  // false: the look-up was cancelled meanwhile
    to_.reset();
  }
  [[nodiscard]] const dns_options& options() const noexcept { return all_->options_; }

 private:
  void forget_locked() noexcept {
    const auto found = all_->under_way_.find(at_);
    if (found != all_->under_way_.end() && found->second == to_) all_->under_way_.erase(found);
  }
  void forget() noexcept {
    const std::lock_guard hold(all_->lock_);
    forget_locked();
  }

  std::shared_ptr<session_names> all_;
  look_key at_;
  std::shared_ptr<looking> to_;
};

/// One task's part in a look-up: the constructor joins or begins it. The last part that goes
/// cancels it.
class session_names::asker {
 public:
  asker(session_names& all, const name_query& q)
      : all_(all), at_(q.host, q.port, q.fresh, heddle::detail::current_runtime_id()) {
    bool first = false;
    {
      const std::lock_guard hold(all.lock_);
      if (!q.fresh && all.take_kept({q.host, q.port}, here_)) return;
      auto& at = all.under_way_[at_];
      first = !at;
      if (first) {
        try {
          at = std::make_shared<looking>();
        } catch (...) {
          all.under_way_.erase(at_);
          throw;
        }
      }
      mine_ = at;
      ++mine_->waiting;
    }
    if (first) begin(q);
  }
  asker(const asker&) = delete;
  ~asker() {
    if (!mine_) return;
    bool last = false;
    {
      const std::lock_guard hold(all_.lock_);
      last = --mine_->waiting == 0;
      const auto found = last ? all_.under_way_.find(at_) : all_.under_way_.end();
      if (found != all_.under_way_.end() && found->second == mine_) all_.under_way_.erase(found);
    }
    if (!last) return;
    (void)mine_->given.cancel();
    if (mine_->work.valid()) (void)mine_->work.cancel();
  }
  /// Null: the answer was kept.
  [[nodiscard]] looking* joined() const noexcept { return mine_.get(); }
  [[nodiscard]] name_answer& here() noexcept { return here_; }

 private:
  void begin(const name_query& q) {
    giver to(all_.shared_from_this(), at_, mine_);
    try {
      mine_->work = create_task(all_.look_up(std::move(to), q));
    } catch (...) {
      const std::lock_guard hold(all_.lock_);
      --mine_->waiting;
      throw;  // those that have joined meanwhile are cancelled by the giver
    }
  }

  session_names& all_;
  const look_key at_;
  name_answer here_;
  std::shared_ptr<looking> mine_;
};

/// Asks the session's own resolver, or the runtime's.
task<name_answer> session_names::ask(name_query q) {
  if (!options_.resolver) return heddle::detail::find_addresses(std::move(q));
  return options_.resolver->look_up(std::move(q));
}

task<> session_names::look_up(giver to, name_query q) {
  std::exception_ptr error;
  auto found = std::make_shared<served>();
  try {
    task<name_answer> asking = ask(q);
    found->answer = co_await asking;
    if (found->answer.addresses.empty()) throw_name_error(name_error::no_data, q.host);
    for (auto& a : found->answer.addresses)
      if (a.port() == 0) a.set_port(q.port);
  } catch (const cancelled_error&) { throw; } catch (...) {
    error = std::current_exception();
  }
  if (error)
    to.fail(std::move(error));
  else
    to.give(std::move(found));
}

/// Under the lock.
name_answer session_names::give_out(served& s) {
  name_answer a = s.answer;
  heddle::detail::rotate_equals(a.addresses, s.given++);
  return a;
}

/// Under the lock.
bool session_names::take_kept(const key& k, name_answer& out) {
  const auto at = kept_.find(k);
  if (at == kept_.end()) return false;
  if (at->second.until <= clock::now()) {
    order_.erase(at->second.at);
    kept_.erase(at);
    return false;
  }
  order_.splice(order_.begin(), order_, at->second.at);
  out = give_out(*at->second.what);
  out.kept = true;
  return true;
}

/// Under the lock.
void session_names::keep(const key& k, const std::shared_ptr<served>& what) {
  const auto& a = what->answer;
  const duration longest = options_.ttl;
  const duration holds = a.holds ? std::min(longest, a.holds->get()) : longest;
  if (holds <= duration::zero() || options_.entries == 0) return;
  const auto until = saturating_add(clock::now(), holds);
  const auto at = kept_.find(k);
  if (at != kept_.end()) {
    at->second.what = what;
    at->second.until = until;
    order_.splice(order_.begin(), order_, at->second.at);
    return;
  }
  while (kept_.size() >= options_.entries) {
    kept_.erase(order_.back());
    order_.pop_back();
  }
  order_.push_front(k);
  try {
    kept_.emplace(k, kept{what, until, order_.begin()});
  } catch (...) {
    order_.pop_front();
    throw;
  }
}

task<name_answer> session_names::addresses(std::string host, port_number port, bool fresh) {
  const auto self = shared_from_this();
  name_query q;
  q.host = std::move(host);
  q.port = port;
  q.fresh = fresh;
  name_answer a;
  address literal;
  if (heddle::detail::is_literal(q.host, q.port, AF_UNSPEC, literal)) {
    a.addresses.push_back(literal);
    co_return a;
  }
  asker mine(*this, q);
  if (!mine.joined()) co_return std::move(mine.here());
  // Other tasks may wait for it: ours may be cancelled.
  auto answered = shield(mine.joined()->answered);
  const std::shared_ptr<served> found = co_await answered;
  const std::lock_guard hold(lock_);
  a = give_out(*found);
  co_return a;
}

}  // namespace heddle::http::detail
