// SPDX-License-Identifier: MIT
#include <heddle/io/server.h>

#include <heddle/io/reactor.h>
#include <heddle/io/resolve.h>
#include <heddle/io/socket.h>
#include <heddle/io/stream_core.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/sleep.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <memory>

namespace heddle {
namespace detail {
namespace {

using namespace std::chrono_literals;

constexpr auto pause_length = 1s;

/// One listening socket. Shared by the server and its accepting task: whichever goes last closes
/// the descriptor, so that nobody accepts on a number that has been given to something else. stop()
/// ends listening at once, from any thread.
class listener {
 public:
  listener(fd socket, unsigned loop) : socket_(std::move(socket)), loop_(loop) {}
  listener(const listener&) = delete;
  ~listener() { stop(); }

  void start(int backlog, const address& where) {
    check(::listen(socket_.get(), backlog), "listen", where.to_string());
    auto& home = static_cast<reactor&>(driver_of(loop_));
    source_ = &home.watch(socket_.get(), nullptr, watched_for::reading);
    name_ = source_->name();
  }
  void stop() noexcept {
    if (stopped_.exchange(true, acq_rel)) return;  // pairs with itself: once
    ::shutdown(socket_.get(),
               SHUT_RDWR);  // refuses from now on, also while somebody is inside accept
    if (source_) source_->retire();
  }
  [[nodiscard]] bool stopped() const noexcept { return stopped_.load(acquire); }
  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  [[nodiscard]] io_source& source() const noexcept { return *source_; }
  [[nodiscard]] source_name name() const noexcept { return name_; }

 private:
  fd socket_;
  unsigned loop_;
  io_source* source_ = nullptr;
  source_name name_;
  atomic<bool> stopped_{false};
};

enum class accepted { drained, more, out_of_descriptors, ended };

}  // namespace

// handler_, options_, where_   constant once the server is made
// everything else               under the lock of changed_, where wait_closed and serve_forever
//                               wait
class server_core final : public stream_listener, public std::enable_shared_from_this<server_core> {
 public:
  server_core(connection_handler handler, server_options options)
      : handler_(std::move(handler)), options_(std::move(options)) {}
  ~server_core() { remove_path(); }

  /// Binds, on every loop; nothing listens yet.
  void bind(const std::vector<address>& at, unsigned loops);
  void start();
  void close() noexcept;
  void for_each_client(void (stream_core::*f)() noexcept);

  accepted accept_some(listener& l);
  [[nodiscard]] task<> handle(connection c) { return handler_(std::move(c)); }

  void closed(stream_core& core) noexcept override;

  struct view {
    bool serving, closed;
    std::size_t live;
  };
  [[nodiscard]] view look() noexcept {
    changed_.lock();
    const view v{serving_, closed_, live_};
    changed_.unlock();
    return v;
  }
  [[nodiscard]] std::vector<address> addresses() noexcept {
    return look().closed ? std::vector<address>() : where_;
  }
  [[nodiscard]] std::vector<int> sockets();
  /// True: nobody else runs serve_forever. Throws usage_error otherwise, and when closed.
  void begin_forever();

  wait_queue changed_;

 private:
  friend class server_wait;

  fd bind_one(const address& at, bool shared) const;
  void report_pause(int code) noexcept;
  void remove_path() noexcept;
  void wake_all_locked(work_list& todo) noexcept {
    while (waiter* w = changed_.claim_first()) todo.schedule(*w->task);
  }

  const connection_handler handler_;
  const server_options options_;
  std::vector<address> where_;
  std::string path_;
  struct stat path_identity_{};

  bool serving_ = false;
  bool closed_ = false;
  bool forever_ = false;
  std::vector<std::shared_ptr<listener>> listeners_;
  std::vector<any_task> accepting_;
  time_point paused_until_ = time_point::min();
  std::size_t live_ = 0;
  stream_core* first_ = nullptr;
};

/// Waits until the server is closed, and, if `empty`, has no connections left.
class server_wait final : public queue_waiter {
 public:
  server_wait(server_core& s, bool empty) noexcept
      : queue_waiter(s.changed_), server_(s), empty_(empty) {}

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h) {
    return suspend(h.promise().suspending(h));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return "server"; }
  [[nodiscard]] bool reached() noexcept {
    const auto v = server_.look();
    return v.closed && (!empty_ || v.live == 0);
  }

