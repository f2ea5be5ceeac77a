// SPDX-License-Identifier: MIT
// Internal to io.
// What a server knows of a request while the request is worked on.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/task.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/forwarded.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/server_stats.h>
#include <heddle/io/http/serving/route_tree.h>
#include <heddle/io/stream.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http::detail {

/// What the connection of the request at work does for it: it reads the body.
class body_gate {
 public:
  /// The next bytes of the body; "" at its end. Valid until the next call.
  [[nodiscard]] virtual task<std::string_view> next_piece() = 0;
  /// Reads all of the body into the request.
  [[nodiscard]] virtual task<> read_whole() = 0;
  /// Another limit for the body. False: what has come, or is to come, is above it.
  [[nodiscard]] virtual bool limit_body(std::size_t bytes) = 0;
  /// The limit that holds now.
  [[nodiscard]] virtual std::size_t body_limit() const noexcept = 0;
  /// So much of the body is kept with the request now. Throws status_error 503 if the server holds
  /// too much (server_options::max_held_bytes).
  virtual void keep_body(std::size_t bytes) = 0;
  /// A route of the application takes this target, with the method and the host of `like`.
  [[nodiscard]] virtual bool has_route(const request& like, std::string_view target) const = 0;
  /// stop() has begun.
  [[nodiscard]] virtual bool server_stops() const noexcept = 0;
  [[nodiscard]] virtual server_stats stats() const = 0;

 protected:
  ~body_gate() = default;
};

/// What a body_reader in a handler's hands leads to. The connection cuts it off when the request
/// has been answered, for a handler may keep the reader.
/// Thread-safety  the task of the request, one call at a time
struct body_link {
  body_gate* gate = nullptr;
};

/// One exchange's, so one task's at a time.
struct request_scope {
  using counted = heddle::detail::counted;
  using kept_values = std::vector<std::pair<const void*, heddle::detail::counted_ptr<counted>>>;

  // Of the connection.
  body_gate* gate = nullptr;
  const stream_writer* client = nullptr;
  const trusted_proxies* trusted = nullptr;
  bool secure = false;  // by TLS

  // Of the request.
  const route_target* target = nullptr;  // nullptr: not looked for yet, or none
  bool chosen = false;                   // the target has been looked for
  bool loaded = false;                   // the body has been read or given out
  std::vector<std::string> values;       // of the target's names, in order
  std::optional<response> refused;       // what a target that refuses answers
  kept_values kept;
  std::shared_ptr<body_link> link;

  /// For the next request.
  void renew() noexcept {
    target = nullptr;
    chosen = loaded = false;
    if (!values.empty()) values.clear();
    if (refused) refused.reset();
    if (!kept.empty()) kept.clear();
    if (link) cut_off();
  }
  void cut_off() noexcept {
    link->gate = nullptr;
    link.reset();
  }
  [[nodiscard]] const app_scope* app() const noexcept { return target ? target->app : nullptr; }
};

/// A state of the application that the request's route belongs to, or nullptr.
[[nodiscard]] heddle::detail::counted* state_of(const request& r, const void* key) noexcept;

}  // namespace heddle::http::detail
