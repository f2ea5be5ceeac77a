// SPDX-License-Identifier: MIT
// Connections of the simulated server, and its streams. simulated_pulls.cpp has its consumers.
#include "simulated_nats.h"

#include "simulated_guest.h"

#include <heddle/core/checked.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/simulate.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <system_error>

namespace conformance {

namespace h = heddle;
using namespace std::chrono_literals;
using h::cluster::detail::nats_headers;

namespace {

constexpr int stream_not_found = 10059;
constexpr int wrong_last_sequence = 10071;
constexpr int store_failed = 10077;

h::duration random_ms(unsigned most) {
  return std::chrono::milliseconds(most ? h::testing::choose(most + 1) : 0);
}

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> all;
  while (!line.empty()) {
    const auto space = line.find(' ');
    if (space != 0) all.emplace_back(line.substr(0, space));
    line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  }
  return all;
}

std::size_t number_of(const std::string& text) {
  std::size_t n = 0;
  (void)h::detail::parse_number(text, n);
  return n;
}

h::options one_loop() {
  h::options o;
  o.loops = 1;
  o.threads = 1;
  return o;
}

}  // namespace

bool subject_matches(std::string_view pattern, std::string_view subject) {
  while (!pattern.empty() && !subject.empty()) {
    if (pattern == ">") return true;
    const auto a = pattern.substr(0, pattern.find('.'));
    const auto b = subject.substr(0, subject.find('.'));
    if (a != "*" && a != b) return false;
    pattern.remove_prefix(std::min(pattern.size(), a.size() + 1));
    subject.remove_prefix(std::min(subject.size(), b.size() + 1));
  }
  return pattern.empty() && subject.empty();
}

simulated_nats::simulated_nats() : runtime_(std::make_unique<h::runtime>(one_loop())) {
  (void)runtime_->submit(keep_time());
}

simulated_nats::~simulated_nats() { runtime_->close(); }

std::int64_t simulated_nats::wall_ns() const {
  return (h::clock::now() + jumped_).time_since_epoch().count();
}

h::cluster::detail::nats_link::dialer simulated_nats::dialer(simulated_wire& wire) {
  return [this, &wire](h::cluster::endpoint to) { return connect(std::move(to), wire); };
}

h::task<h::connection> simulated_nats::connect(h::cluster::endpoint to, simulated_wire& wire) {
  co_await h::sleep(random_ms(wire.latency));
  if (!wire.open || to.host == wire.down)
    throw std::system_error(std::make_error_code(std::errc::connection_refused), "connect");
  auto [mine, other] = h::memory_pair();
  (void)runtime_->submit(serve(std::move(other), wire));
  co_return std::move(mine);
}

void simulated_nats::cut(simulated_wire& wire) {
  const auto all = guests_;  // they may leave while one is dropped
  for (const auto& g : all)
    if (g->wire == &wire) g->drop();
}
void simulated_nats::restart() {
  const auto all = guests_;
  for (const auto& g : all) g->drop();
}
void simulated_nats::jump(h::duration by) {
  jumped_ += by;
  changed_.set();
}

h::task<> simulated_nats::serve(h::connection c, simulated_wire& wire) {
  auto g = std::make_shared<guest>(std::move(c), wire);
  guests_.push_back(g);
  g->say(
      "INFO {\"version\":\"2.9.10\",\"jetstream\":true,\"headers\":true,\"max_payload\":"
      "1048576}\r\n");
  auto saying = h::create_task(say(g));
  std::string in;
  try {
    for (bool more = true; more && !g->gone;) {
      more = co_await g->ends.reader.fill();
      in += g->ends.reader.buffered();
      g->ends.reader.consume(g->ends.reader.buffered().size());
      if (wire.latency) co_await h::sleep(random_ms(wire.latency));
      while (!g->gone && wire.open && take_command(g, in)) {}
      changed_.set();
    }
  } catch (const std::exception&) {  // reset
  }
  g->drop();
  guests_.remove(g);
  saying.cancel();
  for (auto& [name, s] : streams_)  // who asked has gone, and asks again
    for (auto& [durable, k] : s.consumers)
      std::erase_if(k.pulls, [this](const pull& p) { return !listens(p.reply); });
}

/// Sends what was gathered, a little later.
h::task<> simulated_nats::say(std::shared_ptr<guest> g) {
  while (!g->gone) {
    g->has_words.clear();
    if (g->out.empty()) {
      co_await g->has_words.wait();
      continue;
    }
    if (g->wire->latency) co_await h::sleep(random_ms(g->wire->latency));
    if (g->gone) break;
    const auto text = std::move(g->out);
    g->out.clear();
    try {
      g->ends.writer.write(text);
    } catch (const std::exception&) { g->drop(); }
  }
}

