// SPDX-License-Identifier: MIT
#include <heddle/io/reactor/edge_set.h>

#include <heddle/io/descriptors/fd.h>

#include <pthread.h>
#include <sys/epoll.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace heddle::detail {
namespace {

epoll_event edges_of(const io_source& s) noexcept {
  epoll_event e{};
  e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  const source_name n = s.name();
  e.data.u64 = (static_cast<std::uint64_t>(n.generation) << 32) | n.slot;
  return e;
}

/// The set of one ring. It lives until the ring ends.
//
// source_    set by the constructor
// refs_      atomic
// the rest   constant
class edge_set final : public source_owner, public source_home {
 public:
  explicit edge_set(reactor& ring) : set_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    source_ = &ring.watch(set_.get(), this, watched_for::reading);
  }
  edge_set(const edge_set&) = delete;

  io_source& watch(int descriptor) {
    auto& s = io_source::claim(descriptor, *this, nullptr);
    epoll_event e = edges_of(s);
    if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, descriptor, &e) != 0) {
      const int error = errno;
      s.retire();
      throw_system_error(error, "epoll_ctl");
    }
    return s;
  }

  void unwatch(io_source& source) noexcept override {
    // Another descriptor may keep the open file, which would stay in the set. An error means that
    // the descriptor has left the set already.
    (void)::epoll_ctl(set_.get(), EPOLL_CTL_DEL, source.descriptor, nullptr);
  }
  void repeat_edge(io_source& source) noexcept override {
    epoll_event e = edges_of(source);
    (void)::epoll_ctl(set_.get(), EPOLL_CTL_MOD, source.descriptor, &e);
  }

  void hold() noexcept override { refs_.fetch_add(1, relaxed); }
  void drop() noexcept override {
    // pairs with itself: the holder of the last reference sees what the others did
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }
  [[nodiscard]] bool wants_readable() const noexcept override { return true; }
  // An event that comes after the last epoll_wait makes the set readable again: a new edge.
  void readable() noexcept override {
    constexpr int batch = 64;
    epoll_event list[batch];
    int n = batch;
    while (n == batch) {
      n = ::epoll_wait(set_.get(), list, batch, 0);
      for (int i = 0; i < n; ++i) {
        const auto mark = list[i].data.u64;
        io_source::at(static_cast<std::uint32_t>(mark))
            .ready(static_cast<std::uint32_t>(mark >> 32), list[i].events);
      }
    }
  }
  void reactor_gone() noexcept override;

 private:
  ~edge_set() = default;

  fd set_;
  io_source* source_ = nullptr;
  atomic<std::uint32_t> refs_{1};
};

/// The sets of all rings of the process.
struct edge_sets {
  std::mutex mutex;
  std::map<reactor*, edge_set*> all;
};

edge_sets& sets() {
  static edge_sets* const made = new edge_sets;  // never destroyed: rings may outlive statics
  return *made;
}

/// A forked child has only the thread that forked. The lock is taken over the fork, so that the
/// child finds it free. Named after the first watch, whose table has a lock that is taken inside
/// this one: a fork locks what was named last first.
void care_for_forks() {
  static const int once = ::pthread_atfork(
      [] { sets().mutex.lock(); }, [] { sets().mutex.unlock(); }, [] { sets().mutex.unlock(); });
  (void)once;
}

// No task is left that could wait. The sources forget this set, as they would their reactor.
void edge_set::reactor_gone() noexcept {
  {
    const std::lock_guard lock(sets().mutex);
    std::erase_if(sets().all, [this](const auto& entry) { return entry.second == this; });
  }
  io_source::orphan_all(*this);
  source_->retire();
  drop();
}

edge_set& set_of(reactor& ring) {
  auto& s = sets();
  const std::lock_guard lock(s.mutex);
  edge_set*& place = s.all[&ring];
  if (!place) {
    try {
      place = new edge_set(ring);
    } catch (...) {
      s.all.erase(&ring);
      throw;
    }
    care_for_forks();
  }
  return *place;
}

}  // namespace

io_source& watch_edges(int descriptor) {
  reactor& here = current_reactor();
  if (!here.moves_bytes()) return here.watch(descriptor, nullptr, watched_for::both_ways);
  return set_of(here).watch(descriptor);
}

}  // namespace heddle::detail
