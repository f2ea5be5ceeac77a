// SPDX-License-Identifier: MIT
// Internal to io.
// A channel of c-ares: its servers, its sockets, and the queries under way.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/ares_resolver_options.h>

#include <ares.h>
#include <poll.h>

#include <map>
#include <string>
#include <vector>

namespace heddle::detail {

/// For one thread.
class name_channel {
 public:
  /// Reads resolv.conf, if the options name no servers. Throws std::system_error.
  explicit name_channel(const ares_resolver_options& options);
  name_channel(const name_channel&) = delete;
  /// No query may be under way.
  ~name_channel();

  /// Sends a query for the addresses of a name. `then` is called once with `arg`: inside of this
  /// function, or of process() or cancel_all(). It must not call the channel.
  void ask(const std::string& name, int family, ares_callback then, void* arg) noexcept;
  /// Appends what is to be waited for.
  void append_to(std::vector<pollfd>& all) const;
  /// Until the next query times out; `most` at most.
  [[nodiscard]] duration next_timeout(duration most) const noexcept;
  /// Reads and writes where poll() has found something, and ends what has timed out.
  void process(const std::vector<pollfd>& found) noexcept;
  /// Ends all queries with ARES_ECANCELLED.
  void cancel_all() noexcept;

 private:
  static void note_socket(void* self, ares_socket_t socket, int readable, int writable) noexcept;
  void set_servers(const ares_resolver_options& options);

  ares_channel channel_ = nullptr;
  std::map<int, short> sockets_;  // with the events that are wanted
};

}  // namespace heddle::detail