/// Takes one command off `in`. False: it is not whole yet.
bool simulated_nats::take_command(const std::shared_ptr<guest>& g, std::string& in) {
  const auto end = in.find("\r\n");
  if (end == std::string::npos) return false;
  const auto line = in.substr(0, end);
  const auto words = words_of(line);
  if (words.empty() || (words[0] != "PUB" && words[0] != "HPUB")) {
    in.erase(0, end + 2);
    command(*g, line);
    return true;
  }
  const bool with_headers = words[0] == "HPUB";
  const std::size_t fixed = with_headers ? 4 : 3;
  const auto total = number_of(words.back());
  const auto headers = with_headers ? number_of(words[words.size() - 2]) : 0;
  if (in.size() < end + 2 + total + 2) return false;
  auto block = in.substr(end + 2, headers);
  auto payload = in.substr(end + 2 + headers, total - headers);
  in.erase(0, end + 2 + total + 2);
  auto& wire = *g->wire;
  ++wire.commands;
  if (words[1].find(".MSG.NEXT.") != std::string::npos) ++wire.pulls;
  published(words[1], words.size() > fixed ? words[2] : std::string(), std::move(block),
            std::move(payload));
  if (wire.cut_in && --wire.cut_in == 0) g->drop();
  return true;
}

void simulated_nats::command(guest& g, std::string_view line) {
  const auto words = words_of(line);
  if (words.empty()) return;
  if (words[0] == "PING") g.say("PONG\r\n");
  if (words[0] == "SUB" && words.size() == 3) g.subscriptions[words[2]] = words[1];
  if (words[0] == "UNSUB" && words.size() == 2) g.subscriptions.erase(words[1]);
}

bool simulated_nats::listens(const std::string& subject) const {
  for (const auto& g : guests_)
    for (const auto& [sid, pattern] : g->subscriptions)
      if (!g->gone && subject_matches(pattern, subject)) return true;
  return false;
}

bool simulated_nats::route(const std::string& to, const std::string& shown,
                           const std::string& reply, const std::string& headers,
                           const std::string& payload) {
  bool anybody = false;
  for (const auto& g : guests_) {
    if (g->gone) continue;
    for (const auto& [sid, pattern] : g->subscriptions) {
      if (!subject_matches(pattern, to)) continue;
      anybody = true;
      ++g->wire->messages;
      auto text = (headers.empty() ? "MSG " : "HMSG ") + shown + " " + sid + " ";
      if (!reply.empty()) text += reply + " ";
      if (!headers.empty()) text += std::to_string(headers.size()) + " ";
      text += std::to_string(headers.size() + payload.size()) + "\r\n" + headers + payload + "\r\n";
      g->say(text);
    }
  }
  return anybody;
}

void simulated_nats::answer(const std::string& reply, const json& j) {
  if (!reply.empty()) (void)route(reply, reply, {}, {}, j.dump());
}
void simulated_nats::refuse(const std::string& reply, int code, const char* text) {
  answer(reply, {{"error", {{"code", 400}, {"err_code", code}, {"description", text}}}});
}

simulated_nats::stream* simulated_nats::stream_of(const std::string& subject) {
  for (auto& [name, s] : streams_)
    for (const auto& pattern : s.subjects)
      if (subject_matches(pattern, subject)) return &s;
  return nullptr;
}

void simulated_nats::published(std::string subject, const std::string& reply, std::string headers,
                               std::string payload) {
  constexpr std::string_view api = "$JS.API.";
  if (subject.starts_with(api)) return call(subject.substr(api.size()), reply, payload);
  if (subject.starts_with("$JS.ACK.")) return acknowledge(subject, payload);
  if (auto* s = stream_of(subject))
    return store(*s, std::move(subject), reply, std::move(headers), std::move(payload));
  if (!route(subject, subject, reply, headers, payload) && !reply.empty())
    (void)route(reply, reply, {}, "NATS/1.0 503\r\n\r\n", {});
}

void simulated_nats::store(stream& s, std::string subject, const std::string& reply,
                           std::string headers, std::string payload) {
  const auto h = nats_headers::parse(headers);
  const std::string id(h.get("Nats-Msg-Id"));
  if (const auto at = s.known.find(id); !id.empty() && at != s.known.end() && !forgets_ids)
    return answer(reply, {{"stream", s.name}, {"seq", at->second}, {"duplicate", true}});
  const auto last = s.last_of.find(subject);
  if (h.get("Nats-Expected-Last-Subject-Sequence") == "0" && last != s.last_of.end() &&
      !keeps_second_outcomes)
    return refuse(reply, wrong_last_sequence, "wrong last sequence: 1");
  if (s.max_messages >= 0 && std::cmp_greater_equal(s.messages.size(), s.max_messages))
    return refuse(reply, store_failed, "maximum messages exceeded");
  if (full && !s.work_queue) return refuse(reply, store_failed, "no space left on device");
  const auto sequence = ++s.last;
  if (!id.empty()) s.known[id] = sequence;
  s.last_of[subject] = sequence;
  ++ever_[subject];
  if (!s.from.empty() && subject_matches(s.from, subject)) {
    const auto told = s.to.substr(0, s.to.size() - 1) + subject.substr(s.from.size() - 1);
    auto block = headers.empty() ? std::string("NATS/1.0\r\n\r\n") : headers;
    block.insert(block.size() - 2, "Nats-Sequence: " + std::to_string(sequence) + "\r\n");
    (void)route(told, told, {}, block, payload);
  }
  s.messages[sequence] = {std::move(subject), std::move(headers), std::move(payload), wall_ns()};
  answer(reply, {{"stream", s.name}, {"seq", sequence}});
  for (auto& [name, c] : s.consumers) hand_out(s, c);
}

