// SPDX-License-Identifier: MIT
#include <heddle/io/http/run_app.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/server.h>
#include <heddle/io/signal_set.h>
#include <heddle/sched/create_task.h>

#include <csignal>
#include <exception>
#include <utility>

namespace heddle::http {
namespace {

/// Ends the grace at the next signal.
task<> hurry_at_signal(signal_set& signals, server& s) {
  task<int> waiting = signals.wait();
  (void)co_await waiting;
  s.end_grace();
}

task<> stop_gently(signal_set& signals, server& s, duration grace) {
  auto hurrying = create_task(hurry_at_signal(signals, s));
  std::exception_ptr failure;
  try {
    task<> stopping = s.stop(grace);
    co_await stopping;
  } catch (...) { failure = std::current_exception(); }
  hurrying.cancel();
  try {
    co_await hurrying;
  } catch (const cancelled_error&) {  // as it was told
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

task<int> run_app(router app, site at) {
  run_options o;
  o.listen = {std::move(at)};
  return run_app(std::move(app), std::move(o));
}

task<int> run_app(router app, run_options options) {
  signal_set signals{SIGTERM, SIGINT};
  server s(std::move(app), std::move(options.server));
  task<> starting = s.start(std::move(options.listen));
  co_await starting;
  std::exception_ptr failure;
  try {
    if (options.on_started) options.on_started(s);
    task<int> waiting = signals.wait();
    (void)co_await waiting;
  } catch (...) { failure = std::current_exception(); }
  task<> stopping = stop_gently(signals, s, options.grace.get());
  co_await stopping;
  if (failure) std::rethrow_exception(failure);
  co_return 0;
}

}  // namespace heddle::http
