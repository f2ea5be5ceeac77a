// SPDX-License-Identifier: MIT
// The functions of stream_writer that turn a connection to TLS and back, and tell of it.
#include <heddle/io/tls.h>

#include <heddle/core/errors.h>
#include <heddle/io/stream.h>
#include <heddle/io/streams/stream_access.h>
#include <heddle/io/tls/end_output.h>
#include <heddle/io/tls/engine.h>
#include <heddle/io/tls/handshake.h>

#include <utility>

namespace heddle {

namespace detail {
namespace {

task<> start(stream_ref ref, tls_context context, std::string server_name) {
  auto& core = ref.use();
  const tls_state* state = tls_access::of(context);
  if (!state) throw_usage("start_tls with an empty context");
  if (!state->is_server) {
    std::string name = checked_server_name(context, server_name, std::string());
    task<> work = connect_tls(core, std::move(context), std::move(name));
    co_await work;
    co_return;
  }
  if (!server_name.empty()) throw_usage("start_tls of a server asks for no server_name");
  std::exception_ptr error;
  try {
    task<> work = accept_tls(core, std::move(context), default_handshake_limit);
    co_await work;
    co_return;
  } catch (const tls_error&) { error = std::current_exception(); }
  task<> lingering = linger_after_failure(core);
  co_await lingering;
  std::rethrow_exception(error);
}

task<> stop(stream_ref ref) {
  task<> work = end_tls(ref.use(), default_handshake_limit);
  co_await work;
}

stream_ref another(stream_core& core) {
  core.ref();
  return stream_ref(&core);
}

}  // namespace

void end_output(stream_writer& writer) {
  auto* engine = dynamic_cast<tls_engine*>(stream_access::of(writer).current_filter());
  if (engine) engine->let_end();
  writer.write_eof();
}

bool has_unsent_data(stream_writer& writer) { return stream_access::of(writer).has_unsent_data(); }

}  // namespace detail

task<> stream_writer::start_tls(tls_context context, std::string server_name) {
  return detail::start(detail::another(core_.use()), std::move(context), std::move(server_name));
}

task<> stream_writer::unwrap() { return detail::stop(detail::another(core_.use())); }

tls_info stream_writer::tls() const {
  const auto* engine = dynamic_cast<detail::tls_engine*>(core_.use().current_filter());
  return engine && engine->seals() ? engine->info() : tls_info();
}

}  // namespace heddle
