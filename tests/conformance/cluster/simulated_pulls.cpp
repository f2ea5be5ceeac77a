// SPDX-License-Identifier: MIT
// Consumers of the simulated server: pulls, acknowledgements, redelivery; and what tests ask.
#include "simulated_guest.h"
#include "simulated_nats.h"

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/sched/wait_for.h>

#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>
#include <ctime>

namespace conformance {

namespace h = heddle;
using namespace std::chrono_literals;
using h::cluster::detail::nats_headers;

namespace {
constexpr int consumer_not_found = 10014;
}

std::string time_text(std::int64_t ns) {
  const auto seconds = static_cast<std::time_t>(ns / 1'000'000'000);
  std::tm t{};
  (void)::gmtime_r(&seconds, &t);
  std::array<char, 64> text{};
  const auto n = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &t);
  std::array<char, 32> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%09lldZ",
                static_cast<long long>(ns % 1'000'000'000));
  return std::string(text.data(), n) + fraction.data();
}

void simulated_nats::call_consumer(const std::string& verb, const std::string& rest,
                                   const std::string& reply, const json& j) {
  const auto dot = rest.find('.');
  const auto at = streams_.find(rest.substr(0, dot));
  if (at == streams_.end()) return refuse(reply, 10059, "stream not found");
  auto& s = at->second;
  const auto name = rest.substr(dot + 1);
  if (verb == "CONSUMER.DURABLE.CREATE." && !s.consumers.contains(name)) {
    auto& c = s.consumers[name];
    c.name = name;
    c.filter = j.at("config").value("filter_subject", ">");
    c.ack_wait_ns = j.at("config").value("ack_wait", std::int64_t{30'000'000'000});
  }
  const auto found = s.consumers.find(name);
  if (found == s.consumers.end()) return refuse(reply, consumer_not_found, "consumer not found");
  auto& c = found->second;
  if (verb != "CONSUMER.MSG.NEXT.")
    return answer(
        reply,
        {{"config",
          {{"ack_wait", c.ack_wait_ns}, {"max_deliver", -1}, {"max_ack_pending", 100'000}}}});
  pull p;
  p.reply = reply;
  p.batch = j.value("batch", 1);
  p.no_wait = j.value("no_wait", false);
  const auto expires = j.value("expires", std::int64_t{0});
  p.end = expires ? h::clock::now() + h::duration(expires) : h::time_point::max();
  c.pulls.push_back(std::move(p));
  hand_out(s, c);
}

/// What this consumer delivers next, or 0.
std::uint64_t simulated_nats::next_of(stream& s, consumer& c) {
  while (!c.again.empty()) {
    const auto n = *c.again.begin();
    c.again.erase(c.again.begin());
    if (s.messages.contains(n)) return n;
  }
  for (; c.next <= s.last; ++c.next) {
    const auto at = s.messages.find(c.next);
    if (at != s.messages.end() && subject_matches(c.filter, at->second.subject)) return c.next++;
  }
  return 0;
}

void simulated_nats::hand_out(stream& s, consumer& c) {
  while (!c.pulls.empty()) {
    auto& p = c.pulls.front();
    if (!listens(p.reply)) {  // who asked has gone
      c.pulls.pop_front();
      continue;
    }
    const auto n = next_of(s, c);
    if (!n) break;
    const auto& m = s.messages.at(n);
    c.pending[n] = {wall_ns() + c.ack_wait_ns};
    const auto ack = "$JS.ACK." + s.name + "." + c.name + "." + std::to_string(++c.times[n]) + "." +
                     std::to_string(n) + "." + std::to_string(++c.count) + "." +
                     std::to_string(m.at_ns) + ".0";
    (void)route(p.reply, m.subject, ack, m.headers, m.payload);
    auto left = std::move(p);  // who is owed more comes behind the others
    c.pulls.pop_front();
    if (--left.batch > 0) c.pulls.push_back(std::move(left));
  }
  for (auto at = c.pulls.begin(); at != c.pulls.end();) {
    if (!at->no_wait) {
      ++at;
      continue;
    }
    (void)route(at->reply, at->reply, {}, "NATS/1.0 404 No Messages\r\n\r\n", {});
    at = c.pulls.erase(at);
  }
  changed_.set();
}

void simulated_nats::acknowledge(const std::string& subject, const std::string& word) {
  std::vector<std::string> parts;
  for (std::string_view rest = subject; !rest.empty();) {
    const auto dot = rest.find('.');
    parts.emplace_back(rest.substr(0, dot));
    rest.remove_prefix(dot == std::string_view::npos ? rest.size() : dot + 1);
  }
  if (parts.size() != 9) return;
  const auto s = streams_.find(parts[2]);
  std::uint64_t n = 0, times = 0;
  if (s == streams_.end() || !h::detail::parse_number(parts[5], n) ||
      !h::detail::parse_number(parts[4], times))
    return;
  const auto found = s->second.consumers.find(parts[3]);
  if (found == s->second.consumers.end()) return;
  auto& c = found->second;
  if (word == "+WPI") {
    if (const auto at = c.pending.find(n); at != c.pending.end())
      at->second.until_ns = wall_ns() + c.ack_wait_ns;
  } else if (word.starts_with("-NAK")) {
    const auto at = c.pending.find(n);
    if (at == c.pending.end() || c.times[n] != times) return;  // of a delivery before this one
    std::int64_t delay = 0;
    const auto j = json::parse(word.substr(4), nullptr, false);
    if (j.is_object()) delay = j.value("delay", std::int64_t{0});
    if (delay > 0) {
      at->second.until_ns = wall_ns() + delay;
    } else {
      c.pending.erase(at);
      c.again.insert(n);
      hand_out(s->second, c);
    }
  } else {  // +ACK, +TERM: of any delivery, as in the real server
    erase(s->second, n);
  }
  changed_.set();
}

void simulated_nats::expire(stream& s, consumer& c, h::time_point& next) {
  const auto wall = wall_ns();
  const auto now = h::clock::now();
  for (auto at = c.pending.begin(); at != c.pending.end();) {
    if (at->second.until_ns <= wall) {
      c.again.insert(at->first);
      at = c.pending.erase(at);
      continue;
    }
    next = std::min(next, now + h::duration(at->second.until_ns - wall));
    ++at;
  }
  for (auto at = c.pulls.begin(); at != c.pulls.end();) {
    if (at->end > now) {
      next = std::min(next, at->end);
      ++at;
      continue;
    }
    (void)route(at->reply, at->reply, {},
                "NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: " +
                    std::to_string(at->batch) + "\r\nNats-Pending-Bytes: 0\r\n\r\n",
                {});
    at = c.pulls.erase(at);
  }
  if (!c.again.empty() && !c.pulls.empty()) hand_out(s, c);
}

/// Redelivers what nobody has told of for an ack_wait, and ends pulls.
h::task<> simulated_nats::keep_time() {
  for (;;) {
    changed_.clear();
    auto next = h::time_point::max();
    for (auto& [name, s] : streams_)
      for (auto& [durable, c] : s.consumers) expire(s, c, next);
    if (changed_.is_set()) continue;
    if (next == h::time_point::max()) {
      co_await changed_.wait();
      continue;
    }
    try {
      (void)co_await h::wait_for(changed_.wait(), h::time_left(next, h::clock::now()));
    } catch (const h::timeout_error&) { changed_.clear(); }
  }
}

std::size_t simulated_nats::count(std::string_view stream) const {
  std::size_t n = 0;
  for (const auto& [name, s] : streams_)
    if (name.starts_with(stream)) n += s.messages.size();
  return n;
}

void simulated_nats::lose_jobs() {
  for (auto& [name, s] : streams_)
    while (name.starts_with("HJ_") && !s.messages.empty()) erase(s, s.messages.begin()->first);
}

std::size_t simulated_nats::unacknowledged() const {
  std::size_t n = 0;
  for (const auto& [name, s] : streams_)
    for (const auto& [durable, c] : s.consumers) n += c.pending.size() + c.again.size();
  return n;
}

std::string simulated_nats::kind_of(const std::string& id) const {
  for (const auto& [name, s] : streams_)
    for (const auto& [n, m] : s.messages)
      if (name.starts_with("HR_") && m.subject.ends_with(".r." + id))
        return std::string(nats_headers::parse(m.headers).get("Heddle-Kind"));
  return {};
}

std::size_t simulated_nats::outcomes_ever(const std::string& id) const {
  std::size_t n = 0;
  for (const auto& [subject, times] : ever_)
    if (subject.ends_with(".r." + id)) n += times;
  return n;
}

}  // namespace conformance
