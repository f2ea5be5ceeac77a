// SPDX-License-Identifier: MIT
// A task in each kind of wait that there is.
#include "programs.h"

#include <heddle/io/connection_options.h>
#include <heddle/io/memory_pair.h>
#include <heddle/io/process.h>
#include <heddle/io/server.h>
#include <heddle/io/sock.h>
#include <heddle/io/stream.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/to_thread.h>
#include <heddle/sched/wait_many.h>
#include <heddle/sync/barrier.h>
#include <heddle/sync/condition.h>
#include <heddle/sync/event.h>
#include <heddle/sync/latch.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>
#include <heddle/sync/shared_mutex.h>

#include <unistd.h>

#include <chrono>
#include <utility>
#include <vector>

namespace inside {

using namespace std::chrono_literals;

namespace {

/// What the tasks wait in. It lives as long as the process.
struct things {
  h::mutex mutex;
  h::mutex of_condition;
  h::condition condition{of_condition};
  h::shared_mutex shared;
  h::event event;
  h::event never;
  h::semaphore semaphore{0};
  h::bounded_semaphore bounded{10};
  h::barrier barrier{3};
  h::latch latch{5};
  h::queue<int> full{4};
  h::queue<int> empty{7};
  h::queue<int> unfinished;
  h::promise<int> promise;
  h::future<int> future = promise.get_future();
};
things& all() {
  static auto* const them = new things;
  return *them;
}

h::task<> in_mutex() { co_await all().mutex.lock(); }
h::task<> in_condition() {
  co_await all().of_condition.lock();
  co_await all().condition.wait();
}
h::task<> in_shared() { co_await all().shared.lock_shared(); }
h::task<> in_exclusive() { co_await all().shared.lock(); }
h::task<> in_event() { co_await all().event.wait(); }
h::task<> in_semaphore() { co_await all().semaphore.acquire(); }
h::task<> in_bounded() { co_await all().bounded.acquire(); }
h::task<> in_barrier() { co_await all().barrier.wait(); }
h::task<> in_latch() { co_await all().latch.wait(); }
h::task<> in_put() {
  for (int i = 0;; ++i) co_await all().full.put(i);
}
h::task<> in_get() { (void)co_await all().empty.get(); }
h::task<> in_join() { co_await all().unfinished.join(); }
h::task<> in_sleep() { co_await h::sleep(1h); }
h::task<> in_future() { (void)co_await all().future; }
h::task<> for_ever() { co_await all().never.wait(); }
h::task<> in_await(h::task_handle<> t) { co_await t; }
h::task<> in_gather() {
  std::vector<h::task<>> two;
  two.push_back(for_ever());
  two.push_back(for_ever());
  co_await h::gather(std::move(two));
}
h::task<> in_wait() {
  std::vector<h::task_handle<>> two;
  two.push_back(h::create_task(for_ever()));
  two.push_back(h::create_task(for_ever()));
  auto waiting = h::wait(two, h::wait_until::all_completed);
  co_await std::move(waiting);
}
h::task<> in_as_completed() {
  std::vector<h::task_handle<>> two;
  two.push_back(h::create_task(for_ever()));
  two.push_back(h::create_task(for_ever()));
  auto done = h::as_completed(two);
  (void)co_await done.next();
}
h::task<> body_of_group(h::task_group& g) {
  g.create_task(for_ever());
  co_return;
}
h::task<> in_group() {
  auto block = h::with_task_group(body_of_group);
  co_await std::move(block);
}
h::task<> in_shield() {
  auto inner = h::create_task(for_ever());
  auto outer = h::shield(inner);
  co_await outer;
}
void blocks() {
  for (;;) ::pause();
}
h::task<> in_thread() {
  auto job = h::to_thread(blocks);
  co_await std::move(job);
}
h::task<> in_readable(int descriptor) { co_await h::readable(descriptor); }
h::task<> in_read(h::stream_reader reader) { (void)co_await reader.read(100); }
h::task<> in_process() {
  auto child = co_await h::create_subprocess_exec("sleep", "100000");
  (void)co_await child.wait();
}
h::task<> in_serve() {
  auto server =
      co_await h::start_server([](h::connection) -> h::task<> { co_return; }, "127.0.0.1", 0);
  co_await server.serve_forever();
}

}  // namespace

h::task<> every_kind(int) {
  auto& a = all();
  co_await a.mutex.lock();
  co_await a.shared.lock();
  for (int i = 0; i < 10; ++i) co_await a.bounded.acquire();
  for (int i = 0; i < 2; ++i) co_await a.unfinished.put(i);
  keep("in mutex", in_mutex());
  keep("in condition", in_condition());
  keep("in shared", in_shared());
  keep("in exclusive", in_exclusive());
  keep("in event", in_event());
  keep("in semaphore", in_semaphore());
  keep("in bounded", in_bounded());
  keep("in barrier 1", in_barrier());
  keep("in barrier 2", in_barrier());
  keep("in latch", in_latch());
  keep("in put", in_put());
  keep("in get", in_get());
  keep("in join", in_join());
  keep("in sleep", in_sleep());
  keep("in future", in_future());
  keep("for ever", for_ever());
  keep("in await", in_await(kept().back()));
  keep("in gather", in_gather());
  keep("in wait", in_wait());
  keep("in as_completed", in_as_completed());
  keep("in group", in_group());
  keep("in shield", in_shield());
  keep("in thread", in_thread());
  int ends[2];
  if (::pipe(ends) == 0) keep("in readable", in_readable(ends[0]));
  auto [near, far] = h::memory_pair();
  keep("in read", in_read(std::move(near.reader)));
  keep("in process", in_process());
  keep("in serve", in_serve());
  co_await a.never.wait();
}

}  // namespace inside
