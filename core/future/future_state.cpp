// SPDX-License-Identifier: MIT
#include <heddle/core/future/future_state.h>

#include <heddle/core/base/thread_state.h>
#include <heddle/core/errors.h>
#include <heddle/core/record/work_list.h>
#include <heddle/core/simulated/world.h>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace heddle::detail {
namespace {

/// A foreign thread that waits for the end: a joiner on its stack that a futex wakes.
class thread_joiner : public join_node {
 public:
  thread_joiner() noexcept : join_node(&fire) {}

  /// False: `deadline` came first. In a simulated world it throws if nothing can ever happen again.
  bool wait_until(time_point deadline) {
    if (world* w = this_world())
      return block_until(*w, deadline, [this] { return fired_.load(acquire) != 0; });
    // pairs with fire()
    while (fired_.load(acquire) == 0) {
      timespec left{};
      if (deadline != time_point::max()) {
        const auto ns = time_left(deadline, clock::now()).count();
        if (ns == 0) return false;
        left = {ns / 1'000'000'000, ns % 1'000'000'000};
      }
      // It may return early: for a signal, a stray wake-up, or because the value has changed
      // before. Each time the loop looks again.
      ::syscall(SYS_futex, &fired_, FUTEX_WAIT_PRIVATE, 0u,
                deadline == time_point::max() ? nullptr : &left, nullptr, 0);
    }
    return true;
  }

 private:
  // Runs under the joiner lock. The waiting thread takes that lock once more (remove_joiner) before
  // it returns, so the node outlives this call.
  static void fire(join_node& node, eventual&, work_list&) noexcept {
    auto& self = static_cast<thread_joiner&>(node);
    // pairs with wait_until()
    self.fired_.store(1, release);
    ::syscall(SYS_futex, &self.fired_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

  atomic<std::uint32_t> fired_{0};
};

}  // namespace

future_base::future_base(const eventual_ops& ops) noexcept {
  reset(kind::future, ops, pending_and_promise);
  belongs_to(current_runtime_id());
}

namespace {
void send(owned<done_callback> c, future_base& ended) noexcept {
  c->attach(ended);
  const auto runtime = c->runtime;
  auto* home = c->home;
  post_callback(runtime, home, std::move(c));
}

/// One by one: a chain of owners would be destroyed by recursion, as deep as the list is long.
void destroy(owned<done_callback> list) noexcept {
  while (list) list = std::move(list->next);
}
}  // namespace

bool future_base::cancel(std::string message) {
  if (done()) mark_retrieved();  // as in asyncio: the caller has looked at it
  if (message.empty()) return cancel_now(*this);
  auto kept = owned<std::string>(new std::string(std::move(message)));
  if (!claim()) return false;
  // pairs with throw_cancellation()
  message_.store(kept.release(), release);
  return cancel_now(*this);  // publishes the message
}

bool future_base::wait_until(time_point deadline) {
  if (this_thread().loop)
    throw_usage("get() or wait() of a future would block the loop's thread: co_await it instead");
  thread_joiner here;
  if (!add_joiner(here)) return true;
  try {
    (void)here.wait_until(deadline);
  } catch (...) {
    (void)remove_joiner(here);
    throw;
  }
  return !remove_joiner(here);
}

callback_id future_base::add(owned<done_callback> c) {
  static constinit atomic<std::uint64_t> last_id{0};
  const auto id = static_cast<callback_id>(last_id.fetch_add(1, relaxed) + 1);
  c->id = id;
  c->home = this_thread().loop;
  c->context = inherited_context();
  c->runtime = current_runtime_id();
  if (c->runtime == 0) c->runtime = number();
  if (c->runtime != 0) prepare_callback(*c);
  lock_.lock();
  if (!fired_ || comparers_ != 0) {
    c->next = std::move(callbacks_);
    callbacks_ = std::move(c);
  }
  lock_.unlock();
  if (c) send(std::move(c), *this);
  return id;
}

namespace {
/// Takes out of the list the callbacks that remove() has marked.
owned<done_callback> take_removed(owned<done_callback>& list) noexcept {
  owned<done_callback> taken;
  for (auto* place = &list; *place;) {
    if (!(*place)->removed) {
      place = &(*place)->next;
      continue;
    }
    auto one = std::move(*place);
    *place = std::move(one->next);
    one->next = std::move(taken);
    taken = std::move(one);
  }
  return taken;
}

/// Sends the callbacks in the order in which they were added; the list has the latest first.
void send_all(owned<done_callback> list, future_base& ended) noexcept {
  owned<done_callback> in_order;
  while (list) {
    auto one = std::move(list);
    list = std::move(one->next);
    one->next = std::move(in_order);
    in_order = std::move(one);
  }
  while (in_order) {
    auto one = std::move(in_order);
    in_order = std::move(one->next);
    send(std::move(one), ended);
  }
}
}  // namespace

// Protocol COMPARE.
//
// Problem   remove(f) asks the user's operator==, which may call this future again. Under lock_ it
//           would hang. Without lock_ the callback that is being compared could run, or be
//           destroyed, meanwhile.
// Chosen    The comparison runs without lock_. Nobody unlinks anything while comparers_ is not 0:
//             remove   marks what it removes; unlinks what is marked if nobody compares
//             add      links in front, also when the future has fired
//             fire     sets fired_; does not touch the list if somebody compares
//           The last comparer unlinks what is marked, and sends the rest if the future has fired
//           meanwhile.
// Cost      One load for those that do not compare.
// Touch     callbacks_, comparers_, fired_ and `removed`: under lock_. A comparer may read the
//           callback that it compares without it.
class future_base::comparing {
 public:
  explicit comparing(future_base& f) noexcept : future_(f) {
    f.ref();
    f.lock_.lock();
    ++f.comparers_;
    next_ = f.callbacks_.get();
  }
  comparing(const comparing&) = delete;
  ~comparing() {
    owned<done_callback> ready;
    owned<done_callback> removed;
    if (--future_.comparers_ == 0) {
      removed = take_removed(future_.callbacks_);
      if (future_.fired_) ready = std::move(future_.callbacks_);
    }
    future_.lock_.unlock();
    destroy(std::move(removed));
    send_all(std::move(ready), future_);
    future_.unref();
  }

