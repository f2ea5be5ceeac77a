// SPDX-License-Identifier: MIT
// The accepting half of server_core. Protocol GUEST, in server_core.h, says what failures do.
#include <heddle/io/servers/server_core.h>

#include <heddle/io/descriptors/socket.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/streams/stream_access.h>
#include <heddle/io/tls/handshake.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <thread>

namespace heddle::detail {
namespace {

/// The kernel has no room for another socket, so the next accept would fail, too.
bool is_exhaustion(int code) noexcept {
  return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
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

std::exception_ptr accept_error(int code, const address& where) noexcept {
  try {
    throw_system_error(code, "accept", where.to_string());
  } catch (...) { return std::current_exception(); }
}

/// True: the calling task was cancelled. False: its cancelled_error comes from another task that it
/// awaited.
bool cancelled_itself() noexcept {
  const any_task self = current_task();
  return !self.valid() || self.cancelling() != 0;
}

void report_of_connection(const char* message, const std::exception_ptr& error) {
  error_context what;
  what.message = message;
  what.error = error;
  what.task = current_task().get_name();
  heddle::current_runtime().report(what);
}

/// True: `error` says that this end has closed the connection.
bool is_ours(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& e) {
    return e.code() == std::error_code(ECONNABORTED, std::system_category());
  } catch (...) { return false; }
}

// The handshake of a guest. False: it failed, and was reported.
task<bool> secure(server_core& s, connection& c) {
  std::exception_ptr error;
  auto& core = stream_access::of(c);
  try {
    task<> work = accept_tls(core, s.options().tls, s.options().handshake_limit);
    co_await work;
    co_return true;
  } catch (const fatal_error&) { throw; } catch (const cancelled_error&) {
    throw;
  } catch (...) { error = std::current_exception(); }
  if (!is_ours(error)) report_of_connection("TLS handshake failed", error);
  task<> lingering = linger_after_failure(core);
  co_await lingering;
  co_return false;
}

// The task of one connection. The ticket is a parameter, so it counts the handler until the frame
// is gone, also if the task never began.
task<> run_connection(std::shared_ptr<server_core> s, connection c,
                      [[maybe_unused]] handler_ticket ticket) {
  const server_core::running_handler here(*s);
  std::exception_ptr error;
  try {
    if (s->options().tls) {
      task<bool> handshake = secure(*s, c);
      const bool good = co_await handshake;
      if (!good) co_return;
    }
    task<> work = s->handle(std::move(c));
    co_await work;
  } catch (const fatal_error&) { throw; } catch (const cancelled_error&) {
    if (cancelled_itself()) throw;
    error = std::current_exception();
  } catch (...) { error = std::current_exception(); }
  if (error) report_of_connection("unhandled exception in connection handler", error);
}

}  // namespace

accepted server_core::accept_some(listener& l) {
  const int most =
      options_.tls ? std::min(options_.backlog, most_tls_guests_at_one_go) : options_.backlog;
  for (int i = 0; i < most; ++i) {
    if (l.stopped()) return accepted::ended;
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
    std::exception_ptr error;
    if (code != 0) {
      error = accept_error(code, where_.front());
    } else {
      try {
        const address from(reinterpret_cast<const sockaddr*>(&peer), length);
        admit(std::move(socket), from);
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
void server_core::admit(fd socket, const address& from) {
  if (options_.no_delay) set_no_delay(socket.get(), where_.front().family());
  stream_core* core = stream_core::open(std::move(socket), current_reactor(),
                                        watched_for::streaming, options_.limit, from);
  changed_.lock();
  core->set_listener(shared_from_this());
  ++live_;
  ++handlers_;
  wants_ = false;
  core->next = first_;
  if (first_) first_->previous = core;
  first_ = core;
  const auto late = late_;  // close_clients() was called already, and missed this one
  changed_.unlock();
  connection both = make_connection(core);
  if (late) (core->*late)();
  handler_ticket ticket(shared_from_this());
  task_options named;
  named.name = options_.name;
  create_task(run_connection(shared_from_this(), std::move(both), std::move(ticket)), named);
}

/// Accepts a guest of a server that closes. False: no guest waits there any more, or none can be
/// taken in.
bool server_core::take_in_one(const listener& l) noexcept {
  sockaddr_storage peer;
  socklen_t length = sizeof peer;
  fd socket(::accept4(l.descriptor(), reinterpret_cast<sockaddr*>(&peer), &length,
                      SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket.valid()) {
    const int code = errno;
    if (is_exhaustion(code)) report_want(code);
    return code == EINTR || code == ECONNABORTED || code == EPROTO;
  }
  try {
    admit(std::move(socket), address(reinterpret_cast<const sockaddr*>(&peer), length));
  } catch (const usage_error&) {
    return false;  // the runtime ends: nothing can be served any more
  } catch (...) {
    report_to_handler("a connection was dropped while it was accepted", std::current_exception());
  }
  return true;
}

/// Protocol BACKLOG. A handshake may be under way on another processor while the backlog is looked
/// at, so the last look comes after this thread has let others run.
void server_core::take_in_waiting(const std::vector<std::shared_ptr<listener>>& all) noexcept {
  if (!current_loop_if_any()) return;
  for (int look = 0; look < 2; ++look) {
    if (look != 0) std::this_thread::yield();
    for (const auto& l : all)
      while (take_in_one(*l)) {}
  }
}

/// Reports a guest that could not be taken in. True: it was not the first in a row. Then the cause
/// is likely to stay, and accepting pauses.
bool server_core::pauses_after(listener& l, std::exception_ptr error) noexcept {
  const bool stays = ++l.failures >= most_failures_in_a_row;
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
  if (!told) want_told_until_ = now + want_report_interval;
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
      case accepted::drained: {
        readable_wait next(l->source(), l->name(), seen, "accept");
        co_await next;
        break;
      }
    }
  }
}

}  // namespace heddle::detail
