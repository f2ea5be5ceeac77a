// SPDX-License-Identifier: MIT
// The tasks of a server's connections: what comes before the handler, and what becomes of errors.
#include <heddle/io/servers/proxy_header.h>
#include <heddle/io/servers/server_core.h>

#include <heddle/core/errors.h>
#include <heddle/io/streams/stream_access.h>
#include <heddle/io/tls/handshake.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>

#include <cerrno>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace heddle::detail {
namespace {

/// True: the calling task was cancelled. False: its cancelled_error comes from another task that it
/// awaited.
bool cancelled_itself() noexcept {
  const any_task self = current_task();
  return !self.valid() || self.cancelling() != 0;
}

void report_of_connection(std::string message, const std::exception_ptr& error) {
  error_context what;
  what.message = std::move(message);
  what.error = error;
  what.task = current_task().get_name();
  heddle::current_runtime().report(what);
}

/// What a report says of those that were not reported: "" for none.
std::string others(std::uint64_t untold) {
  if (untold == 0) return {};
  return ", and " + std::to_string(untold) + " others failed since the last such report";
}

/// True: `error` says that this end has closed the connection.
bool is_ours(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& e) {
    return e.code() == std::error_code(ECONNABORTED, std::generic_category());
  } catch (...) { return false; }
}

/// False: `work` failed, and that was reported, or counted for the next report.
task<bool> goes_well(server_core& s, task<> work, const char* complaint) {
  std::exception_ptr error;
  try {
    co_await work;
    co_return true;
  } catch (const fatal_error&) { throw; } catch (const cancelled_error&) {
    throw;
  } catch (...) { error = std::current_exception(); }
  if (is_ours(error)) co_return false;
  if (const auto untold = s.may_report_failure())
    report_of_connection(complaint + others(*untold), error);
  co_return false;
}

/// Tells the keeper of limits if its task goes before the task's end.
class limit_task {
 public:
  explicit limit_task(std::shared_ptr<server_core> s) noexcept : server_(std::move(s)) {}
  limit_task(limit_task&&) noexcept = default;
  limit_task& operator=(limit_task&&) = delete;
  ~limit_task() {
    if (server_) server_->limits().task_is_gone();
  }
  [[nodiscard]] server_core& of() const noexcept { return *server_; }
  void is_done() noexcept { server_.reset(); }

 private:
  std::shared_ptr<server_core> server_;
};

task<> keep_limits(limit_task self) {
  task<> keeping = self.of().limits().run();
  co_await keeping;
  self.is_done();
}

}  // namespace

task<bool> server_core::receive_guest(connection& c, guest* g) {
  auto& core = stream_access::of(c);
  if (options_.proxy_header) {
    task<bool> header = goes_well(*this, take_proxy_header(core, options_), "bad PROXY header");
    const bool good = co_await header;
    if (!good) {
      count_dropped();
      core.abort();
      co_return false;
    }
  }
  if (options_.tls) {
    task<> work = accept_tls(core, options_.tls, options_.handshake_limit);
    task<bool> handshake = goes_well(*this, std::move(work), "TLS handshake failed");
    const bool good = co_await handshake;
    if (!good) {
      count_dropped();
      task<> lingering = linger_after_failure(core);
      co_await lingering;
      co_return false;
    }
  }
  if (g && limits_.has_any()) put_under_limits(core, *g);
  co_return true;
}

std::optional<std::uint64_t> server_core::may_report_failure() noexcept {
  if (options_.report_every.count() == 0) return 0;
  const auto now = clock::now();
  std::optional<std::uint64_t> untold;
  changed_.lock();
  if (now >= failure_told_until_) {
    failure_told_until_ = saturating_add(now, options_.report_every.get());
    untold = std::exchange(failures_untold_, 0);
  } else {
    ++failures_untold_;
  }
  changed_.unlock();
  return untold;
}

void server_core::put_under_limits(stream_core& core, guest& g) {
  const stream_traffic seen = core.look_at_traffic();
  const bool byte_came = !core.quiet();
  if (!limits_.watch(g, seen, byte_came)) return;
  limit_task self(shared_from_this());
  create_task(keep_limits(std::move(self)));
}

task<> run_connection(std::shared_ptr<server_core> s, connection c, handler_ticket ticket) {
  const server_core::running_handler here(*s);
  std::exception_ptr error;
  try {
    if (s->receives_guests()) {
      task<bool> receiving = s->receive_guest(c, ticket.whose());
      const bool good = co_await receiving;
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

}  // namespace heddle::detail
