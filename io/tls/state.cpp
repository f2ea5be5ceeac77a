// SPDX-License-Identifier: MIT
#include <heddle/io/tls/state.h>

#include <heddle/core/errors.h>
#include <heddle/io/files/file_threads.h>

#include <utility>

namespace heddle {
namespace detail {
namespace {

duration checked_limit(duration limit) {
  if (limit <= duration::zero()) throw bad_value("the limit of a TLS handshake must be positive");
  return limit;
}

}  // namespace

tls_state::tls_state(const tls_options& options)
    : is_server(false),
      limit(checked_limit(options.handshake_limit)),
      sessions(options.sessions),
      now_(tls_setup::for_client(options)) {}

tls_state::tls_state(tls_server_options options)
    : is_server(true),
      limit(0),
      sessions(0),
      keys_(new ticket_keys(options.ticket_keys, options.ticket_key_life, clock::now())),
      server_(std::move(options)) {
  now_ = tls_setup::for_server(server_, keys_);
}

counted_ptr<tls_setup> tls_state::setup() const {
  const std::lock_guard hold(lock_);
  return now_;
}

void tls_state::reload(std::string certificate, std::string key) {
  if (!is_server) throw_usage("reload of a client's TLS context");
  tls_server_options fresh;
  {
    const std::lock_guard hold(lock_);
    fresh = server_;
  }
  if (!certificate.empty() || !key.empty()) {
    fresh.certificate = std::move(certificate);
    fresh.key = std::move(key);
  }
  auto made = tls_setup::for_server(fresh, keys_);  // with no lock held: it reads files
  const std::lock_guard hold(lock_);
  std::swap(now_, made);
  std::swap(server_, fresh);
}

void tls_state::count(bool resumed) noexcept {
  handshakes_.fetch_add(1, relaxed);
  if (resumed) resumed_.fetch_add(1, relaxed);
}

tls_counts tls_state::counts() const noexcept {
  tls_counts c;
  c.resumed = resumed_.load(relaxed);
  c.handshakes = handshakes_.load(relaxed);
  c.failed = failed_.load(relaxed);
  return c;
}

counted_ptr<tls_setup> setup_of_server(const tls_context& context) {
  const tls_state* s = tls_access::of(context);
  return s && s->is_server ? s->setup() : counted_ptr<tls_setup>();
}

task<> have_authorities(counted_ptr<tls_setup> setup) {
  if (setup->has_authorities()) co_return;
  auto loading = on_file_thread([setup] { setup->load_system_ca(); });
  co_await std::move(loading);
}

}  // namespace detail

tls_context tls_context::client() { return client(tls_options()); }
tls_context tls_context::client(const tls_options& options) {
  return tls_context(new detail::tls_state(options));
}
tls_context tls_context::server(std::string certificate, std::string key) {
  tls_server_options o;
  o.certificate = std::move(certificate);
  o.key = std::move(key);
  return server(o);
}
tls_context tls_context::server(const tls_server_options& options) {
  return tls_context(new detail::tls_state(options));
}

void tls_context::reload() { reload(std::string(), std::string()); }
void tls_context::reload(std::string certificate, std::string key) {
  if (!state_) detail::throw_usage("reload of an empty TLS context");
  state_->reload(std::move(certificate), std::move(key));
}
tls_counts tls_context::counts() const noexcept { return state_ ? state_->counts() : tls_counts(); }
void tls_context::hold() const noexcept { state_->ref(); }
void tls_context::drop() noexcept { std::exchange(state_, nullptr)->unref(); }

}  // namespace heddle
