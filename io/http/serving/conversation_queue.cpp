// SPDX-License-Identifier: MIT
// A request that has to wait for its turn, and one that gets none: server_options::max_requests.
#include <heddle/io/http/serving/app_scope.h>
#include <heddle/io/http/serving/conversation.h>

#include <utility>

namespace heddle::http::detail {

bool conversation::is_exempt() const noexcept {
  const auto* const to = x_->scope.target;
  return to != nullptr && to->always;
}

/// Meanwhile the watch looks whether the client is there. If it is gone, this task is cancelled,
/// whatever the method: no handler has begun.
task<next> conversation::queue() {
  watched_.work(true, clock::now());
  task<admission::permit> waiting = e_.admitted.wait();
  permit_ = co_await waiting;
  (void)watched_.back();
  if (c_.writer.is_closing()) {
    ending_ = ending::gone;
    co_return next::read;
  }
  co_return permit_ ? next::handler : shed();
}

/// The connection is kept: a client that comes back on a new one would cost more.
next conversation::shed() {
  auto& x = *x_;
  const auto& r = x.parser.message();
  const app_scope* const app = x.scope.target ? x.scope.app() : nullptr;
  x.answer = refusal(app, r, 503, "max_requests is reached");
  e_.add_retry_after(x.answer);
  e_.counted.count_refused();
  e_.counted.count_shed();
  if (e_.watching.is_stopping()) to_.keep_alive = false;
  return conclude();
}

}  // namespace heddle::http::detail
