// SPDX-License-Identifier: MIT
#include <heddle/core/errors.h>
#include <heddle/io/cluster/remote.h>
#include <heddle/sched/runtime/enclosing_deadline.h>

#include <thread>

namespace heddle::cluster::detail {

namespace {

constexpr duration settle_limit = std::chrono::seconds(2);

/// Runs `f` in a thread that is no loop: runtimes are made and closed there.
template <class F>
void outside(F f) {
  if (!current_loop_if_any()) {
    f();
    return;
  }
  std::exception_ptr error;
  std::thread([&] {
    try {
      f();
    } catch (...) { error = std::current_exception(); }
  }).join();
  if (error) std::rethrow_exception(error);
}

heddle::options one_loop() {
  heddle::options o;
  o.loops = 1;
  o.threads = 1;
  o.debug = false;
  o.stall_limit = duration::zero();
  o.when_at_rest = at_rest::nothing;
  return o;
}

}  // namespace

remote::remote(const options& o, nats_link::dialer dial) : options_(o) {
  outside([&] { open(std::move(dial)); });
}

void remote::open(nats_link::dialer dial) {
  runtime_ = std::make_unique<class runtime>(one_loop());
  engine_ = std::make_unique<engine>(options_, std::move(dial));
  (void)post(engine_->run());
}

remote::~remote() { close(); }

void remote::close() noexcept {
  try {
    outside([this] {
      post(engine_->settle(settle_limit)).get();
      runtime_->close();
    });
  } catch (...) {  // NOLINT(bugprone-empty-catch): what is left ends with the runtime
  }
}

task<> remote::connect() {
  auto waiting =
      post(engine_->ready(saturating_add(clock::now(), duration(options_.submit_within))));
  co_await std::move(waiting);
}

task<outcome> remote::call(call_spec s) {
  auto lender = current_lender();
  if (lender && lender->home() != engine_.get()) lender = nullptr;
  // Calls under one key are one job: the end of one of their callers is not the end of it.
  if (s.key.empty()) s.until = heddle::detail::enclosing_deadline();
  auto calling = post(engine_->call(std::move(s), std::move(lender)));
  co_return co_await std::move(calling);
}

task<std::string> remote::submit(call_spec s) {
  auto calling = post(engine_->submit(std::move(s)));
  co_return co_await std::move(calling);
}

task<outcome> remote::wait(std::string id) {
  auto calling = post(engine_->wait(std::move(id)));
  co_return co_await std::move(calling);
}

task<bool> remote::cancel(std::string id) {
  auto calling = post(engine_->cancel(std::move(id)));
  co_return co_await std::move(calling);
}

task<job_status> remote::status(std::string id) {
  auto calling = post(engine_->status(std::move(id)));
  co_return co_await std::move(calling);
}

void remote::on_progress(std::string id, std::weak_ptr<progress_function> f) {
  (void)post(engine_->follow(std::move(id), std::move(f)));
}

statistics remote::stats() const { return engine_->stats(); }

std::shared_ptr<backend> make_remote(const options& o) { return std::make_shared<remote>(o); }

}  // namespace heddle::cluster::detail
