// SPDX-License-Identifier: MIT
#include <heddle/io/http/websocket.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/websocket/core.h>

#include <utility>

namespace heddle::http {

using detail::ws_core;
using detail::ws_ref;

// --- prepared ---

prepared::prepared(const ws_message& m, bool compress)
    : shared_(detail::prepare_message(m.kind, m.data, compress)) {}

// --- ws_incoming ---

ws_incoming::ws_incoming(ws_ref core, ws_kind kind) noexcept
    : core_(std::move(core)), kind_(kind) {}
ws_incoming::ws_incoming(ws_incoming&& other) noexcept = default;

ws_incoming& ws_incoming::operator=(ws_incoming&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(kind_, other.kind_);
  return *this;
}

ws_incoming::~ws_incoming() {
  if (core_) core_->drop_receiver(true);
}

task<std::optional<std::string>> ws_incoming::next_chunk() {
  if (!core_) heddle::detail::throw_usage("next_chunk() of a message that was moved from");
  return ws_core::next_run(core_);
}

// --- websocket ---

websocket::websocket(ws_ref core) noexcept : core_(std::move(core)) {}
websocket::websocket() noexcept = default;
websocket::websocket(websocket&&) noexcept = default;

websocket::websocket(connection over, ws_side side, ws_options options) {
  detail::check_options(options);
  detail::ws_agreed with;
  if (options.deflate) {
    with.deflate.emplace();
    with.deflate->own_window = with.deflate->their_window = options.deflate->window;
    with.deflate->own_takeover = with.deflate->their_takeover = options.deflate->takeover;
  }
  core_ = ws_ref(new ws_core(side, std::make_shared<const ws_options>(std::move(options))));
  core_->begin(std::move(over), std::move(with));
}

websocket& websocket::operator=(websocket&& other) noexcept {
  if (this != &other) {
    websocket old(std::move(*this));  // its destructor closes the former connection
    core_ = std::move(other.core_);
  }
  return *this;
}

websocket::~websocket() {
  if (core_) core_->begin_close(detail::ws_code::going_away, {});
}

ws_core& websocket::use() const {
  if (!core_) [[unlikely]]
    heddle::detail::throw_usage("this websocket is empty");
  return *core_;
}

void websocket::accept(const headers& fields) { use().accept(fields); }

namespace {

task<std::optional<std::string>> receive_kind(ws_ref core, ws_kind kind) {
  task<std::optional<ws_message>> next = ws_core::receive(std::move(core));
  std::optional<ws_message> m = co_await next;
  if (!m) co_return std::nullopt;
  if (m->kind != kind)
    throw protocol_error(kind == ws_kind::text ? "a binary message came instead of a text"
                                               : "a text came instead of a binary message");
  std::optional<std::string> data(std::move(m->data));
  co_return data;
}

}  // namespace

task<std::optional<ws_incoming>> websocket::receive_pieces(ws_ref core) {
  struct role {
    explicit role(ws_core& c) : core(&c) { c.take_receiver(); }
    role(const role&) = delete;
    ~role() {
      if (core != nullptr) core->drop_receiver(false);
    }
    ws_core* core;
  } mine(*core);
  task<std::optional<ws_kind>> next = ws_core::next_begins(core);
  const std::optional<ws_kind> kind = co_await next;
  if (!kind) co_return std::nullopt;
  mine.core = nullptr;  // the role goes with the message
  std::optional<ws_incoming> begun(ws_incoming(std::move(core), *kind));
  co_return begun;
}

task<std::optional<ws_message>> websocket::receive() {
  (void)use();
  return ws_core::receive(core_);
}

task<std::optional<std::string>> websocket::receive_text() {
  (void)use();
  return receive_kind(core_, ws_kind::text);
}

task<std::optional<std::string>> websocket::receive_binary() {
  (void)use();
  return receive_kind(core_, ws_kind::binary);
}

task<std::optional<ws_incoming>> websocket::receive_streaming() {
  (void)use();
  return receive_pieces(core_);
}

task<> websocket::send_text(std::string_view text, ws_compress how) {
  return use().send(ws_kind::text, text, how);
}

task<> websocket::send_binary(std::string_view bytes, ws_compress how) {
  return use().send(ws_kind::binary, bytes, how);
}

task<> websocket::send(const ws_message& m) {
  return use().send(m.kind, m.data, ws_compress::automatic);
}

task<> websocket::send(const prepared& m) { return use().send(m.shared_); }

task<> websocket::send_stream(ws_kind kind, async_generator<std::string> pieces) {
  use().accept(headers());
  return ws_core::send_stream(core_, kind, std::move(pieces), ws_compress::automatic);
}

ws_sent websocket::try_send(const ws_message& m) {
  return use().try_send(m.kind, m.data, ws_compress::automatic);
}

ws_sent websocket::try_send(const prepared& m) { return use().try_send(m.shared_); }

task<duration> websocket::ping() {
  use().accept(headers());
  return ws_core::ping(core_);
}

task<> websocket::close(int code, std::string_view reason) {
  if (!detail::is_close_code(code))
    throw bad_value("the code " + std::to_string(code) + " may not be sent in a close");
  if (reason.size() > detail::most_reason)
    throw bad_value("the reason of a close is longer than 123 bytes");
  if (!detail::is_utf8(reason)) throw bad_value("the reason of a close is no UTF-8");
  use().accept(headers());
  use().begin_close(code, reason);
  return ws_core::close(core_, code, std::string(reason));
}

int websocket::close_code() const noexcept { return core_ ? core_->close_code() : 0; }

std::string websocket::close_reason() const {
  return core_ ? core_->close_reason() : std::string();
}

std::exception_ptr websocket::failure() const noexcept {
  return core_ ? core_->failure() : std::exception_ptr();
}

bool websocket::is_open() const noexcept {
  return core_ && core_->stage() == detail::ws_stage::open;
}

const std::string& websocket::protocol() const noexcept {
  static const std::string none;
  return core_ ? core_->agreed().protocol : none;
}

bool websocket::is_compressed() const noexcept {
  return core_ && core_->agreed().deflate.has_value();
}

address websocket::peer_address() const { return use().peer(); }

}  // namespace heddle::http
