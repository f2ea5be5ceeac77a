// SPDX-License-Identifier: MIT
// A server's handshake, and how a handler's end ends its WebSocket.
#include <heddle/core/errors.h>
#include <heddle/io/http/serving/engine.h>
#include <heddle/io/http/serving/seat.h>
#include <heddle/io/http/websocket.h>
#include <heddle/io/http/websocket/websocket_access.h>

#include <memory>
#include <utility>

namespace heddle::http {
namespace detail {
namespace {

struct ws_route {
  websocket_handler handler;
  std::shared_ptr<const ws_options> options;
};

/// A request for a WebSocket, until its handler has ended.
class upgrade final : public ws_offer, public leaver {
 public:
  upgrade(const request& r, seat& from, const ws_options& options)
      : request_(r), from_(from), with_(agree(r, options, extensions_)) {}
  upgrade(const upgrade&) = delete;
  ~upgrade() {
    if (core_) leaving_->remove(*this);
  }

  void accept(ws_core& core, const headers& extra) override {
    const auto head = switching_head(request_, with_, extensions_, extra);
    if (from_.client_is_gone())
      throw connection_lost("the client went before its WebSocket opened");
    leaving_ = &from_.leaving();
    auto c = from_.take_over();
    c.writer.write(head);
    core.begin(std::move(c), with_);
    core_ = core.self();
    if (!leaving_->add(*this)) server_stops();
  }
  void server_stops() noexcept override { core_->begin_close(ws_code::going_away, {}); }

 private:
  const request& request_;
  seat& from_;
  std::string extensions_;
  ws_agreed with_;
  departures* leaving_ = nullptr;
  ws_ref core_;
};

bool is_lost(const std::exception_ptr& failure) noexcept {
  if (!failure) return false;
  try {
    std::rethrow_exception(failure);
  } catch (const connection_lost&) { return true; } catch (...) {
  }
  return false;
}

/// What a handler that has ended so closes with.
int code_after(const std::exception_ptr& failure) noexcept {
  if (!failure) return ws_code::normal;
  return is_cancellation(failure) ? ws_code::going_away : ws_code::failed;
}

/// Waits until the WebSocket has ended. A cancellation drops it.
task<> wait_or_drop(ws_ref core) {
  try {
    task<> ended = ws_core::wait_ended(core);
    co_await ended;
  } catch (const cancelled_error&) {
    core->abort();
    throw;
  }
}

task<response> serve(std::shared_ptr<const ws_route> route, request& r) {
  auto* const from = r.seat.get();
  if (from == nullptr)
    heddle::detail::throw_usage("a WebSocket's handler is called by a server's connection only");
  if (auto no = refusal_of(r, *route->options)) co_return std::move(*no);
  upgrade offer(r, *from, *route->options);
  ws_ref core(new ws_core(route->options, offer));
  std::exception_ptr failure;
  bool was_open = false;
  {
    websocket ws = websocket_access::make(core);
    try {
      task<> work = route->handler(ws, r);
      co_await work;
      core->accept(headers());
    } catch (...) { failure = std::current_exception(); }
    was_open = core->stage() == ws_stage::open;
    core->begin_close(code_after(failure), {});
  }
  const bool gone = is_lost(failure);
  if (core->is_offered()) {
    core->withdraw();
    if (!gone || !from->client_is_gone()) std::rethrow_exception(failure);
    connection ended = from->take_over();
    ended.writer.abort();
    co_return response();
  }
  task<> ending = wait_or_drop(std::move(core));
  co_await ending;
  // That the client is gone is no error of the server's.
  if (failure && (was_open || !gone)) std::rethrow_exception(failure);
  co_return response();  // of a connection that is not there any more
}

}  // namespace
}  // namespace detail

handler websocket_route(websocket_handler h, ws_options options) {
  detail::check_options(options);
  auto route = std::make_shared<const detail::ws_route>(
      detail::ws_route{std::move(h), std::make_shared<const ws_options>(std::move(options))});
  return [route = std::move(route)](request& r) { return detail::serve(route, r); };
}

}  // namespace heddle::http