void simulated_nats::erase(stream& s, std::uint64_t sequence) {
  const auto at = s.messages.find(sequence);
  if (at == s.messages.end()) return;
  const auto last = s.last_of.find(at->second.subject);
  if (last != s.last_of.end() && last->second == sequence) {
    const auto subject = last->first;
    s.last_of.erase(last);
    for (const auto& [n, m] : s.messages)
      if (n != sequence && m.subject == subject) s.last_of[subject] = n;
  }
  s.messages.erase(at);
  for (auto& [name, c] : s.consumers) {
    c.pending.erase(sequence);
    c.again.erase(sequence);
  }
}

void simulated_nats::call(const std::string& what, const std::string& reply,
                          const std::string& text) {
  const auto parsed = json::parse(text, nullptr, false);
  const json j = parsed.is_object() ? parsed : json::object();
  constexpr std::string_view get = "DIRECT.GET.";
  if (what.starts_with(get)) {
    const auto at = streams_.find(what.substr(get.size()));
    if (at != streams_.end()) return direct_get(at->second, reply, j);
    (void)route(reply, reply, {}, "NATS/1.0 503\r\n\r\n", {});
    return;
  }
  if (what.starts_with("STREAM.")) {
    const auto dot = what.rfind('.');
    return call_stream(what.substr(0, dot), what.substr(dot + 1), reply, j);
  }
  for (const char* verb : {"CONSUMER.INFO.", "CONSUMER.DURABLE.CREATE.", "CONSUMER.MSG.NEXT."})
    if (what.starts_with(verb))
      return call_consumer(verb, what.substr(std::string_view(verb).size()), reply, j);
}

void simulated_nats::call_stream(const std::string& verb, const std::string& name,
                                 const std::string& reply, const json& j) {
  if (verb == "STREAM.CREATE") {
    auto& s = streams_[name];
    s.name = name;
    s.subjects = j.at("subjects").get<std::vector<std::string>>();
    s.work_queue = j.value("retention", "") == "workqueue";
    s.max_messages = j.value("max_msgs", std::int64_t{-1});
    if (j.contains("republish")) {
      s.from = j["republish"].at("src");
      s.to = j["republish"].at("dest");
    }
    return answer(reply, {{"config", {{"name", name}}}});
  }
  const auto at = streams_.find(name);
  if (at == streams_.end()) return refuse(reply, stream_not_found, "stream not found");
  auto& s = at->second;
  if (verb == "STREAM.MSG.DELETE") {
    const auto sequence = j.value("seq", std::uint64_t{0});
    if (!s.messages.contains(sequence)) return refuse(reply, 10043, "no message found");
    erase(s, sequence);
  }
  if (verb == "STREAM.PURGE") {
    std::vector<std::uint64_t> old;
    for (const auto& [n, m] : s.messages)
      if (n < j.value("seq", ~std::uint64_t{0}) &&
          subject_matches(j.value("filter", ">"), m.subject))
        old.push_back(n);
    for (const auto n : old) erase(s, n);
  }
  answer(reply, {{"success", true}, {"state", {{"messages", s.messages.size()}}}});
}

void simulated_nats::direct_get(stream& s, const std::string& reply, const json& j) {
  const auto subject = j.value("last_by_subj", std::string());
  std::uint64_t found = 0;
  if (subject.find('*') == std::string::npos && !subject.ends_with(">")) {
    const auto at = s.last_of.find(subject);
    if (at != s.last_of.end()) found = at->second;
  } else {
    for (const auto& [name, n] : s.last_of)
      if (n > found && subject_matches(subject, name)) found = n;
  }
  if (!found) {
    (void)route(reply, reply, {}, "NATS/1.0 404 Message Not Found\r\n\r\n", {});
    return;
  }
  const auto& m = s.messages.at(found);
  auto block = m.headers.empty() ? std::string("NATS/1.0\r\n\r\n") : m.headers;
  block.insert(block.size() - 2, "Nats-Sequence: " + std::to_string(found) +
                                     "\r\nNats-Subject: " + m.subject +
                                     "\r\nNats-Time-Stamp: " + time_text(m.at_ns) + "\r\n");
  (void)route(reply, reply, {}, block, m.payload);
}

}  // namespace conformance
