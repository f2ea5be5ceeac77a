// SPDX-License-Identifier: MIT
#include <heddle/core/errors.h>
#include <heddle/core/future.h>
#include <heddle/io/cluster/nats_credentials.h>
#include <heddle/io/cluster/nats_link.h>
#include <heddle/io/cluster/token.h>
#include <heddle/io/tls.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/loop.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <system_error>

namespace heddle::cluster::detail {

namespace {
/// What the link has not sent yet may have so many bytes before a publish is refused.
constexpr std::size_t most_unsent = 256 * 1024 * 1024;
/// Servers that INFO has named, at most.
constexpr std::size_t most_servers = 64;
/// What INFO may tell of max_payload, in bytes: no nats-server takes more. So a message of a server
/// that lies has a bound, too.
constexpr std::size_t most_payload = std::size_t{64} * 1024 * 1024;
constexpr std::int64_t usual_payload = std::int64_t{1024} * 1024;

std::string name_of(const endpoint& e) { return e.host + ":" + std::to_string(e.port); }

nats_link::dialer by_tcp(duration limit) {
  return [limit](endpoint to) {
    connection_options o;
    o.connect_limit = limit;
    return open_connection(to.host, to.port, o);
  };
}
}  // namespace

int compare_versions(const std::string& version, int major, int minor, int patch) {
  const int wanted[] = {major, minor, patch};
  std::string_view rest = version;
  for (const int want : wanted) {
    std::size_t digits = 0;
    while (digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9') ++digits;
    int have = 0;
    (void)heddle::detail::parse_number(rest.substr(0, digits), have);
    if (have != want) return have < want ? -1 : 1;
    rest.remove_prefix(std::min(rest.size(), digits + 1));
  }
  return 0;
}

nats_link::nats_link(const options& o, dialer dial)
    : options_(o),
      dial_(dial ? std::move(dial) : by_tcp(o.connect_limit)),
      servers_(o.servers),
      random_(random_number() | 1U),
      inbox_prefix_("_INBOX." + random_token() + ".") {
  subscribe(inbox_prefix_ + "*", [this](nats_message&& m) {
    const auto number = std::string_view(m.subject).substr(m.subject.rfind('.') + 1);
    std::uint64_t inbox = 0;
    (void)heddle::detail::parse_number(number, inbox);
    const auto at = inboxes_.find(inbox);
    if (at == inboxes_.end()) return;
    const auto take = at->second;  // it may close its inbox
    take(std::move(m));
  });
}

duration nats_link::next_pause(duration pause) {
  random_ ^= random_ << 13U;
  random_ ^= random_ >> 7U;
  random_ ^= random_ << 17U;
  const auto half = pause.count() / 2;
  return duration(half +
                  static_cast<std::int64_t>(random_ % (static_cast<std::uint64_t>(half) + 1)));
}

task<> nats_link::run() {
  duration pause = options_.first_pause;
  for (;;) {
    const bool was_up = co_await round();
    if (refused_ && !ever_up_) throw link_refused(trouble_);
    if (was_up) pause = options_.first_pause;
    co_await sleep(next_pause(pause));
    pause = std::min(duration(options_.last_pause), pause * 2);
  }
}

/// Tries all servers once, from the one behind that which was tried last: a server that lets
/// everybody in and ends must not be all that is tried. True: one of them was connected for a
/// while.
task<bool> nats_link::round() {
  const auto count = servers_.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto server = servers_[next_server_++ % servers_.size()];
    refused_ = false;
    const auto connects_before = session_;
    try {
      auto one = serve(server);
      co_await std::move(one);
      trouble_ = name_of(server) + " has ended the connection";
    } catch (const link_refused& e) {
      refused_ = true;
      trouble_ = name_of(server) + ": " + e.what();
    } catch (const tls_error& e) {
      refused_ = true;
      trouble_ = name_of(server) + ": TLS: " + e.what();
    } catch (const bad_value& e) {
      refused_ = true;
      trouble_ = name_of(server) + ": " + e.what();
    } catch (const timeout_error&) {
      trouble_ = name_of(server) + " did not answer in time";
    } catch (const std::exception& e) { trouble_ = name_of(server) + ": " + e.what(); }
    went_down();
    if (session_ != connects_before) co_return true;
    if (refused_ && !ever_up_) co_return false;
  }
  co_return false;
}

/// Logs in, and serves the connection to its end.
task<> nats_link::serve(endpoint server) {
  auto attempt = wait_for(login(server), options_.connect_limit);
  auto c = co_await std::move(attempt);
  went_up(&c.writer);
  auto watch = create_task(watch_silence(session_));
  std::exception_ptr error;
  try {
    nats_event e;
    for (;;) {
      while (parser_.next(e)) dispatch(e);
      auto reading = read_more(c.reader);
      co_await std::move(reading);
    }
  } catch (...) { error = std::current_exception(); }
  went_down();
  watch.cancel();
  c.writer.abort();
  std::rethrow_exception(error);
}

task<> nats_link::read_more(stream_reader& reader) {
  const bool more = co_await reader.fill();
  if (!more) throw link_lost("the server has ended the connection");
  const auto bytes = reader.buffered();
  parser_.feed(bytes);
  reader.consume(bytes.size());
  last_byte_ = clock::now();
}

task<nats_event> nats_link::next_event(stream_reader& reader) {
  nats_event e;
  while (!parser_.next(e)) {
    auto reading = read_more(reader);
    co_await std::move(reading);
  }
  co_return e;
}

task<connection> nats_link::login(endpoint server) {
  parser_ = nats_parser();
  auto connecting = dial_(server);
  auto c = co_await std::move(connecting);
  auto first = next_event(c.reader);
  const auto hello = co_await std::move(first);
  if (hello.op != nats_op::info) throw protocol_error("the server does not begin with INFO");
  read_info(hello.payload, server);
  const bool encrypted = wants_tls_ || static_cast<bool>(options_.tls);
  if (encrypted) {
    auto tls = options_.tls ? options_.tls : tls_context::client();
    auto upgrade = c.writer.start_tls(std::move(tls), server.host);
    co_await std::move(upgrade);
  }
  c.writer.write(connect_line(encrypted));
  for (;;) {
    auto next = next_event(c.reader);
    auto e = co_await std::move(next);
    if (e.op == nats_op::error) throw link_refused(e.payload);
    if (e.op == nats_op::ping) c.writer.write("PONG\r\n");
    if (e.op == nats_op::info) read_info(e.payload, server);
    if (e.op == nats_op::pong) break;
  }
  co_return c;
}

std::string nats_link::connect_line(bool encrypted) const {
  const auto login = login_of(options_, nonce_);
  nlohmann::json j{{"verbose", false}, {"pedantic", false}, {"tls_required", encrypted},
                   {"name", "heddle"}, {"lang", "c++"},     {"version", "0.1.0"},
                   {"protocol", 1},    {"headers", true},   {"no_responders", true},
                   {"echo", true}};
  if (!login.user.empty() || !login.password.empty()) {
    j["user"] = login.user;
    j["pass"] = login.password;
  }
  if (!login.token.empty()) j["auth_token"] = login.token;
  if (!login.jwt.empty()) j["jwt"] = login.jwt;
  if (!login.nkey.empty()) j["nkey"] = login.nkey;
  if (!login.signature.empty()) j["sig"] = login.signature;
  using handler_kind = nlohmann::json::error_handler_t;
  return "CONNECT " + j.dump(-1, ' ', true, handler_kind::replace) + "\r\nPING\r\n";
}

void nats_link::read_info(const std::string& json, endpoint from) {
  const auto j = nlohmann::json::parse(json, nullptr, false);
  if (!j.is_object()) throw protocol_error("the JSON of INFO does not parse");
  try {
    info_.version = j.value("version", std::string());
    info_.jetstream = j.value("jetstream", false);
    info_.headers = j.value("headers", false);
    const auto max = j.value("max_payload", usual_payload);
    info_.max_payload = std::min(
        most_payload, heddle::detail::saturated<std::size_t>(max > 0 ? max : usual_payload));
    parser_.set_limit(std::max(most_nats_message, info_.max_payload + most_nats_line));
    nonce_ = j.value("nonce", std::string());
    wants_tls_ = j.value("tls_required", false);
    for (const auto& url : j.value("connect_urls", std::vector<std::string>())) {
      const auto colon = url.rfind(':');
      endpoint e{url.substr(0, colon), from.port};
      if (colon == std::string::npos ||
          !heddle::detail::parse_number(std::string_view(url).substr(colon + 1), e.port))
        continue;
      if (e.host.starts_with('[') && e.host.ends_with(']'))
        e.host = e.host.substr(1, e.host.size() - 2);
      const auto same = [&](const endpoint& s) { return s.host == e.host && s.port == e.port; };
      if (servers_.size() < most_servers && std::none_of(servers_.begin(), servers_.end(), same))
        servers_.push_back(std::move(e));
    }
  } catch (const nlohmann::json::exception&) {
    throw protocol_error("INFO has a field of an unexpected type");
  }
}

void nats_link::went_up(stream_writer* writer) {
  writer_ = writer;
  up_ = ever_up_ = true;
  ++session_;
  ping_answered_ = true;
  out_.clear();
  last_byte_ = clock::now();
  for (const auto& [sid, s] : subscriptions_)
    if (!s.retired) enqueue("SUB " + s.subject + " " + std::to_string(sid) + "\r\n");
  if (on_up) on_up();
}

void nats_link::went_down() noexcept {
  if (!up_) return;
  up_ = false;
  writer_ = nullptr;
  out_.clear();
  if (on_down) on_down();
  auto waiting = std::move(inboxes_);
  inboxes_.clear();
  for (auto& [inbox, take] : waiting) {
    nats_message none;
    none.lost = true;
    take(std::move(none));
  }
}

std::size_t nats_link::unsent() const noexcept {
  return writer_ ? out_.size() + writer_->buffered() : 0;
}

void nats_link::drop() noexcept {
  if (writer_) writer_->abort();
}

/// Ends a connection whose server is silent.
task<> nats_link::watch_silence(std::uint64_t session) {
  while (session == session_ && up_) {
    co_await sleep(duration(options_.ping_interval));
    if (session != session_ || !up_) co_return;
    if (clock::now() - last_byte_ < duration(options_.ping_interval)) continue;
    ping_answered_ = false;
    enqueue("PING\r\n");
    co_await sleep(duration(options_.ping_limit));
    if (session == session_ && up_ && !ping_answered_) drop();
  }
}

void nats_link::dispatch(nats_event& e) {
  ping_answered_ = true;
  switch (e.op) {
    case nats_op::ping: enqueue("PONG\r\n"); break;
    case nats_op::info: read_info(e.payload, servers_.front()); break;
    case nats_op::message: deliver(e); break;
    case nats_op::error:
      trouble_ = e.payload;
      if (e.payload.find("Permissions Violation") == std::string::npos) throw link_lost(e.payload);
      break;
    default: break;
  }
}

void nats_link::deliver(nats_event& e) {
  const auto at = subscriptions_.find(e.sid);
  if (at == subscriptions_.end()) return;
  nats_message m{std::move(e.subject), std::move(e.reply),
                 nats_headers::parse(std::move(e.headers)), std::move(e.payload), false};
  const auto take = at->second.take;  // it may unsubscribe
  take(std::move(m));
}

void nats_link::enqueue(std::string_view bytes) {
  if (!up_) return;
  out_ += bytes;
  if (flush_due_) return;
  flush_due_ = true;
  (void)current_loop().call_soon([this] { flush(); });
}

/// Sends what a turn of the loop has gathered, as one write.
void nats_link::flush() noexcept {
  flush_due_ = false;
  if (!writer_ || out_.empty()) return;
  try {
    writer_->write(out_);
  } catch (...) { drop(); }
  out_.clear();
}

void nats_link::publish(std::string_view subject, std::string_view reply, std::string_view headers,
                        std::string_view payload) {
  if (!up_) throw link_lost("no connection to the cluster: " + trouble_);
  if (unsent() > most_unsent) {
    drop();
    throw link_lost("the server does not take what is sent");
  }
  std::string line = headers.empty() ? "PUB " : "HPUB ";
  line += subject;
  line += ' ';
  if (!reply.empty()) {
    line += reply;
    line += ' ';
  }
  if (!headers.empty()) line += std::to_string(headers.size()) + " ";
  line += std::to_string(headers.size() + payload.size()) + "\r\n";
  enqueue(line);
  out_ += headers;
  out_ += payload;
  out_ += "\r\n";
}

std::uint64_t nats_link::subscribe(std::string subject, handler f) {
  const auto sid = ++last_sid_;
  if (up_) enqueue("SUB " + subject + " " + std::to_string(sid) + "\r\n");
  subscriptions_.emplace(sid, subscription{std::move(subject), std::move(f), false});
  return sid;
}

void nats_link::unsubscribe(std::uint64_t sid) noexcept {
  if (subscriptions_.erase(sid) && up_) enqueue("UNSUB " + std::to_string(sid) + "\r\n");
}

void nats_link::retire(std::uint64_t sid) noexcept {
  const auto at = subscriptions_.find(sid);
  if (at == subscriptions_.end() || at->second.retired) return;
  at->second.retired = true;
  if (up_) enqueue("UNSUB " + std::to_string(sid) + "\r\n");
}

task<nats_message> nats_link::request(std::string subject, std::string headers, std::string payload,
                                      duration limit) {
  promise<nats_message> answer;
  auto coming = answer.get_future();
  struct open_inbox {
    nats_link& link;
    std::uint64_t number;
    ~open_inbox() { link.inboxes_.erase(number); }
  } const inbox{*this, ++last_inbox_};
  inboxes_.emplace(inbox.number,
                   [&answer](nats_message&& m) { (void)answer.try_set_value(std::move(m)); });
  publish(subject, inbox_prefix_ + std::to_string(inbox.number), headers, payload);
  auto waiting = wait_for(std::move(coming), limit);
  auto m = co_await std::move(waiting);
  if (m.lost) throw link_lost("the connection was lost before the answer to " + subject);
  co_return m;
}

}  // namespace heddle::cluster::detail
