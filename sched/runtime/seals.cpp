// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/seals.h>

#include <heddle/sched/loop/worker.h>

#include <mutex>

namespace heddle::detail {

struct loop_seals::sealing final : callback {
  sealing(loop_seals& a, thread_waits& t, worker& w) noexcept : all(&a), waits(&t), loop(&w) {}
  void invoke() override {
    loop->seal();
    const uninterrupted guard;
    std::lock_guard hold(waits->lock());
    all->unsealed_.fetch_sub(1, acq_rel);  // pairs with seal()
    waits->look_again();
  }
  void release() noexcept override {}
  loop_seals* all;
  thread_waits* waits;
  worker* loop;
};

void loop_seals::prepare(loop_group& loops, thread_waits& waits) {
  seals_.reserve(loops.workers.size());
  for (worker* w : loops.workers) seals_.emplace_back(new sealing(*this, waits, *w));
}

void loop_seals::seal(loop_group& loops, thread_waits& waits) noexcept {
  unsealed_.store(loops.workers.size(), relaxed);
  for (worker* w : loops.workers) w->deliver(work(*seals_[w->index()].release()));
  waits.wait([&] { return unsealed_.load(acquire) == 0; }, when_stuck::abandoned);
}

}  // namespace heddle::detail
