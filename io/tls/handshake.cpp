// SPDX-License-Identifier: MIT
#include <heddle/io/tls/handshake.h>

#include <heddle/core/errors.h>
#include <heddle/io/stream.h>
#include <heddle/io/tls/engine.h>
#include <heddle/io/tls/state.h>
#include <heddle/io/transport/filter_place.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sync/semaphore.h>

#include <fmt/format.h>

#include <cerrno>
#include <memory>
#include <utility>

namespace heddle::detail {
namespace {

using namespace std::chrono_literals;

/// Problem   A step of a handshake signs or verifies: up to a millisecond. A thousand clients that
///           connect at once make a thousand such steps ready. A loop that runs 61 steps before it
///           looks at its timers and its reactor would not look for 60 ms.
/// Rejected  Threads for handshakes: the processors are as busy, and each step is handed over
///           twice.
/// Chosen    A gate: as many steps at one time as there are loops. A task waits at the gate after
///           its bytes have come. After a step that worked it sleeps for the shortest time there
///           is, with its permit: so the loop looks at timers and reactor before the next step.
class handshake_gate final : public service {
 public:
  static handshake_gate& here() {
    auto* runtime = this_runtime();
    if (!runtime) throw no_running_loop();
    return runtime->services.get<handshake_gate>(service_name::handshakes);
  }
  handshake_gate() : permits(current_runtime().loop_count()) {}
  void end() noexcept override {}

  semaphore permits;
};

class reading_role {
 public:
  explicit reading_role(stream_core& core) : core_(core) { core.begin_read(); }
  reading_role(const reading_role&) = delete;
  ~reading_role() { core_.end_read(); }

 private:
  stream_core& core_;
};

task<> one_step(stream_core& core, tls_engine& engine) {
  const auto permit = co_await handshake_gate::here().permits.scoped_acquire();
  while (!core.step_filter()) co_await yield_now();
  if (engine.has_worked()) co_await sleep(1ns);
}

task<> shake_hands(stream_core& core, tls_engine& engine) {
  while (!engine.ready()) {
    fill_wait more(core, false);
    const bool goes_on = co_await more;
    if (!goes_on)  // closed by us
      throw_system_error(ECONNABORTED, "TLS handshake", core.peer().to_string());
    task<> step = one_step(core, engine);
    co_await step;
  }
  core.release_filter_hold();
}

std::string partners(const tls_ends& ends) {
  return (ends.host.empty() ? "" : ends.host + " at ") + ends.peer;
}

task<> run_handshake(stream_core& core, tls_context context, tls_ends ends, duration limit,
                     tls_extras extras) {
  const reading_role role(core);
  const std::string with = partners(ends);
  const bool lingers = ends.is_server;
  auto made = std::make_unique<tls_engine>(context, std::move(ends), core.peer().port(), extras);
  tls_engine& engine = *made;
  tls_state& state = *tls_access::of(context);
  auto place = core.make_filter_place(std::move(made));
  // If it throws, the stream is as it was.
  while (!core.set_held_filter(place, lingers)) co_await yield_now();

  std::exception_ptr error;
  bool late = false;
  try {
    const auto body = [&core, &engine] { return shake_hands(core, engine); };
    task<> work = timeout(limit, body);
    co_await work;
  } catch (const timeout_error&) { late = true; } catch (...) {
    error = std::current_exception();
  }
  if (!late && !error) {
    state.count(engine.resumed());
    co_return;
  }
  state.count_failure();
  if (late || is_cancellation(error))
    core.abort();
  else if (!lingers)
    core.close();
  if (error) std::rethrow_exception(error);
  throw timeout_error(
      fmt::format("the TLS handshake with {} took longer than its limit "
                  "(handshake_limit) of {:g} s",
                  with, std::chrono::duration<double>(limit).count()));
}

}  // namespace

void check_handshake_limit(duration limit) {
  if (limit <= duration::zero()) throw bad_value("the limit of a TLS handshake must be positive");
}

void check_server_context(const tls_context& context) {
  if (!setup_of_server(context)) throw_usage("a client's TLS context cannot be a server's");
}

std::string checked_server_name(const tls_context& context, const std::string& server_name,
                                const std::string& host) {
  const tls_state* state = tls_access::of(context);
  if (!state) throw_usage("an empty TLS context");
  if (state->is_server) throw_usage("a server's TLS context cannot be a client's");
  std::string name = server_name.empty() ? host : server_name;
  if (!numeric_address(name).empty()) return name;
  if (name.ends_with('.')) name.pop_back();
  if (name.empty()) {
    if (state->setup()->verify == tls_verify::full)
      throw bad_value("TLS needs the server's name (server_name) to check its certificate");
    return name;
  }
  if (name.size() > 253) throw bad_value("a server's name is longer than 253 bytes");
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80)
      throw bad_value("the server's name \"" + name +
                      "\" is not ASCII: write international names in their form \"xn--...\"");
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '-' && c != '.' && c != '_')
      throw bad_value("the server's name \"" + name + "\" cannot be a host name");
  }
  if (name.starts_with('.') || name.find("..") != std::string::npos)
    throw bad_value("the server's name \"" + name + "\" has an empty label");
  return name;
}

