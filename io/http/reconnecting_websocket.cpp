// SPDX-License-Identifier: MIT
#include <heddle/io/http/reconnecting_websocket.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/websocket/masking.h>
#include <heddle/io/tls.h>
#include <heddle/sched/sleep.h>

#include <algorithm>
#include <utility>

namespace heddle::http {
namespace {

/// True: the same try would fail again in the same way.
bool is_final(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const handshake_error& e) {
    const int s = e.status();
    return s >= 400 && s < 500 && s != 408 && s != 425 && s != 429;
  } catch (const certificate_error&) { return true; } catch (const std::logic_error&) {
    return true;  // bad_value, usage_error
  } catch (const std::exception&) { return false; }
  return true;
}

}  // namespace

reconnecting_websocket::reconnecting_websocket(std::string address, ws_options options,
                                               reconnect_options waits)
    : reconnecting_websocket(
          [address = std::move(address), options = std::move(options)] {
            return connect_websocket(address, options);
          },
          waits) {}

reconnecting_websocket::reconnecting_websocket(std::function<task<websocket>()> connect,
                                               reconnect_options waits)
    : connect_(std::move(connect)), waits_(waits) {
  if (waits.first_wait.get() <= duration::zero() || waits.most_wait < waits.first_wait)
    throw bad_value("first_wait must be more than zero, and most_wait not less than it");
}

/// Half of it is chance.
duration reconnecting_websocket::wait_before_next() noexcept {
  const duration first = waits_.first_wait;
  const duration most = waits_.most_wait;
  wait_ = wait_ == duration::zero() ? first : wait_ > most / 2 ? most : wait_ * 2;
  std::uint32_t chance = 0;
  try {
    for (const auto byte : detail::fresh_mask()) chance = chance << 8U | byte;
  } catch (const std::exception&) {}  // then all of it is waited for
  return wait_ - wait_ / 2 / 0x10000 * (chance >> 16U);
}

task<websocket> reconnecting_websocket::next() {
  if (connections_ > 0 && last_failure_ == nullptr) {
    const bool lasted = clock::now() >= saturating_add(connected_at_, waits_.good_after);
    if (lasted) wait_ = duration::zero();
    if (!lasted) co_await sleep(wait_before_next());
  }
  for (;;) {
    std::exception_ptr failure;
    try {
      task<websocket> connecting = connect_();
      websocket ws = co_await connecting;
      ++connections_;
      failures_ = 0;
      last_failure_ = nullptr;
      connected_at_ = clock::now();
      co_return ws;
    } catch (const std::exception&) { failure = std::current_exception(); }
    ++failures_;
    last_failure_ = failure;
    if (is_final(failure)) std::rethrow_exception(failure);
    co_await sleep(wait_before_next());
  }
}

}  // namespace heddle::http
