// SPDX-License-Identifier: MIT
// Internal to io.
// nats_link: one connection to NATS servers that is made again whenever it is lost.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/cluster/nats_headers.h>
#include <heddle/io/cluster/nats_parser.h>
#include <heddle/io/cluster_options.h>
#include <heddle/io/stream.h>

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

namespace heddle::cluster::detail {

struct nats_message {
  std::string subject;
  std::string reply;
  nats_headers headers;
  std::string payload;
  bool lost = false;  // no message: the connection was lost before it came
};

/// The connection was lost while an answer was awaited, or there is none. Whether the server has
/// got the question is not known.
class link_lost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
/// The server refuses this client, and will again.
class link_refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a server says of itself (INFO).
struct server_info {
  std::string version;
  bool jetstream = false;
  bool headers = false;
  std::size_t max_payload = 1024 * 1024;
};
/// -1, 0 or 1: a version against three numbers.
[[nodiscard]] int compare_versions(const std::string& version, int major, int minor, int patch);

/// Of one loop: everything here is called by tasks of the runtime that runs run(), which has one.
///
/// Reconnect  Subscriptions are made again, under their numbers. Whoever waits for an answer gets
///            link_lost, and asks again once wait_up() is over.
class nats_link {
 public:
  using handler = std::function<void(nats_message&&)>;

  /// Makes a connection to a server; TCP unless another is given.
  using dialer = std::function<task<connection>(endpoint)>;

  explicit nats_link(const options& o, dialer dial = {});
  nats_link(const nats_link&) = delete;

  /// Connects, and serves the connection, for ever. Throws link_refused if the first server that
  /// answered refuses the login, and no login has ever succeeded.
  [[nodiscard]] task<> run();
  std::function<void()> on_up;    // after each login, subscriptions sent
  std::function<void()> on_down;  // after each loss

  [[nodiscard]] bool up() const noexcept { return up_; }
  /// Counts the logins.
  [[nodiscard]] std::uint64_t session() const noexcept { return session_; }
  [[nodiscard]] const server_info& info() const noexcept { return info_; }
  /// What became of the last attempt to connect, for people.
  [[nodiscard]] const std::string& last_trouble() const noexcept { return trouble_; }
  /// Bytes that the kernel has not taken yet.
  [[nodiscard]] std::size_t unsent() const noexcept;
  /// Ends the connection; it is made again.
  void drop() noexcept;

  /// Sends. Throws link_lost while there is no connection.
  void publish(std::string_view subject, std::string_view reply, std::string_view headers,
               std::string_view payload);
  /// Each message that matches goes to `f`, which must not throw. Yields the number for
  /// unsubscribe().
  std::uint64_t subscribe(std::string subject, handler f);
  void unsubscribe(std::uint64_t sid) noexcept;
  /// No more messages are asked for; those on their way still go to the handler.
  void retire(std::uint64_t sid) noexcept;
  /// A subject of this link alone, for subscribe().
  [[nodiscard]] std::string private_subject() {
    return "_P" + inbox_prefix_ + std::to_string(++last_inbox_);
  }
  /// Sends with an inbox of its own, and yields the first answer. Throws link_lost; timeout_error.
  [[nodiscard]] task<nats_message> request(std::string subject, std::string headers,
                                           std::string payload, duration limit);

 private:
  struct subscription {
    std::string subject;
    handler take;
    bool retired = false;
  };

  [[nodiscard]] task<bool> round();
  [[nodiscard]] task<> serve(endpoint server);
  [[nodiscard]] task<connection> login(endpoint server);
  [[nodiscard]] task<> read_more(stream_reader& reader);
  [[nodiscard]] task<nats_event> next_event(stream_reader& reader);
  [[nodiscard]] task<> watch_silence(std::uint64_t session);
  void read_info(const std::string& json, endpoint from);
  [[nodiscard]] std::string connect_line(bool encrypted) const;
  void dispatch(nats_event& e);
  void deliver(nats_event& e);
  void enqueue(std::string_view bytes);
  void flush() noexcept;
  void went_up(stream_writer* writer);
  void went_down() noexcept;
  [[nodiscard]] duration next_pause(duration pause);

  const options options_;
  const dialer dial_;
  std::vector<endpoint> servers_;  // the configured ones, then those of INFO
  std::size_t next_server_ = 0;
  server_info info_;
  std::string nonce_;
  bool wants_tls_ = false;
  bool up_ = false;
  bool ever_up_ = false;
  bool refused_ = false;
  std::string trouble_;
  nats_parser parser_;
  stream_writer* writer_ = nullptr;
  std::string out_;
  bool flush_due_ = false;
  std::uint64_t session_ = 0;
  bool ping_answered_ = false;
  time_point last_byte_{};
  std::uint64_t random_;

  std::string inbox_prefix_;
  std::uint64_t last_inbox_ = 0;
  std::uint64_t last_sid_ = 0;
  std::map<std::uint64_t, subscription> subscriptions_;
  /// Who waits for an answer, by the number of the inbox; told with `lost` when the connection is.
  std::unordered_map<std::uint64_t, handler> inboxes_;
};

}  // namespace heddle::cluster::detail
