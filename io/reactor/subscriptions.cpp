// SPDX-License-Identifier: MIT
#include <heddle/io/reactor/subscriptions.h>

#include <heddle/core/errors.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/descriptors/owned_numbers.h>
#include <heddle/io/signals/signal_place.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/loop/handler.h>

#include <poll.h>
#include <sys/epoll.h>

#include <cerrno>
#include <new>
#include <string>
#include <utility>

namespace heddle::detail {
namespace {

/// A file cannot be polled, but a poll of io_uring says "ready" of it for ever. epoll refuses such
/// a descriptor, so epoll is asked. Throws std::system_error.
void check_pollable(int descriptor) {
  const fd trial(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  epoll_event none{};
  check(::epoll_ctl(trial.get(), EPOLL_CTL_ADD, descriptor, &none), "epoll_ctl");
}

/// Counted: the table holds one reference, and each callback on its way to a loop holds another.
class counted_owner : public source_owner {
 public:
  void hold() noexcept override { refs_.fetch_add(1, relaxed); }
  void drop() noexcept override {
    // pairs with itself: the holder of the last reference sees what the others did
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }
  void reactor_gone() noexcept override {}

 protected:
  virtual ~counted_owner() = default;

 private:
  atomic<std::uint32_t> refs_{1};
};

class owner_ref {
 public:
  explicit owner_ref(counted_owner& o) noexcept : owner_(&o) { o.hold(); }
  owner_ref(owner_ref&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
  ~owner_ref() {
    if (owner_) owner_->drop();
  }

 private:
  counted_owner* owner_;
};

enum class posted {
  yes,
  no_memory,  // now: to be tried again
  never,      // the loop takes no callbacks any more
};

template <class F>
posted post(loop& home, F&& f) noexcept {
  try {
    (void)home.call_soon(std::forward<F>(f));
    return posted::yes;
  } catch (const std::bad_alloc&) { return posted::no_memory; } catch (...) {
    return posted::never;
  }
}

}  // namespace

/// One descriptor, and up to two handlers: one for reading, one for writing. Each is called again
/// and again for as long as the descriptor is ready.
//
// Protocol AGAIN
//   Danger     asyncio promises levels: a handler that leaves bytes unread is called again. The
//              reactor tells edges: it is silent about those bytes. And an edge that comes while
//              the handler runs must not be lost. It must not lead to a second call at the same
//              time either.
//   Prevented  A side is `posted` from the decision to call its handler until the handler has run
//              and the descriptor was asked by poll(). An edge that comes meanwhile changes
//              nothing: the asking comes later, and finds what that edge told of. The asking stands
//              under the same lock as the end of `posted`, so a later edge posts anew.
//   Memory     A call needs a callback. If there is no memory for one, the reactor tells the edge
//              again (io_source::repeat_edge), until there is memory. Until then its polls find
//              that edge at once, so the loop does not sleep.
//   Costs      One poll() after each call.
//   Tested by  tests/conformance/io_loop.cpp, tests/io/out_of_memory.cpp
//
// sides_         under mutex_
// source_        set by the constructor, before the first handler
// the rest       constant
class descriptor_watch final : public counted_owner {
 public:
  descriptor_watch(int descriptor, driver& watcher)
      : descriptor_(descriptor), reactor_(static_cast<reactor&>(watcher)) {
    if (is_owned_number(descriptor))
      throw_usage("descriptor " + std::to_string(descriptor) +
                  " belongs to a stream, a pipe or a datagram socket of this program");
    if (reactor_.moves_bytes()) check_pollable(descriptor);
    try {
      source_ = &reactor_.watch(descriptor, this, watched_for::both_ways);
    } catch (const std::system_error& e) {
      if (e.code().value() == EEXIST)
        throw_usage("descriptor " + std::to_string(descriptor) +
                    " is watched already: is it a stream's?");
      throw;
    }
  }

  /// Exchanges the handler of that side: `what` is the former one afterwards.
  void set(bool writing, loop& home, counted_ptr<handler>& what) {
    const std::lock_guard lock(mutex_);
    side& s = sides_[writing];
    std::swap(s.what, what);
    s.home = &home;
    if (!s.posted) look(writing);
  }
  /// Returns the handler that was there.
  counted_ptr<handler> clear(bool writing) noexcept {
    const std::lock_guard lock(mutex_);
    return std::exchange(sides_[writing].what, counted_ptr<handler>());
  }
  [[nodiscard]] bool idle() noexcept {
    const std::lock_guard lock(mutex_);
    return !sides_[0].what && !sides_[1].what;
  }
  /// Gives the descriptor back to its user. `open`: the reactor is not ending.
  void end(bool open) noexcept {
    source_->retire();
    if (open) reactor_.forget(descriptor_);
  }

 private:
  struct side {
    counted_ptr<handler> what;
    loop* home = nullptr;
    bool posted = false;
  };

  ~descriptor_watch() override = default;

  [[nodiscard]] bool wants_readable() const noexcept override { return true; }
  void readable() noexcept override { told(false); }
  void writable() noexcept override { told(true); }

  void told(bool writing) noexcept {
    const std::lock_guard lock(mutex_);
    side& s = sides_[writing];
    if (s.what && !s.posted) post_call(writing);
  }

  // Asks the descriptor. The lock is held, and the side is not posted.
  void look(bool writing) noexcept {
    side& s = sides_[writing];
    if (!s.what || !source_) return;
    // pairs with the load in io_source::ready(): protocol EDGE, writing
    if (writing) source_->wants_write.store(true, seq_cst);
    pollfd now{descriptor_, static_cast<short>(writing ? POLLOUT : POLLIN), 0};
    if (::poll(&now, 1, 0) > 0 && !(now.revents & POLLNVAL)) post_call(writing);
  }

  void post_call(bool writing) noexcept {
    side& s = sides_[writing];
    const auto how = post(*s.home, [kept = owner_ref(*this), this, writing] { call(writing); });
    s.posted = how == posted::yes;
    if (how != posted::no_memory) return;
    // pairs with the load in io_source::ready(), which has lowered the flag
    if (writing) source_->wants_write.store(true, seq_cst);
    source_->repeat_edge();
  }

  // A callback, on the loop that added the handler.
  void call(bool writing) {
    struct asker {
      descriptor_watch& self;
      bool writing;
      ~asker() {
        const std::lock_guard lock(self.mutex_);
        self.sides_[writing].posted = false;
        self.look(writing);
      }
    };
    counted_ptr<handler> what;
    {
      const std::lock_guard lock(mutex_);
      what = sides_[writing].what;
    }
    const asker at_end{*this, writing};
    if (what) what->call();
  }

  const int descriptor_;
  reactor& reactor_;
  io_source* source_ = nullptr;
  std::mutex mutex_;
  side sides_[2];  // reading, writing
};

/// The signal handlers of a runtime. A signal whose callback finds no memory is put back, and comes
/// with the next edge.
//
// handlers_      under mutex_
// source_        set by the constructor
class signal_watch final : public counted_owner {
 public:
  explicit signal_watch(driver& watcher) {
    source_ = &static_cast<reactor&>(watcher).watch(place_.bell(), this, watched_for::reading);
  }

  /// Exchanges the handler of that signal: `what` is the former one afterwards.
  void set(int number, loop& home, counted_ptr<handler>& what) {
    const std::lock_guard lock(mutex_);
    auto& l = handlers_[number];
    std::swap(l.what, what);
    l.home = &home;
    if (what) return;
    try {
      place_.want(number);  // it may come at once
    } catch (...) {
      std::swap(l.what, what);
      handlers_.erase(number);
      throw;
    }
  }
  counted_ptr<handler> clear(int number) noexcept {
    const std::lock_guard lock(mutex_);
    const auto at = handlers_.find(number);
    if (at == handlers_.end()) return {};
    auto what = std::move(at->second.what);
    handlers_.erase(at);
    place_.unwant(number);
    return what;
  }
  void end() noexcept {
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [number, h] : handlers_) place_.unwant(number);
    }
    source_->retire();
  }