 private:
  HEDDLE_NOINLINE bool suspend(task_record& t) noexcept {
    server_.changed_.lock();
    const bool now = server_.closed_ && (!empty_ || server_.live_ == 0);
    const bool waits = !now && server_.changed_.suspend(*this, t);
    server_.changed_.unlock();
    return waits;
  }

  server_core& server_;
  bool empty_;
};

namespace {

task<> wait_for_server(std::shared_ptr<server_core> s, bool empty) {
  for (;;) {
    server_wait w(*s, empty);
    if (w.reached()) co_return;
    co_await w;
  }
}

task<> run_connection(std::shared_ptr<server_core> s, connection c) {
  std::exception_ptr error;
  try {
    task<> work = s->handle(std::move(c));
    co_await work;
  } catch (const cancelled_error&) { throw; } catch (const fatal_error&) {
    throw;
  } catch (...) { error = std::current_exception(); }
  if (error) {
    error_context what;
    what.message = "unhandled exception in connection handler";
    what.error = error;
    what.task = current_task().get_name();
    heddle::current_runtime().report(what);
  }
}

task<> accept_loop(std::shared_ptr<server_core> s, std::shared_ptr<listener> l) {
  for (;;) {
    const auto seen = l->source().edges();
    const accepted how = s->accept_some(*l);
    switch (how) {
      case accepted::ended: co_return;
      case accepted::more: co_await yield_now(); break;
      case accepted::out_of_descriptors: co_await sleep(pause_length); break;
      case accepted::drained: {
        readable_wait next(l->source(), l->name(), seen, "accept");
        co_await next;
        break;
      }
    }
  }
}

/// A socket that nobody listens at any more may be replaced; anything else at the path is the
/// user's.
void remove_stale_socket(const std::string& path) {
  struct stat s{};
  if (path[0] == '\0' || ::stat(path.c_str(), &s) != 0 || !S_ISSOCK(s.st_mode)) return;
  const address at = address::unix_path(path);
  const fd probe = make_stream_socket(AF_UNIX, at);
  if (::connect(probe.get(), at.data(), at.size()) != 0 && errno == ECONNREFUSED)
    ::unlink(path.c_str());
}

}  // namespace

fd server_core::bind_one(const address& at, bool shared) const {
  fd s = make_stream_socket(at.family(), at);
  if (at.is_ip()) {
    set_option(s.get(), SOL_SOCKET, SO_REUSEADDR, 1, "setsockopt SO_REUSEADDR", at);
    if (shared) set_option(s.get(), SOL_SOCKET, SO_REUSEPORT, 1, "setsockopt SO_REUSEPORT", at);
  }
  if (at.family() == AF_INET6)
    set_option(s.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "setsockopt IPV6_V6ONLY", at);
  check(::bind(s.get(), at.data(), at.size()), "bind", at.to_string());
  return s;
}

void server_core::bind(const std::vector<address>& at, unsigned loops) {
  std::uint16_t port = 0;
  for (address a : at) {
    if (a.is_ip() && a.port() == 0) a.set_port(port);  // one port for all the addresses
    const bool shared = options_.reuse_port && a.is_ip() && loops > 1;
    fd first;
    try {
      // Without SO_REUSEPORT first: with it the kernel would let two servers share a port unawares.
      if (shared && a.port() != 0) bind_one(a, false).reset();
      first = bind_one(a, shared);
    } catch (const std::system_error& e) {
      // A machine without IPv6 still lists its addresses.
      const bool unsupported =
          e.code().value() == EAFNOSUPPORT || e.code().value() == EADDRNOTAVAIL;
      if (unsupported && at.size() > 1 && a.family() == AF_INET6) continue;
      throw;
    }
    const address bound = address::local_of(first.get());
    if (bound.is_ip()) port = bound.port();
    where_.push_back(bound);
    if (a.family() == AF_UNIX && a.host()[0] != '\0') {
      path_ = a.host();
      if (::stat(path_.c_str(), &path_identity_) != 0) path_.clear();
    }
    listeners_.push_back(std::make_shared<listener>(std::move(first), 0));
    for (unsigned i = 1; shared && i < loops; ++i)
      listeners_.push_back(std::make_shared<listener>(bind_one(bound, true), i));
  }
  if (listeners_.empty())
    throw_system_error(EADDRNOTAVAIL, "bind", at.empty() ? std::string() : at.front().to_string());
}

void server_core::start() {
  std::vector<std::shared_ptr<listener>> mine;
  changed_.lock();
  const bool was_closed = closed_;
  const bool already = serving_;
  if (!was_closed && !already) {
    serving_ = true;
    mine = listeners_;
  }
  changed_.unlock();
  if (was_closed) detail::throw_usage("the server is closed");
  if (already) return;
  try {
    for (auto& l : mine) l->start(options_.backlog, where_.front());
    for (auto& l : mine) {
      auto t = create_task(accept_loop(shared_from_this(), l));
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

void server_core::close() noexcept {
  std::vector<std::shared_ptr<listener>> listeners;
  std::vector<any_task> accepting;
  work_list todo;
  changed_.lock();
  closed_ = true;
  serving_ = false;
  listeners.swap(listeners_);
  accepting.swap(accepting_);
  wake_all_locked(todo);
  changed_.unlock();
  for (auto& l : listeners) l->stop();
  for (auto& t : accepting) t.cancel();
  todo.settle();
  if (!listeners.empty()) remove_path();
}

void server_core::remove_path() noexcept {
  if (path_.empty() || !options_.cleanup_socket) return;
  struct stat now{};
  if (::stat(path_.c_str(), &now) == 0 && now.st_ino == path_identity_.st_ino &&
      now.st_dev == path_identity_.st_dev)
    ::unlink(path_.c_str());
  path_.clear();
}

accepted server_core::accept_some(listener& l) {
  for (int i = 0; i < options_.backlog; ++i) {
    if (l.stopped()) return accepted::ended;
    sockaddr_storage peer;
    socklen_t length = sizeof peer;
    fd socket(::accept4(l.descriptor(), reinterpret_cast<sockaddr*>(&peer), &length,
                        SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.valid()) {
      switch (const int code = errno; code) {
        case EAGAIN: return accepted::drained;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM: {
          report_pause(code);
          return accepted::out_of_descriptors;
        }
        case EINVAL:
        case EBADF: return accepted::ended;  // stopped meanwhile
        default: continue;                   // that connection's own trouble: it is gone
      }
    }
    if (options_.no_delay) set_no_delay(socket.get(), where_.front().family());
    const address from(reinterpret_cast<const sockaddr*>(&peer), length);
    stream_core* core = stream_core::open(std::move(socket), current_reactor(),
                                          watched_for::streaming, options_.limit, from);
    changed_.lock();
    const bool late = closed_;  // and who closed it may have closed its clients, too
    if (!late) {
      core->tell(shared_from_this());
      ++live_;
      core->next = first_;
      if (first_) first_->previous = core;
      first_ = core;
    }
    changed_.unlock();
    connection both = make_connection(core);
    if (late) {
      both.writer.abort();
      return accepted::ended;
    }
    task_options named;
    named.name = options_.name;
    create_task(run_connection(shared_from_this(), std::move(both)), named);
  }
  return accepted::more;
}

// Every listener runs into it at about the same time; it is told once.
void server_core::report_pause(int code) noexcept {
  const auto now = clock::now();
  changed_.lock();
  const bool told = now < paused_until_;
  if (!told) paused_until_ = now + pause_length;
  changed_.unlock();
  if (told) return;
  error_context what;
  what.message = "accepting pauses for a second";
  try {
    throw_system_error(code, "accept", where_.front().to_string());
  } catch (...) { what.error = std::current_exception(); }
  heddle::current_runtime().report(what);
}

void server_core::closed(stream_core& core) noexcept {
  work_list todo;
  changed_.lock();
  (core.previous ? core.previous->next : first_) = core.next;
  if (core.next) core.next->previous = core.previous;
  core.next = core.previous = nullptr;
  if (--live_ == 0 && closed_) wake_all_locked(todo);
  changed_.unlock();
  todo.settle();
}

void server_core::for_each_client(void (stream_core::*f)() noexcept) {
  // References first: ending one takes the lock, and may drop the last reference but ours.
  std::vector<stream_core*> all;
  const auto n = look().live;
  all.reserve(n + n / 4 + 16);
  changed_.lock();
  for (auto* c = first_; c && all.size() < all.capacity(); c = c->next) {
    c->ref();
    all.push_back(c);
  }
  changed_.unlock();
  for (auto* c : all) {
    (c->*f)();
    c->unref();
  }
}

std::vector<int> server_core::sockets() {
  std::vector<int> out;
  out.reserve(where_.size() * 256);
  changed_.lock();
  for (const auto& l : listeners_) out.push_back(l->descriptor());
  changed_.unlock();
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

namespace {

task<> run_forever(std::shared_ptr<server_core> s) {
  s->begin_forever();
  s->start();
  std::exception_ptr cut;
  try {
    co_await wait_for_server(s, false);
  } catch (...) { cut = std::current_exception(); }
  if (!cut) co_return;
  s->close();
  co_await wait_for_server(s, true);
  std::rethrow_exception(cut);
}

void check_options(const server_options& o) {
  if (o.backlog < 1) throw bad_value("a server's backlog must be at least 1");
  check_limit(o.limit);
}

}  // namespace

/// What a server holds: the core is shared with its tasks.
struct server_handle {
  std::shared_ptr<server_core> core;

  static server make(std::shared_ptr<server_core> core) {
    server s;
    s.core_.reset(new server_handle{std::move(core)});
    return s;
  }
};

}  // namespace detail

server::server() noexcept = default;
server::server(server&&) noexcept = default;

server& server::operator=(server&& other) noexcept {
  if (this != &other) {
    if (core_) core_->core->close();
    core_ = std::move(other.core_);
  }
  return *this;
}

server::~server() {
  if (core_) core_->core->close();
}

namespace {

detail::server_core& use(const detail::owned<detail::server_handle>& handle) {
  if (!handle) detail::throw_usage("this server is empty: it was moved from, or never started");
  return *handle->core;
}

}  // namespace

void server::start_serving() { use(core_).start(); }
bool server::is_serving() const noexcept { return core_ && core_->core->look().serving; }
task<> server::serve_forever() {
  (void)use(core_);
  return detail::run_forever(core_->core);
}
void server::close() { use(core_).close(); }
task<> server::wait_closed() {
  (void)use(core_);
  return detail::wait_for_server(core_->core, true);
}
void server::close_clients() { use(core_).for_each_client(&detail::stream_core::close); }
void server::abort_clients() { use(core_).for_each_client(&detail::stream_core::abort); }
std::vector<address> server::addresses() const { return use(core_).addresses(); }
std::uint16_t server::port() const {
  const auto at = addresses();
  return at.empty() ? 0 : at.front().port();
}
std::vector<int> server::sockets() const { return use(core_).sockets(); }
std::size_t server::connections() const noexcept { return core_ ? core_->core->look().live : 0; }

task<server> start_server_erased(detail::connection_handler handler, std::string host,
                                 port_number port, server_options options) {
  std::vector<std::string> one;
  one.push_back(std::move(host));
  return start_server_erased(std::move(handler), std::move(one), port, std::move(options));
}

task<server> start_server_erased(detail::connection_handler handler, std::vector<std::string> hosts,
                                 port_number port, server_options options) {
  detail::check_options(options);
  resolve_options how;
  how.passive = true;
  std::vector<address> at;
  for (auto& host : hosts) {
    if (host == "*") host.clear();
    const std::vector<address> some = co_await resolve(host, port, how);
    for (const auto& a : some)
      if (std::find(at.begin(), at.end(), a) == at.end()) at.push_back(a);
  }
  const bool at_once = options.start_serving;
  auto core = std::make_shared<detail::server_core>(std::move(handler), std::move(options));
  server s = detail::server_handle::make(core);
  core->bind(at, current_runtime().loop_count());
  if (at_once) core->start();
  co_return s;
}

task<server> start_unix_server_erased(detail::connection_handler handler, std::string path,
                                      server_options options) {
  detail::check_options(options);
  const std::vector<address> at(1, address::unix_path(path));
  const bool at_once = options.start_serving;
  detail::remove_stale_socket(path);
  auto core = std::make_shared<detail::server_core>(std::move(handler), std::move(options));
  server s = detail::server_handle::make(core);
  core->bind(at, 1);
  if (at_once) core->start();
  co_return s;
}

}  // namespace heddle
