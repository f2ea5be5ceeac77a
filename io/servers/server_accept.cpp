// SPDX-License-Identifier: MIT
// The accepting half of server_core. Protocol GUEST, in server_core.h, says what failures do.
#include <heddle/io/servers/server_core.h>

#include <heddle/io/descriptors/socket.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/tls/handshake.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/runtime/drivers.h>
#include <heddle/sched/sleep.h>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <thread>
#include <utility>

namespace heddle::detail {
namespace {

/// The kernel has no room for another socket, so the next accept would fail, too.
bool is_exhaustion(int code) noexcept {
  return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

/// An error that the next guest in the queue need not meet.
bool is_of_one_guest(int code) noexcept {
  return code == EINTR || code == ECONNABORTED || code == EPROTO || code == EPERM ||
         code == ENETDOWN || code == EHOSTDOWN || code == ENONET || code == EHOSTUNREACH ||
         code == ENETUNREACH || code == ETIMEDOUT;
}

void report_to_handler(const char* message, const std::exception_ptr& error) noexcept {
  try {
    error_context what;
    what.message = message;
    what.error = error;
    heddle::current_runtime().report(what);
  } catch (const std::bad_alloc&) {
    // There is no memory for a report, and it is left out.
  }
}

void report_refusal(std::size_t most) noexcept {
  try {
    error_context what;
    what.message = "connections are refused: as many as max_connections (" + std::to_string(most) +
                   ") are open";
    heddle::current_runtime().report(what);
  } catch (const std::bad_alloc&) {
    // As above.
  }
}

std::exception_ptr accept_error(int code, const address& where) noexcept {
  try {
    throw_system_error(code, "accept", where.to_string());
  } catch (...) { return std::current_exception(); }
}

}  // namespace

// A server whose further guests wait takes a place before it accepts, so that the guest stays in
// the kernel if there is none. A server that refuses accepts first: a place that is held for a
// guest who is not there would turn another one away.
accepted server_core::accept_some(listener& l) {
  const int most =
      options_.tls ? std::min(options_.backlog, most_tls_guests_at_one_go) : options_.backlog;
  const bool place_first = places_ && options_.if_full == when_full::wait;
  for (int i = 0; i < most; ++i) {
    if (l.stopped()) return accepted::ended;
    place mine;
    if (place_first && !(mine = place::take(places_))) return accepted::full;
    sockaddr_storage peer;
    socklen_t length = sizeof peer;
    fd socket(::accept4(l.descriptor(), reinterpret_cast<sockaddr*>(&peer), &length,
                        SOCK_NONBLOCK | SOCK_CLOEXEC));
    const int code = socket.valid() ? 0 : errno;
    if (code == EAGAIN || code == EWOULDBLOCK) return accepted::drained;
    if (code == EINTR) continue;
    if (code == EINVAL || code == EBADF) {  // it is no listening socket any more
      if (!l.stopped() && !l.refuses())
        report_to_handler("a listening socket was ended by others",
                          accept_error(code, where_.front()));
      return accepted::ended;
    }
    if (is_exhaustion(code)) {
      report_want(code);
      return accepted::wanting;
    }
    if (code == 0 && places_ && !place_first && !(mine = place::take(places_))) {
      refuse(std::move(socket));
      continue;
    }
    std::exception_ptr error;
    if (code != 0) {
      error = accept_error(code, where_.front());
    } else {
      try {
        const address from(reinterpret_cast<const sockaddr*>(&peer), length);
        admit(std::move(socket), from, std::move(mine));
        l.failures = 0;
        l.want_pause = first_want_pause;
      } catch (const fatal_error&) { throw; } catch (...) {
        error = std::current_exception();
      }
    }
    if (error && pauses_after(l, error)) return accepted::failing;
  }
  return accepted::more;
}

/// Takes a guest in, also on a closed server: protocol BACKLOG. The caller holds a door. If it
/// throws, the connection was dropped.
void server_core::admit(fd socket, const address& from, place p) {
  std::shared_ptr<guest> g;
  if (places_ || limits_.has_any()) g = std::make_shared<guest>(shared_from_this(), std::move(p));
  if (options_.no_delay) set_no_delay(socket.get(), where_.front().family());
  stream_core* core = stream_core::open(std::move(socket), current_reactor(),
                                        watched_for::streaming, options_.limit, from);
  const auto here = current_loop_index();
  changed_.lock();
  if (g) {
    g->core = core;
    core->set_listener(g);
  } else {
    core->set_listener(shared_from_this());
  }
  ++live_;
  ++handlers_;
  ++accepted_by_loop_[here];
  wants_ = false;
  core->next = first_;
  if (first_) first_->previous = core;
  first_ = core;
  const auto late = late_;  // close_clients() was called already, and missed this one
  changed_.unlock();
  connection both = make_connection(core);
  if (late) (core->*late)();
  handler_ticket ticket(shared_from_this(), std::move(g));
  task_options named;
  named.name = options_.name;
  create_task(run_connection(shared_from_this(), std::move(both), std::move(ticket)), named);
}

/// Resets a guest for whom there is no place.
void server_core::refuse(fd socket) noexcept {
  const auto now = clock::now();
  changed_.lock();
  ++refused_;  // before the client can know it: who asks stats() then finds it counted
  const bool told = now < refusal_told_until_;
  if (!told) refusal_told_until_ = now + report_interval;
  changed_.unlock();
  const linger at_once{1, 0};  // close() resets
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  socket.reset();
  if (!told) report_refusal(options_.max_connections);
}

/// Accepts a guest of a server that closes. `nobody`: no guest waits there any more, or none can be
/// taken in.
server_core::visit server_core::take_in_one(const listener& l) noexcept {
  place mine;
  const bool place_first = places_ && options_.if_full == when_full::wait;
  if (place_first && !(mine = place::take(places_))) return visit::full;
  sockaddr_storage peer;
  socklen_t length = sizeof peer;
  fd socket(::accept4(l.descriptor(), reinterpret_cast<sockaddr*>(&peer), &length,
                      SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket.valid()) {
    const int code = errno;
    if (is_exhaustion(code)) report_want(code);
    return is_of_one_guest(code) ? visit::took : visit::nobody;
  }
  if (places_ && !place_first && !(mine = place::take(places_))) {
    refuse(std::move(socket));
    return visit::took;
  }
  try {
    admit(std::move(socket), address(reinterpret_cast<const sockaddr*>(&peer), length),
          std::move(mine));
  } catch (const usage_error&) {
    return visit::nobody;  // the runtime ends: nothing can be served any more
  } catch (...) {
    count_dropped();
    report_to_handler("a connection was dropped while it was accepted", std::current_exception());
  }
  return visit::took;
}

/// Protocol BACKLOG. A handshake may be under way on another processor while the backlog is looked
/// at, so the last look comes after this thread has let others run. A shared listener may be fed
/// for ever, and others serve it: so there a backlog is the most, and nobody waits for places.
bool server_core::take_in_waiting(const std::vector<std::shared_ptr<listener>>& all) noexcept {
  if (!current_loop_if_any()) return false;
  bool full = false;
  for (int look = 0; look < 2; ++look) {
    if (look != 0) std::this_thread::yield();
    full = false;
    for (const auto& l : all) {
      // An error that stays must not hold the close up for ever.
      const int most =
          l->shared() ? options_.backlog : saturating_sum(options_.backlog, options_.backlog);
      visit last = visit::took;
      for (int n = 0; last == visit::took && n < most; ++n) last = take_in_one(*l);
      full |= last == visit::full && !l->shared();
    }
  }
  return full;
}

/// True: a task takes in the guests that wait for places, and ends listening.
bool server_core::leave_to_task(const std::vector<std::shared_ptr<listener>>& all) noexcept {
  try {
    create_task(take_in_rest(shared_from_this(), all, door(shared_from_this())));
    return true;
  } catch (...) {
    // Without memory, and when the runtime ends, nobody more can be served.
    return false;
  }
}

task<> take_in_rest(std::shared_ptr<server_core> s, std::vector<std::shared_ptr<listener>> all,
                    [[maybe_unused]] door entrance) {
  struct stopper {
    const std::vector<std::shared_ptr<listener>>& listeners;
    ~stopper() {
      for (const auto& l : listeners) l->stop();
    }
  } const at_end{all};
  while (s->take_in_waiting(all)) {
    place_wait next(*s->all_places());
    co_await next;
  }
}

void server_core::count_dropped() noexcept {
  changed_.lock();
  ++dropped_;
  changed_.unlock();
}

/// Reports a guest that could not be taken in. True: it was not the first in a row. Then the cause
/// is likely to stay, and accepting pauses.
bool server_core::pauses_after(listener& l, std::exception_ptr error) noexcept {
  const bool stays = ++l.failures >= most_failures_in_a_row;
  count_dropped();
  report_to_handler(stays ? "a connection was dropped while it was accepted; accepting pauses for "
                            "a second"
                          : "a connection was dropped while it was accepted",
                    error);
  return stays;
}

// All listeners of a server meet the want of descriptors at about the same time. It is reported
// once: again only after a guest was taken in, and not within the interval.
void server_core::report_want(int code) noexcept {
  const auto now = clock::now();
  changed_.lock();
  const bool told = code == want_ && (wants_ || now < want_told_until_);
  wants_ = true;
  want_ = code;
  if (!told) want_told_until_ = now + report_interval;
  changed_.unlock();
  if (!told)
    report_to_handler("accepting pauses until descriptors or memory are free",
                      accept_error(code, where_.front()));
}

task<> accept_loop(std::shared_ptr<server_core> s, std::shared_ptr<listener> l,
                   [[maybe_unused]] door entrance) {
  struct closer {
    server_core& server;
    listener& at;
    ~closer() {
      if (!at.stopped()) server.close(server_core::waiting_guests::dropped);
    }
  } const at_end{*s, *l};
  for (;;) {
    const auto seen = l->source().edges();
    const accepted end = s->accept_some(*l);
    switch (end) {
      case accepted::ended: co_return;
      case accepted::more: co_await yield_now(); break;
      case accepted::wanting:
      case accepted::failing: {
        bool paused = false;
        clock::duration pause = accept_pause;
        if (end == accepted::wanting) {
          pause = l->want_pause;
          l->want_pause = std::min(2 * l->want_pause, longest_want_pause);
        }
        try {
          co_await sleep(pause);
          paused = true;
        } catch (const std::bad_alloc&) {
          // There is no memory for a timer.
        }
        if (!paused) co_await yield_now();
        break;
      }
      case accepted::full: {
        place_wait next(*s->all_places());
        co_await next;
        break;
      }
      case accepted::drained: {
        readable_wait next(l->source(), l->name(), seen, "accept");
        co_await next;
        break;
      }
    }
  }
}

}  // namespace heddle::detail