 private:
  struct line {
    counted_ptr<handler> what;
    loop* home = nullptr;
  };

  ~signal_watch() override = default;

  [[nodiscard]] bool wants_readable() const noexcept override { return true; }
  void readable() noexcept override {
    while (const int number = place_.take()) {
      const std::lock_guard lock(mutex_);
      const auto at = handlers_.find(number);
      if (at == handlers_.end()) continue;
      const auto how =
          post(*at->second.home, [kept = owner_ref(*this), this, number, what = at->second.what] {
            if (is_still(number, what)) what->call();
          });
      if (how != posted::no_memory) continue;
      place_.put_back(number);
      return;
    }
  }
  [[nodiscard]] bool is_still(int number, const counted_ptr<handler>& what) {
    const std::lock_guard lock(mutex_);
    const auto at = handlers_.find(number);
    return at != handlers_.end() && at->second.what.get() == what.get();
  }

  signal_place place_;
  io_source* source_ = nullptr;
  std::mutex mutex_;
  std::map<int, line> handlers_;
};

subscriptions::subscriptions() = default;

subscriptions::~subscriptions() {
  for (const auto& [number, watch] : descriptors_) {
    (void)watch->clear(false);
    (void)watch->clear(true);
    watch->end(false);
    watch->drop();
  }
  if (signals_) {
    signals_->end();
    signals_->drop();
  }
}

void subscriptions::add(occasion when, int number, loop& home, driver& watcher,
                        counted_ptr<handler> what) {
  // The former handler's destructor is the user's code, and must not run under the lock. So `held`
  // is declared before the lock, and destroyed after it.
  counted_ptr<handler> held = std::move(what);
  const std::lock_guard lock(mutex_);
  if (when == occasion::signal) {
    check_signal(number);
    if (!signals_) signals_ = new signal_watch(watcher);
    signals_->set(number, home, held);
    return;
  }
  if (number < 0) throw bad_value("no descriptor has the number " + std::to_string(number));
  auto& watch = descriptors_[number];
  if (!watch) {
    try {
      watch = new descriptor_watch(number, watcher);
    } catch (...) {
      descriptors_.erase(number);
      throw;
    }
  }
  watch->set(when == occasion::writable, home, held);
}

bool subscriptions::remove(occasion when, int number) {
  counted_ptr<handler> removed;  // declared before the lock, as in add()
  const std::lock_guard lock(mutex_);
  if (when == occasion::signal) {
    if (signals_) removed = signals_->clear(number);
    return removed.get() != nullptr;
  }
  const auto at = descriptors_.find(number);
  if (at == descriptors_.end()) return false;
  auto* watch = at->second;
  removed = watch->clear(when == occasion::writable);
  if (watch->idle()) {
    watch->end(true);
    watch->drop();
    descriptors_.erase(at);
  }
  return removed.get() != nullptr;
}

// --- the reactor that keeps them ---

subscriptions& subscribing_reactor::all() {
  const std::lock_guard lock(subscribing_);
  if (!subscriptions_) subscriptions_ = std::make_unique<subscriptions>();
  return *subscriptions_;
}

void subscribing_reactor::subscribe(occasion when, int number, loop& home, driver& watcher,
                                    counted_ptr<handler> what) {
  all().add(when, number, home, watcher, std::move(what));
}

// Needs no memory: destructors call it.
bool subscribing_reactor::unsubscribe(occasion when, int number) {
  if (when == occasion::signal) check_signal(number, false);
  {
    const std::lock_guard lock(subscribing_);
    if (!subscriptions_) return false;
  }
  return subscriptions_->remove(when, number);
}

}  // namespace heddle::detail
