// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/ares/name_engine.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/resolving/ares/outcome.h>

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <new>
#include <span>
#include <utility>

namespace heddle::detail {
namespace {

using namespace std::chrono_literals;

const ares_resolver_options& checked_options(const ares_resolver_options& o) {
  for (const auto& s : o.servers)
    if (!s.is_ip()) throw bad_value("ares_resolver: a server that is no IPv4 or IPv6 address");
  if (o.timeout < any_duration(1ms) || o.timeout > any_duration(1h))
    throw bad_value("ares_resolver: the timeout must be from 1 ms to 1 hour");
  (void)checked<unsigned>(o.tries, "ares_resolver: tries", 1, 10);
  (void)checked<std::size_t>(o.at_once, "ares_resolver: at_once", 1, 10'000);
  return o;
}

std::vector<std::string> files_of(const ares_resolver_options& o) {
  if (!o.servers.empty()) return {o.hosts_file};
  return {o.resolv_conf, o.nsswitch_conf, o.hosts_file};
}

/// While it lives a thread that is started takes no signals: they are the program's.
class signals_blocked {
 public:
  signals_blocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  signals_blocked(const signals_blocked&) = delete;
  ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

/// Names that c-ares would answer in another way than getaddrinfo.
bool is_local(const std::string& name) {
  std::string n = folded(name);
  if (n.ends_with('.')) n.pop_back();
  return n.find('.') == std::string::npos || n.ends_with(".local");
}

bool is_loopback(const std::string& name) {
  std::string n = folded(name);
  if (n.ends_with('.')) n.pop_back();
  return n == "localhost" || n.ends_with(".localhost");
}

/// The task may have gone, or go meanwhile.
void give(name_job& j, name_outcome o) { (void)j.given.try_set_value(std::move(o)); }

}  // namespace

name_engine::name_engine(const ares_resolver_options& options)
    : options_(checked_options(options)),
      files_(files_of(options)),
      kept_(options.cache_for, options.negative_for, options.cache_most),
      bell_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
  const signals_blocked hold;
  thread_ = std::thread([this] { run(); });
}

name_engine::~name_engine() {
  {
    const std::lock_guard hold(lock_);
    stop_ = true;
  }
  wake();
  thread_.join();
}

void name_engine::wake() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(bell_.get(), &one, sizeof one);  // a full counter has woken the thread already
}

bool name_engine::find_kept(const name_query& q, name_answer& out) {
  return kept_.find(q, files_.version(), out);
}

void name_engine::begin(const std::shared_ptr<name_job>& j) {
  {
    const std::lock_guard hold(lock_);
    new_.push_back(j);
  }
  wake();
}

void name_engine::give_up(const name_job& j) noexcept {
  if (j.answered.done() && !j.answered.cancelled()) return;
  {
    const std::lock_guard hold(lock_);
    given_up_ = true;
  }
  wake();
}

// The thread's part.

void name_engine::run() noexcept {
  for (;;) {
    try {
      while (turn()) {}
      break;
    } catch (...) { fail_all(std::current_exception()); }
  }
  fail_all(std::make_exception_ptr(bad_value("an ares_resolver that has ended")));
}

bool name_engine::turn() {
  if (!take_new()) return false;
  end_finished();
  follow_files();
  start_waiting();
  end_finished();
  drop_if_none_waits();
  if (waiting_.empty() || under_way_.size() >= options_.at_once) wait();
  return true;
}

bool name_engine::take_new() {
  const std::lock_guard hold(lock_);
  waiting_.insert(waiting_.end(), new_.begin(), new_.end());
  new_.clear();
  look_for_dropped_ = look_for_dropped_ || std::exchange(given_up_, false);
  return !stop_;
}

void name_engine::follow_files() {
  if (waiting_.empty() && under_way_.empty()) return;
  const std::uint64_t now = files_.version();
  if (channel_ && version_ == now) return;
  if (channel_) {  // look-ups under way begin anew on the new one
    for (const auto& [key, j] : under_way_) waiting_.push_front(j);
    drop_under_way();
    channel_.reset();
  }
  version_ = now;
  hosts_.read(options_.hosts_file);
  system_ = options_.servers.empty() && needs_the_system(options_.nsswitch_conf);
  channel_.emplace(options_);
}

void name_engine::start_waiting() {
  while (!waiting_.empty() && under_way_.size() < options_.at_once) {
    const auto j = waiting_.front();
    if (!j->given.done()) start(j);
    waiting_.pop_front();
  }
}

void name_engine::start(const std::shared_ptr<name_job>& j) {
  if (answer_here(*j)) return;
  under_way_.emplace(j.get(), j);
  j->home = this;
  j->asked = 0;
  for (const int family : {AF_INET6, AF_INET}) {
    if (j->query.family != 0 && j->query.family != family) continue;
    j->parts[j->asked++] = {j.get(), family, {}};
  }
  // c-ares may call back at once.
  j->left = j->asked;
  for (unsigned i = 0; i < j->asked; ++i)
    channel_->ask(j->query.host, j->parts[i].family, &note_reply, &j->parts[i]);
}

bool name_engine::answer_here(name_job& j) {
  name_outcome o;
  o.system = system_ || (options_.servers.empty() && is_local(j.query.host));
  if (o.system) {
    give(j, std::move(o));
    return true;
  }
  if (!hosts_.find(j.query.host, j.query.family, o.answer)) {
    if (!is_loopback(j.query.host)) return false;
    // RFC 6761: no server is asked for these.
    for (const char* host : {"::1", "127.0.0.1"}) {
      const address at = address::ip(host, 0);
      if (j.query.family == 0 || j.query.family == at.family()) o.answer.addresses.push_back(at);
    }
  }
  give(j, std::move(o));
  return true;
}

void name_engine::note_reply(void* part, int status, int, unsigned char* message,
                             int length) noexcept {
  auto& p = *static_cast<name_job::family_part*>(part);
  try {
    const std::size_t size = message && length > 0 ? static_cast<std::size_t>(length) : 0;
    p.reply = read_reply(status, p.family, std::span<const unsigned char>(message, size));
  } catch (...) {
    p.reply = {};
    p.reply.status = ARES_ENOMEM;
  }
  name_job& j = *p.job;
  if (--j.left != 0) return;
  j.next_finished = j.home->finished_;
  j.home->finished_ = &j;
}

void name_engine::end_finished() {
  while (finished_) {
    const auto at = under_way_.find(finished_);
    finished_ = finished_->next_finished;
    const auto j = at->second;
    under_way_.erase(at);
    try {
      finish(*j);
    } catch (...) { (void)j->given.state().fail(std::current_exception()); }
  }
}

void name_engine::finish(name_job& j) {
  name_outcome o;
  const std::span<name_job::family_part> parts(j.parts.data(), j.asked);
  name_failure failure;
  if (joined_answer(parts[0].reply, parts.size() > 1 ? &parts[1].reply : nullptr, j.query.host,
                    o.answer, failure)) {
    kept_.keep(j.query, version_, o.answer);
    give(j, std::move(o));
    return;
  }
  kept_.keep(j.query, version_, failure);
  failure.raise();
}

void name_engine::drop_if_none_waits() {
  if (!look_for_dropped_) return;
  for (const auto& [key, j] : under_way_)
    if (!j->given.done()) return;  // it is looked at again in the next turn
  look_for_dropped_ = false;
  if (!under_way_.empty()) drop_under_way();
}

// c-ares calls back for each query that it cancels, so the jobs live until then.
void name_engine::drop_under_way() noexcept {
  if (channel_) channel_->cancel_all();
  under_way_.clear();
  finished_ = nullptr;
}

void name_engine::wait() {
  polled_.clear();
  int limit = -1;
  if (!under_way_.empty()) {
    channel_->append_to(polled_);
    const auto d = channel_->next_timeout(followed_files::look_every);
    limit = narrow<int>(d.count() / 1'000'000 + 1);
  }
  polled_.push_back({bell_.get(), POLLIN, 0});
  (void)::poll(polled_.data(), polled_.size(), limit);  // EINTR: there are no signals
  const bool rung = polled_.back().revents != 0;
  polled_.pop_back();
  std::uint64_t count = 0;
  if (rung) (void)!::read(bell_.get(), &count, sizeof count);
  if (!under_way_.empty()) channel_->process(polled_);
}

void name_engine::fail_all(const std::exception_ptr& error) noexcept {
  for (const auto& [key, j] : under_way_) (void)j->given.state().fail(error);
  for (const auto& j : waiting_) (void)j->given.state().fail(error);
  drop_under_way();
  waiting_.clear();
  channel_.reset();
}

}  // namespace heddle::detail
