// SPDX-License-Identifier: MIT
// Internal to io.
// What a server keeps of a connection beyond its stream. Only servers with limits have guests.
#pragma once

#include <heddle/io/servers/limits.h>
#include <heddle/io/servers/places.h>
#include <heddle/io/streams/stream_core.h>

#include <memory>
#include <utility>

namespace heddle::detail {

class server_core;

/// The connection's stream and its handler share a guest. So the place is given back when the later
/// one of the two has ended.
class guest final : public stream_listener,
                    public limited,
                    public std::enable_shared_from_this<guest> {
 public:
  guest(std::shared_ptr<server_core> s, place p) noexcept
      : server_(std::move(s)), place_(std::move(p)) {}

  // stream_listener
  void closed(stream_core& ended) noexcept override;
  // limited
  [[nodiscard]] std::shared_ptr<limited> hold() noexcept override { return shared_from_this(); }

 private:
  const std::shared_ptr<server_core> server_;
  const place place_;
};

}  // namespace heddle::detail
