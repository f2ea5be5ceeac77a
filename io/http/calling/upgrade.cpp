// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/upgrade.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/perform.h>
#include <heddle/io/http/websocket/core.h>
#include <heddle/io/http/websocket/handshake.h>
#include <heddle/io/http/websocket/websocket_access.h>

#include <utility>

namespace heddle::http::detail {

call finish_upgrade(draft d, ws_options& o) {
  if (d.has_body) throw usage_error("a WebSocket is opened by a request without a body");
  o.protocols.insert(o.protocols.end(), d.protocols.begin(), d.protocols.end());
  check_options(o);
  // All fields at once: those of the handshake may come from nowhere else.
  ws_options all = o;
  all.headers = d.request.fields;
  for (const auto f : o.headers) all.headers.add(f.name, f.value);
  d.request.fields = opening_fields(all, fresh_key());
  d.request.total = o.open_timeout;
  auto& more = d.request.more();
  more.upgrades = true;
  more.expect_continue = false;
  if (!more.tls) more.tls = o.tls;
  if (!d.redirects) d.redirects = o.redirects;
  return finish(std::move(d), method::get);
}

task<websocket> open_websocket(call c, std::shared_ptr<const ws_options> o) {
  auto opening = run_opening(std::move(c));
  opened_line got = co_await opening;
  ws_agreed with;
  try {
    with = judge_answer(got.answer, *o, got.key);
  } catch (http_error& e) {
    e.about(got.url, sent_part::all);
    throw;
  }
  ws_ref core(new ws_core(ws_side::client, o));
  core->begin(std::move(got.over), std::move(with));
  co_return websocket_access::make(std::move(core));
}

}  // namespace heddle::http::detail
