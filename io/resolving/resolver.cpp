// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/resolver.h>

#include <heddle/core/errors.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/shield.h>

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace heddle::detail {
namespace {

// When the resolver ends, an idle thread ends within this time. A thread that is looking a name up
// is left to itself.
constexpr auto end_within = std::chrono::milliseconds(20);

}  // namespace

resolver& resolver::here() {
  auto* runtime = this_runtime();
  if (!runtime) throw no_running_loop();
  return runtime->services.get<resolver>(service_name::resolver);
}

resolver::answer resolver::ask(const question& q, bool numeric_only) {
  answer a;
  addrinfo hints{};
  hints.ai_family = q.family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags =
      AI_NUMERICSERV | (q.passive ? AI_PASSIVE : 0) | (numeric_only ? AI_NUMERICHOST : 0);
  addrinfo* list = nullptr;
  const std::string service = std::to_string(q.port);
  a.error =
      ::getaddrinfo(q.host.empty() ? nullptr : q.host.c_str(), service.c_str(), &hints, &list);
  if (a.error != 0) {
    if (a.error == EAI_SYSTEM) a.system = errno;
    return a;
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  for (const auto* at = list; at; at = at->ai_next) {
    const address found(at->ai_addr, at->ai_addrlen);
    if (std::find(a.addresses.begin(), a.addresses.end(), found) == a.addresses.end())
      a.addresses.push_back(found);
  }
  return a;
}

/// One task's part in a look-up. The constructor joins the look-up, or begins it; the destructor
/// takes the task's part back. The last part that goes cancels the look-up.
class resolver::asker {
 public:
  asker(resolver& r, const question& q) : resolver_(r), question_(q) {
    bool first = false;
    {
      const std::lock_guard hold(r.lock_);
      auto& at = r.under_way_[q];
      first = !at || at->answered.done();  // an old answer may be out of date
      if (first) at = std::make_shared<looking>();
      mine_ = at;
      ++mine_->waiting;
    }
    if (!first) return;
    try {
      // The job may outlive the resolver, so it uses nothing of it.
      (void)r.threads_.submit([look = mine_, q] {
        if (look->given.done()) return;  // no task waits any more
        std::exception_ptr error;
        answer a;
        try {
          a = ask(q, false);
        } catch (...) { error = std::current_exception(); }
        give(*look, std::move(a), error);
      });
    } catch (...) { give(*mine_, {}, std::current_exception()); }
  }
  asker(const asker&) = delete;
  ~asker() {
    bool last = false;
    {
      const std::lock_guard hold(resolver_.lock_);
      last = --mine_->waiting == 0;
      const auto at = last ? resolver_.under_way_.find(question_) : resolver_.under_way_.end();
      if (at != resolver_.under_way_.end() && at->second == mine_) resolver_.under_way_.erase(at);
    }
    if (last) (void)mine_->given.cancel();
  }
  [[nodiscard]] const future<answer>& answered() const noexcept { return mine_->answered; }

 private:
  // If there is no memory for the answer, the tasks that wait get that error. They must get
  // something.
  static void give(looking& to, answer a, std::exception_ptr error) noexcept {
    if (!error) {
      try {
        return to.given.set_value(std::move(a));
      } catch (...) { error = std::current_exception(); }
    }
    (void)to.given.state().fail(std::move(error));  // false: the look-up was cancelled meanwhile
  }

  resolver& resolver_;
  const question& question_;
  std::shared_ptr<looking> mine_;
};

task<resolver::answer> resolver::look_up(question q) {
  const asker here(*this, q);
  auto answered = shield(here.answered());  // other tasks may wait for it: ours may be cancelled
  answer a = co_await answered;
  co_return a;
}

void resolver::end() noexcept { (void)threads_.shutdown(end_within); }

}  // namespace heddle::detail
