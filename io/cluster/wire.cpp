// SPDX-License-Identifier: MIT
#include <heddle/core/checked.h>
#include <heddle/io/cluster/wire.h>

#include <nlohmann/json.hpp>

#include <array>
#include <chrono>
#include <utility>

namespace heddle::cluster::detail {
namespace {

constexpr std::array<std::string_view, 8> kinds = {
    "value", "failed", "lost", "cancelled", "timeout", "too_large", "bad_arguments", "no_such_job"};

template <class T>
T number(const nats_headers& h, std::string_view name, T otherwise = T{}) {
  T value{};
  return heddle::detail::parse_number(h.get(name), value) ? value : otherwise;
}

}  // namespace

subjects::subjects(const std::string& name)
    : root("h." + name + "."), jobs("HJ_" + name), outcomes("HR_" + name), dead("HD_" + name) {}

std::string subjects::job(const std::string& queue, priority p, const std::string& id) const {
  return root + "j." + queue + "." + std::to_string(static_cast<unsigned>(p)) + "." + id;
}

nats_headers headers_of(const job_head& m) {
  nats_headers h;
  const auto& o = m.call.options;
  h.add("Nats-Msg-Id", m.send_id);
  h.add("Nats-Expected-Last-Subject-Sequence", "0");
  h.add("Heddle-Id", m.id);
  h.add("Heddle-Job", m.call.name);
  h.add("Heddle-Version", std::to_string(o.version));
  h.add("Heddle-Queue", o.queue);
  h.add("Heddle-Class", std::to_string(static_cast<unsigned>(m.call.first)));
  h.add("Heddle-Attempts", std::to_string(o.attempts));
  h.add("Heddle-Signature", std::to_string(m.call.signature));
  if (o.retry.times) {
    h.add("Heddle-Retries", std::to_string(o.retry.times));
    h.add("Heddle-Retry-Delay", std::to_string(o.retry.delay.count()));
    h.add("Heddle-Retry-Factor", std::to_string(o.retry.factor));
  }
  if (o.time_limit.count() > 0) h.add("Heddle-Time-Limit", std::to_string(o.time_limit.count()));
  if (m.within) h.add("Heddle-Within", std::to_string(m.within->count()));
  if (!m.call.key.empty()) h.add("Heddle-Arguments", std::to_string(m.arguments_hash));
  return h;
}

job_message job_of(const nats_headers& h, std::string payload) {
  job_message m;
  auto& o = m.call.options;
  m.id = h.get("Heddle-Id");
  m.call.name = h.get("Heddle-Job");
  o.version = number<unsigned>(h, "Heddle-Version", 1);
  o.queue = h.get("Heddle-Queue");
  const auto first = number<unsigned>(h, "Heddle-Class", 1);
  m.call.first = first == 0 ? priority::high : first == 2 ? priority::low : priority::normal;
  o.attempts = number<unsigned>(h, "Heddle-Attempts", 3);
  o.retry.times = number<unsigned>(h, "Heddle-Retries", 0);
  o.retry.delay = duration(number<std::int64_t>(h, "Heddle-Retry-Delay", 0));
  double factor = 1;
  if (heddle::detail::parse_number(h.get("Heddle-Retry-Factor"), factor, 1e6))
    o.retry.factor = factor;
  o.time_limit = duration(number<std::int64_t>(h, "Heddle-Time-Limit", 0));
  std::int64_t within = 0;
  if (heddle::detail::parse_number(h.get("Heddle-Within"), within))
    m.call.within = duration(within);
  m.call.signature = number<std::uint64_t>(h, "Heddle-Signature", 0);
  m.arguments_hash = number<std::uint64_t>(h, "Heddle-Arguments", 0);
  m.call.arguments = std::move(payload);
  return m;
}

nats_headers headers_of(const outcome& o) {
  nats_headers h;
  h.add("Nats-Expected-Last-Subject-Sequence", "0");
  h.add("Heddle-Kind", kinds[static_cast<std::size_t>(o.kind)]);
  h.add("Heddle-Id", o.place.id);
  h.add("Heddle-Job", o.place.job);
  if (!o.place.worker.empty()) h.add("Heddle-Worker", o.place.worker);
  if (!o.place.host.empty()) h.add("Heddle-Host", o.place.host);
  h.add("Heddle-Attempt", std::to_string(o.place.attempt));
  if (o.arguments_hash) h.add("Heddle-Arguments", std::to_string(o.arguments_hash));
  return h;
}

std::string payload_of(const outcome& o) {
  if (o.kind == outcome_kind::value) return o.value;
  using handler = nlohmann::json::error_handler_t;
  const nlohmann::json j{
      {"type", o.type}, {"texts", o.texts}, {"size", o.size}, {"limit", o.limit}};
  return j.dump(-1, ' ', false, handler::replace);
}

outcome outcome_of(const nats_headers& h, std::string payload) {
  outcome o;
  const auto kind = h.get("Heddle-Kind");
  o.kind = outcome_kind::failed;
  for (std::size_t i = 0; i < kinds.size(); ++i)
    if (kinds[i] == kind) o.kind = static_cast<outcome_kind>(i);
  o.place.id = h.get("Heddle-Id");
  o.place.job = h.get("Heddle-Job");
  o.place.worker = h.get("Heddle-Worker");
  o.place.host = h.get("Heddle-Host");
  o.place.attempt = number<unsigned>(h, "Heddle-Attempt", 0);
  o.arguments_hash = number<std::uint64_t>(h, "Heddle-Arguments", 0);
  if (o.kind == outcome_kind::value) {
    o.value = std::move(payload);
    return o;
  }
  const auto j = nlohmann::json::parse(payload, nullptr, false);
  try {
    if (j.is_object()) {
      o.type = j.value("type", std::string());
      o.texts = j.value("texts", std::vector<std::string>());
      o.size = j.value("size", std::size_t{0});
      o.limit = j.value("limit", std::size_t{0});
    }
  } catch (const nlohmann::json::exception&) {
    o.texts = {"an outcome whose description cannot be read"};
  }
  return o;
}

std::string text_of(const job_history& h) {
  using handler = nlohmann::json::error_handler_t;
  const nlohmann::json j{{"attempts", h.attempts}, {"thrown", h.thrown}, {"workers", h.workers}};
  return j.dump(-1, ' ', false, handler::replace);
}

job_history history_of(const std::string& text) {
  job_history h;
  h.attempts = 1;
  const auto j = nlohmann::json::parse(text, nullptr, false);
  try {
    if (j.is_object()) {
      h.attempts = j.value("attempts", std::uint64_t{1});
      h.thrown = j.value("thrown", std::uint64_t{0});
      h.workers = j.value("workers", std::vector<std::string>());
    }
  } catch (const nlohmann::json::exception&) { h.workers.clear(); }
  return h;
}

bool read_ack_subject(std::string_view subject, delivery& d) {
  std::array<std::string_view, 12> parts;
  std::size_t n = 0;
  for (; n < parts.size() && !subject.empty(); ++n) {
    const auto dot = subject.find('.');
    parts[n] = subject.substr(0, dot);
    subject.remove_prefix(dot == std::string_view::npos ? subject.size() : dot + 1);
  }
  if (n < 9 || parts[0] != "$JS" || parts[1] != "ACK") return false;
  // Newer servers have the domain and the account in front of the stream.
  const std::size_t at = n == 9 ? 4 : 6;
  return heddle::detail::parse_number(parts[at], d.times) &&
         heddle::detail::parse_number(parts[at + 1], d.sequence) &&
         heddle::detail::parse_number(parts[at + 3], d.stored_ns);
}

std::int64_t time_of(std::string_view text) {
  if (text.size() < 20) return 0;
  std::array<int, 6> n{};
  constexpr std::array<std::pair<std::size_t, std::size_t>, 6> places = {
      {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}}};
  for (std::size_t i = 0; i < n.size(); ++i)
    if (!heddle::detail::parse_number(text.substr(places[i].first, places[i].second), n[i]))
      return 0;
  // What is no time of day, and years that 64 bits of nanoseconds do not hold.
  constexpr std::array<std::pair<int, int>, 6> bounds = {
      {{1970, 2261}, {1, 12}, {1, 31}, {0, 23}, {0, 59}, {0, 60}}};
  for (std::size_t i = 0; i < n.size(); ++i)
    if (n[i] < bounds[i].first || n[i] > bounds[i].second) return 0;
  std::int64_t fraction = 0;
  std::int64_t unit = 1'000'000'000;
  for (std::size_t i = 20; i < text.size() && text[i] >= '0' && text[i] <= '9' && unit > 1; ++i) {
    fraction = fraction * 10 + (text[i] - '0');
    unit /= 10;
  }
  using namespace std::chrono;
  const sys_days day = year(n[0]) / month(heddle::detail::saturated<unsigned>(n[1])) /
                       std::chrono::day(heddle::detail::saturated<unsigned>(n[2]));
  const auto whole = day.time_since_epoch() + hours(n[3]) + minutes(n[4]) + seconds(n[5]);
  return to_duration(whole).count() + fraction * unit;
}

}  // namespace heddle::cluster::detail