task<> connect_tls(stream_core& core, tls_context context, std::string name, tls_extras with) {
  const tls_state& state = *tls_access::of(context);
  task<> authorities = have_authorities(state.setup());
  co_await authorities;
  tls_ends ends{false, std::move(name), core.peer().to_string()};
  task<> work = run_handshake(core, context, std::move(ends), state.limit, std::move(with));
  co_await work;
}

task<> accept_tls(stream_core& core, tls_context context, duration limit) {
  tls_ends ends{true, {}, core.peer().to_string()};
  task<> work = run_handshake(core, std::move(context), std::move(ends), limit, tls_extras());
  co_await work;
}

namespace {

task<> drop_all(stream_core& core) {
  for (bool more = true; more;) {
    fill_wait next(core, false);
    more = co_await next;
  }
}

}  // namespace

task<> linger_after_failure(stream_core& core) {
  struct aborter {
    stream_core* core;
    ~aborter() {
      if (core) core->abort();
    }
  } at_end{&core};
  // The peer went before the handshake began.
  if (!core.current_filter()) co_return;
  const reading_role role(core);
  core.drop_input();
  try {
    const auto body = [&core] { return drop_all(core); };
    task<> work = timeout(failed_handshake_lingers, body);
    co_await work;
  } catch (const timeout_error&) {
    co_return;  // aborted
  } catch (const std::exception&) {
    // The peer's end: the stream tells of its failure once more.
  }
  at_end.core = nullptr;
  core.close();
}

namespace {

task<> end_both_ways(stream_core& core, const tls_engine& engine) {
  core.end_filter();
  while (engine.seals()) {
    if (core.input().size() > core.limit())
      throw limit_overrun_error(
          "unwrap: the peer sends more than the reader's limit before its end",
          core.input().size());
    fill_wait next(core, false);
    const bool goes_on = co_await next;
    if (!goes_on)  // closed by us
      throw_system_error(ECONNABORTED, "unwrap", core.peer().to_string());
  }
}

}  // namespace

task<> end_tls(stream_core& core, duration limit) {
  const auto* engine = dynamic_cast<tls_engine*>(core.current_filter());
  if (!engine || !engine->ready() || !engine->seals())
    throw_usage("unwrap of a connection without TLS");
  if (engine->is_inside()) throw_usage("unwrap of TLS inside of TLS");
  const reading_role role(core);
  const std::string with = partners(engine->ends());
  struct aborter {
    stream_core* core;
    ~aborter() {
      if (core) core->abort();
    }
  } at_end{&core};
  bool late = false;
  try {
    const auto body = [&core, engine] { return end_both_ways(core, *engine); };
    task<> work = timeout(limit, body);
    co_await work;
  } catch (const timeout_error&) { late = true; }
  if (late)
    throw timeout_error(fmt::format("unwrap: {} has not ended its TLS within {:g} s", with,
                                    std::chrono::duration<double>(limit).count()));
  at_end.core = nullptr;
}

}  // namespace heddle::detail
