// SPDX-License-Identifier: MIT
// cluster::worker: signals, and the way from the user's runtime to worker_core.
#include <heddle/core/errors.h>
#include <heddle/io/cluster.h>
#include <heddle/io/cluster/worker_core.h>
#include <heddle/io/signal_set.h>
#include <heddle/sched/shield.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <mutex>

namespace heddle::cluster {
namespace detail {

struct worker_state {
  worker_options options;
  std::shared_ptr<backend> place;

  std::mutex lock;  // of what follows
  std::shared_ptr<remote> at;
  std::shared_ptr<worker_core> core;
  bool served = false;
  bool drained = false;
  bool stopped = false;
};

namespace {

std::string fresh_name() {
  static std::atomic<unsigned> number{0};
  return host_name() + "-" + std::to_string(::getpid()) + "-" +
         std::to_string(number.fetch_add(1) + 1);
}

/// Of a worker's name, in bytes: it stands in headers.
constexpr std::size_t most_name = 200;

enum class order : std::uint8_t { drain, stop };

task<> give(std::shared_ptr<worker_core> core, order what) {
  if (what == order::drain)
    core->drain();
  else
    core->stop();
  co_return;
}

void tell(worker_state& s, order what) noexcept {
  try {
    const std::lock_guard hold(s.lock);
    (what == order::drain ? s.drained : s.stopped) = true;
    if (s.core) (void)s.at->post(give(s.core, what));
  } catch (...) {  // NOLINT(bugprone-empty-catch): the engine's runtime has ended, and the worker
  }
}

task<> watch_signals(std::shared_ptr<worker_state> s) {
  signal_set signals{SIGTERM, SIGINT};
  (void)co_await signals.wait();
  tell(*s, order::drain);
  (void)co_await signals.wait();
  tell(*s, order::stop);
}

void check(const worker_options& o) {
  if (o.slots > 1'000'000) throw bad_value("worker_options.slots must be at most 1000000");
  if (o.queues.empty()) throw bad_value("worker_options.queues must name a queue");
  for (const auto& queue : o.queues) {
    call_spec s;
    s.name = "worker";
    s.options.queue = queue;
    check_call(s);
  }
  if (o.drain.count() < 0) throw bad_value("worker_options.drain must not be negative");
  const auto odd = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
  if (o.name.size() > most_name || std::any_of(o.name.begin(), o.name.end(), odd))
    throw bad_value("worker_options.name must have at most 200 printable characters");
}

task<int> serve_state(std::shared_ptr<worker_state> s) {
  auto options = s->options;
  check(options);
  if (options.slots == 0) options.slots = current_runtime().loop_count();
  const auto place = s->place ? s->place : current_backend();
  const auto at = std::dynamic_pointer_cast<remote>(place);
  if (!at) throw usage_error("a worker without a cluster: set HEDDLE_CLUSTER, or give it a client");
  if (implementation_count() == 0)
    throw usage_error(
        "a worker without a job: this program implements none (cluster::implement); "
        "does the linker drop what does, in a static library?");
  const auto core = std::make_shared<worker_core>(at, options, current_runtime());
  {
    const std::lock_guard hold(s->lock);
    if (s->served) throw usage_error("worker::serve() was called before");
    s->served = true;
    s->at = at;
    s->core = core;
  }
  auto watching = create_task(watch_signals(s));
  auto running = at->post(core->run());
  if (s->drained) tell(*s, order::drain);
  if (s->stopped) tell(*s, order::stop);
  std::exception_ptr error;
  int code = 0;
  try {
    auto waiting = shield(running);
    code = co_await waiting;
  } catch (...) { error = std::current_exception(); }
  if (is_cancellation(error)) {
    tell(*s, order::stop);
    try {
      (void)co_await running;
    } catch (const std::exception&) {  // the cancellation goes before it
    }
  }
  watching.cancel();
  {
    const std::lock_guard hold(s->lock);
    s->core = nullptr;
    s->at = nullptr;
  }
  if (error) std::rethrow_exception(error);
  co_return code;
}

}  // namespace
}  // namespace detail

worker::worker(worker_options o) : state_(std::make_shared<detail::worker_state>()) {
  state_->options = std::move(o);
  if (state_->options.name.empty()) state_->options.name = detail::fresh_name();
}
worker::worker(worker_options o, client c) : worker(std::move(o)) { state_->place = c.place(); }

task<int> worker::serve() { return detail::serve_state(state_); }
void worker::drain() noexcept { detail::tell(*state_, detail::order::drain); }
void worker::stop() noexcept { detail::tell(*state_, detail::order::stop); }
const std::string& worker::name() const noexcept { return state_->options.name; }

}  // namespace heddle::cluster
