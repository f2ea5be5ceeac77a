// SPDX-License-Identifier: MIT
#include <heddle/io/servers/server_core.h>

#include <heddle/core/seeing/layout.h>
#include <heddle/sched/create_task.h>

#include <algorithm>
#include <mutex>
#include <source_location>
#include <utility>

namespace heddle::detail {

server_core::server_core(connection_handler handler, server_options options, unsigned loops)
    : handler_(std::move(handler)),
      options_(std::move(options)),
      places_(options_.max_connections == 0 ? nullptr
                                            : std::make_shared<places>(options_.max_connections)),
      limits_(options_),
      accepted_by_loop_(loops) {}

void guest::closed(stream_core& ended) noexcept {
  server_->limits().forget(*this);
  server_->closed(ended);
}

// --- handlers, and waiting for the end ---

handler_ticket::~handler_ticket() {
  if (server_) server_->handler_ended();
}

void server_core::handler_ended() noexcept {
  work_list todo;
  connection_handler over;
  changed_.lock();
  --handlers_;
  give_up_handler_locked(over);
  wake_if_emptier_locked(todo);
  changed_.unlock();
  todo.settle();
}

door::door(std::shared_ptr<server_core> s) noexcept : server_(std::move(s)) {
  server_->door_opened();
}
door::~door() {
  if (server_) server_->door_closed();
}

void server_core::door_opened() noexcept {
  changed_.lock();
  ++doors_;
  changed_.unlock();
}

void server_core::door_closed() noexcept {
  work_list todo;
  connection_handler over;
  changed_.lock();
  --doors_;
  give_up_handler_locked(over);
  wake_if_emptier_locked(todo);
  changed_.unlock();
  todo.settle();
}

// The user's handler must not be destroyed under a lock: its destructor is the user's code. But the
// last connection may end, and let its server go, under a lock of a ring. So the handler goes
// before that, as soon as no guest can need it: the caller destroys `over` with no lock held.
void server_core::give_up_handler_locked(connection_handler& over) noexcept {
  if (closed_ && doors_ == 0 && handlers_ == 0) over.swap(handler_);
}

server_core::running_handler::running_handler(server_core& s) noexcept
    : server_(s), task_(current_task()) {
  s.changed_.lock();
  next_ = s.first_running_;
  if (next_) next_->previous_ = this;
  s.first_running_ = this;
  ++s.handlers_running_;
  const bool late = s.cancels_handlers_;
  s.changed_.unlock();
  if (late) (void)task_.cancel();
}

server_core::running_handler::~running_handler() {
  server_.changed_.lock();
  (previous_ ? previous_->next_ : server_.first_running_) = next_;
  if (next_) next_->previous_ = previous_;
  --server_.handlers_running_;
  server_.changed_.unlock();
}

server_core::until server_core::starts_waiting() noexcept {
  const any_task self = current_task();
  work_list todo;
  changed_.lock();
  const running_handler* h = first_running_;
  while (h && h->task_ != self) h = h->next_;
  if (h) {
    ++handlers_waiting_;
    wake_if_emptier_locked(todo);
  }
  changed_.unlock();
  todo.settle();
  return h ? until::others_gone : until::empty;
}

void server_core::stops_waiting() noexcept {
  changed_.lock();
  --handlers_waiting_;
  changed_.unlock();
}

bool server_core::reached_locked(until what) const noexcept {
  if (!closed_ || what == until::closed) return closed_;
  return doors_ == 0 && live_ == 0 &&
         handlers_ == (what == until::others_gone ? handlers_waiting_ : 0);
}

bool server_core::reached(until what) noexcept {
  changed_.lock();
  const bool is = reached_locked(what);
  changed_.unlock();
  return is;
}

namespace {

class server_wait final : public queue_waiter {
 public:
  server_wait(server_core& s, server_core::until what) noexcept
      : queue_waiter(s.changed_), server_(s), what_(what) {}

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    return suspend(h.promise().suspending(h, where));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return "server"; }

 private:
  HEDDLE_NOINLINE bool suspend(task_record& t) noexcept {
    server_.changed_.lock();
    const bool waits = !server_.reached_locked(what_) && server_.changed_.suspend(*this, t);
    server_.changed_.unlock();
    return waits;
  }

  server_core& server_;
  const server_core::until what_;
};

}  // namespace

task<> wait_for_server(std::shared_ptr<server_core> s, bool empty) {
  struct waiting {
    server_core& server;
    const server_core::until what;
    waiting(server_core& at, bool wants_empty) noexcept
        : server(at), what(wants_empty ? at.starts_waiting() : server_core::until::closed) {}
    waiting(const waiting&) = delete;
    ~waiting() {
      if (what == server_core::until::others_gone) server.stops_waiting();
    }
  } const here(*s, empty);
  while (!s->reached(here.what)) {
    server_wait next(*s, here.what);
    co_await next;
  }
}

// --- start and end ---

void server_core::take_over(binding b, owned_path path) {
  path_ = std::move(path);
  where_ = std::move(b.where);
  const std::lock_guard hold(changed_);
  listeners_ = std::move(b.listeners);
}