  /// The lock is held before and after. True: one more is marked.
  bool mark_next(const void* type, const void* f) {
    done_callback& c = *next_;
    next_ = c.next.get();  // what is linked stays linked while somebody compares
    if (c.removed) return false;
    future_.lock_.unlock();
    struct relock {
      spin_lock& lock;
      ~relock() { lock.lock(); }
    };
    bool equal;
    {
      const relock after{future_.lock_};
      equal = c.is(type, f);
    }
    return equal && !std::exchange(c.removed, true);
  }
  [[nodiscard]] bool more() const noexcept { return next_ != nullptr; }

 private:
  future_base& future_;
  done_callback* next_;
};

std::size_t future_base::remove(callback_id id) noexcept {
  std::size_t count = 0;
  owned<done_callback> taken;
  lock_.lock();
  for (auto* c = callbacks_.get(); c; c = c->next.get())
    if (c->id == id && !std::exchange(c->removed, true)) ++count;
  if (count != 0 && comparers_ == 0) taken = take_removed(callbacks_);
  lock_.unlock();
  destroy(std::move(taken));  // runs destructors of the user's, so no lock is held
  return count;
}

std::size_t future_base::remove(const void* type, const void* f) {
  std::size_t count = 0;
  for (comparing all(*this); all.more();)
    if (all.mark_next(type, f)) ++count;
  return count;
}

void future_base::fire_callbacks(eventual& self, work_list&) noexcept {
  auto& f = static_cast<future_base&>(self);
  owned<done_callback> list;
  f.lock_.lock();
  f.fired_ = true;
  if (f.comparers_ == 0) list = std::move(f.callbacks_);
  f.lock_.unlock();
  send_all(std::move(list), f);
  f.unref();
}

bool future_base::somebody_cares() noexcept {
  // pairs with unref()
  if (refs_.load(acquire) > pending_and_promise) return true;
  // Only the promise is left, so callbacks_ cannot change.
  if (callbacks_) return true;
  unref();
  return false;
}

void future_base::check_runtime() const {
  if (number() == 0) return;
  const auto here = current_runtime_id();
  if (here != 0 && here != number())
    throw_usage(
        "co_await of a future that belongs to another runtime: wait for it in a thread, or hand "
        "the result over by submit");
}

void future_base::check_result() const {
  if (!done()) throw invalid_state_error("the future has no result yet");
  if (how_ended() == outcome::cancelled) throw_cancellation();
}

void future_base::throw_cancellation() const {
  // pairs with cancel()
  if (auto* text = message_.load(acquire)) throw cancelled_error(*text);
  throw cancelled_error();
}

void future_base::throw_cancellation(task_record* waited) const {
  if (!message_.load(relaxed) && waited && word::requests(waited->state().load()) != 0)
    detail::throw_cancelled(*waited);
  throw_cancellation();
}

bool future_base::end(outcome how) noexcept {
  if (!word_.settle_once(how)) return false;
  work_list todo;
  close_joiners(todo);
  todo.settle();
  fire_callbacks(*this, todo);
  return true;
}

std::exception_ptr promise_dropped() noexcept {
  try {
    auto* t = this_thread().current;
    if (!t) return std::make_exception_ptr(broken_promise());
    return std::make_exception_ptr(broken_promise(std::string(broken_promise().what()) +
                                                  " (dropped by " + describe_task(*t) + ")"));
  } catch (const std::bad_alloc&) {
    return std::current_exception();  // no memory for that error, so those that wait get this one
  }
}

void future_base::throw_ended_before() {
  throw invalid_state_error("the promise has a result already, or was cancelled");
}

}  // namespace heddle::detail
