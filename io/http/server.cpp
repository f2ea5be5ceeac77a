// SPDX-License-Identifier: MIT
#include <heddle/io/http/server.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/serving/application.h>
#include <heddle/io/http/serving/engine.h>
#include <heddle/io/http/serving/listening.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/shield.h>

#include <exception>
#include <memory>
#include <utility>

namespace heddle::http {

namespace detail {
/// What a server holds: the engine is shared with its connections.
struct engine_handle {
  std::shared_ptr<engine> shared;
  router root;
};
}  // namespace detail

server::server(server_options options) : server(http::router(), std::move(options)) {}

server::server(http::router root, server_options options)
    : engine_(
          new detail::engine_handle{detail::engine::make(std::move(options)), std::move(root)}) {}

http::router server::root() const { return engine_->root; }

detail::engine& server::at() const noexcept { return *engine_->shared; }

server::server(server&&) noexcept = default;

server& server::operator=(server&& other) noexcept {
  if (this != &other) {
    if (engine_) close_all();
    engine_ = std::move(other.engine_);
  }
  return *this;
}

server::~server() {
  if (engine_) close_all();
}

void server::close_all() noexcept {
  for (auto& l : at().listeners) l.close();
}

task<> server::start(std::string host, port_number port) {
  std::vector<site> one{site::tcp(std::move(host), port)};
  one.front().tls(at().options.tls);
  return start(std::move(one));
}

task<> server::start(std::vector<site> sites) {
  auto& e = at();
  if (e.started) heddle::detail::throw_usage("this server was started already");
  detail::make_application(detail::router_access::plan(engine_->root), e.routes, e.app);
  task<> entering = detail::enter(e.app);
  co_await entering;
  std::exception_ptr failure;
  try {
    task<> listening = detail::start_listening(e, std::move(sites));
    co_await listening;
  } catch (...) { failure = std::current_exception(); }
  if (!failure) co_return;
  task<> leaving = detail::leave(e.app);
  try {
    co_await leaving;
  } catch (const std::exception&) {  // the first failure says more
  }
  std::rethrow_exception(failure);
}

task<> server::serve_forever(any_duration grace) {
  if (at().listeners.empty()) heddle::detail::throw_usage("serve_forever() comes behind start()");
  // In a task of its own, so that a cancellation ends the server by stop(). The listener itself
  // would wait for its connections as long as they stay.
  auto listening =
      create_task(at().listeners.front().serve_forever(), {.name = "serve_forever", .eager = true});
  std::exception_ptr ended;
  try {
    auto waiting = shield(listening);
    co_await std::move(waiting);
  } catch (...) { ended = std::current_exception(); }
  if (listening.done()) std::rethrow_exception(ended);
  task<> stopping = stop(grace);
  co_await stopping;
  try {
    co_await listening;
  } catch (const cancelled_error&) {}  // NOLINT(bugprone-empty-catch): as it ends always
  std::rethrow_exception(ended);
}

task<> server::start(site at) {
  std::vector<site> one;
  one.push_back(std::move(at));
  return start(std::move(one));
}

void server::hand_over() {
  for (auto& l : at().listeners) l.hand_over();
}

std::vector<int> server::sockets() const {
  std::vector<int> all;
  for (const auto& l : at().listeners)
    for (const int one : l.sockets()) all.push_back(one);
  return all;
}

void server::end_grace() { detail::hurry(at()); }

task<> server::stop(any_duration grace) {
  task<> closing = detail::stop_listening(at(), grace);
  co_await closing;
  task<> leaving = detail::leave(at().app);
  co_await leaving;
}

bool server::is_serving() const noexcept {
  const auto& all = at().listeners;
  return !all.empty() && all.front().is_serving();
}

std::uint16_t server::port() const {
  const auto& all = at().listeners;
  return all.empty() ? std::uint16_t{0} : all.front().port();
}

std::vector<address> server::addresses() const {
  std::vector<address> all;
  for (const auto& l : at().listeners)
    for (const auto& a : l.addresses()) all.push_back(a);
  return all;
}

server_stats server::stats() const { return at().stats(); }

}  // namespace heddle::http