void server_core::start() {
  std::vector<std::shared_ptr<listener>> mine;
  bool was_closed, already;
  {
    const std::lock_guard hold(changed_);  // what follows may find no memory
    was_closed = closed_;
    already = serving_;
    if (!was_closed && !already) {
      mine = listeners_;
      accepting_.reserve(mine.size());
      serving_ = true;
    }
  }
  if (was_closed) detail::throw_usage("the server is closed");
  if (already) return;
  try {
    for (auto& l : mine) l->start(options_.backlog, where_.front());
    for (auto& l : mine) {
      task_options named;
      named.name = "accept " + where_.front().to_string();
      auto t = create_task(accept_loop(shared_from_this(), l, door(shared_from_this())), named);
      changed_.lock();
      const bool late = closed_;
      if (!late) accepting_.push_back(t);
      changed_.unlock();
      if (late) t.cancel();
    }
  } catch (...) {
    close();
    throw;
  }
}

void server_core::close(waiting_guests waiting) noexcept {
  std::vector<std::shared_ptr<listener>> listeners;
  std::vector<any_task> accepting;
  work_list todo;
  changed_.lock();
  const bool takes_in = serving_ && waiting == waiting_guests::served;
  closed_ = true;
  serving_ = false;
  ++doors_;
  listeners.swap(listeners_);
  accepting.swap(accepting_);
  wake_all_locked(todo);
  changed_.unlock();
  bool rest = false;
  if (waiting == waiting_guests::left)
    for (auto& l : listeners) l->share();
  if (takes_in) {
    for (auto& l : listeners) l->refuse_new();
    rest = take_in_waiting(listeners) && leave_to_task(listeners);
  }
  if (!rest)
    for (auto& l : listeners) l->stop();
  for (auto& t : accepting) t.cancel();
  todo.settle();
  if (!listeners.empty()) {
    if (waiting == waiting_guests::left) path_.leave();
    path_.remove();
  }
  door_closed();
}

void server_core::closed(stream_core& core) noexcept {
  work_list todo;
  changed_.lock();
  (core.previous ? core.previous->next : first_) = core.next;
  if (core.next) core.next->previous = core.previous;
  core.next = core.previous = nullptr;
  --live_;
  wake_if_emptier_locked(todo);
  changed_.unlock();
  todo.settle();
}

void server_core::for_each_client(void (stream_core::*f)() noexcept) {
  // A connection that ends takes the lock, and may drop the last reference but ours. So references
  // are gathered under the lock, and `f` is called after it. Memory is reserved without the lock,
  // so connections may be accepted meanwhile: then there is another round.
  std::vector<stream_core*> all;
  for (bool fits = false; !fits;) {
    all.reserve(look().live + 16);
    changed_.lock();
    fits = live_ <= all.capacity();
    if (closed_) late_ = f;
    for (auto* c = fits ? first_ : nullptr; c; c = c->next) {
      c->ref();
      all.push_back(c);
    }
    changed_.unlock();
  }
  for (auto* c : all) {
    (c->*f)();
    c->unref();
  }
}

void server_core::cancel_handlers() {
  // A task that is cancelled may end at once, and takes the lock then. So tasks are gathered under
  // the lock, as in for_each_client(), and cancelled after it.
  std::vector<any_task> all;
  for (bool fits = false; !fits;) {
    changed_.lock();
    const auto n = handlers_running_;
    changed_.unlock();
    all.reserve(n + 16);
    changed_.lock();
    fits = handlers_running_ <= all.capacity();
    cancels_handlers_ = closed_;
    for (auto* h = fits ? first_running_ : nullptr; h; h = h->next_) all.push_back(h->task_);
    changed_.unlock();
  }
  for (const auto& t : all) (void)t.cancel();
}

std::vector<int> server_core::sockets() {
  std::vector<int> out;
  const std::lock_guard hold(changed_);  // what follows may find no memory
  out.reserve(listeners_.size());
  for (const auto& l : listeners_) out.push_back(l->descriptor());
  return out;
}

void server_core::begin_forever() {
  changed_.lock();
  const bool was_closed = closed_;
  const bool twice = forever_;
  if (!was_closed) forever_ = true;
  changed_.unlock();
  if (was_closed) detail::throw_usage("serve_forever on a closed server");
  if (twice) detail::throw_usage("serve_forever runs already");
}

server_stats server_core::stats() {
  server_stats s;
  s.timed_out = limits_.timed_out();
  s.accepted_by_loop.resize(accepted_by_loop_.size());  // its size is constant
  changed_.lock();
  std::copy(accepted_by_loop_.begin(), accepted_by_loop_.end(), s.accepted_by_loop.begin());
  s.connections = live_;
  s.refused = refused_;
  s.dropped = dropped_;
  changed_.unlock();
  for (const auto n : s.accepted_by_loop) s.accepted += n;
  return s;
}

server_core::view server_core::look() noexcept {
  changed_.lock();
  const view v{serving_, closed_, live_};
  changed_.unlock();
  return v;
}

}  // namespace heddle::detail

namespace heddle::detail {
namespace {
HEDDLE_ROW("heddle_kinds")
constexpr seeing::kind_row server_core_kinds[] = {
    {.type = "N6heddle6detail*11server_waitE", .name = "server"},
};
}  // namespace
}  // namespace heddle::detail
