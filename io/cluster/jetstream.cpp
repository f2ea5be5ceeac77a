// SPDX-License-Identifier: MIT
#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/cluster/jetstream.h>
#include <heddle/io/cluster/wire.h>
#include <heddle/sched/sleep.h>

#include <nlohmann/json.hpp>

namespace heddle::cluster::detail {
namespace {

using nlohmann::json;

constexpr std::int64_t duplicate_window = 120'000'000'000;
constexpr int most_unacknowledged = 100'000;
constexpr int most_waiting_pulls = 4096;

json parsed(const std::string& text) {
  auto j = json::parse(text, nullptr, false);
  if (!j.is_object()) throw api_error(0, "an answer of JetStream does not parse");
  return j;
}

/// What an answer holds, or `otherwise` if it is missing or of another type.
template <class T>
T field(const json& j, const char* name, T otherwise) {
  const auto at = j.find(name);
  if (at == j.end()) return otherwise;
  try {
    return at->get<T>();
  } catch (const json::exception&) { return otherwise; }
}

int code_of(const json& j, std::string& text) {
  const auto at = j.find("error");
  if (at == j.end() || !at->is_object()) return 0;
  text = field(*at, "description", std::string("an error without a description"));
  const int code = field(*at, "err_code", 0);
  return code ? code : field(*at, "code", 1);
}

/// The answer to a message that was stored, in the words of all servers so far: {"stream":"S",
/// "seq":12}. It comes once for each job and each outcome. False: it says something else.
bool is_plain(std::string_view text, pub_ack& ack) {
  constexpr std::string_view stream = "{\"stream\":\"";
  if (!text.starts_with(stream) || !text.ends_with('}')) return false;
  text.remove_prefix(stream.size());
  text.remove_suffix(1);
  const auto end = text.find_first_of("\"\\");  // of the name
  if (end == std::string_view::npos) return false;
  text.remove_prefix(end);
  for (const std::string_view seq : {"\", \"seq\":", "\",\"seq\":"})
    if (text.starts_with(seq))
      return heddle::detail::parse_number(text.substr(seq.size()), ack.sequence);
  return false;
}

json config_of(const stream_plan& plan, const options& o) {
  const auto limit = [](std::uint64_t n) {
    return n ? heddle::detail::saturated<std::int64_t>(n) : std::int64_t{-1};
  };
  json c{{"name", plan.name},
         {"subjects", json::parse(plan.subjects)},
         {"retention", plan.work_queue ? "workqueue" : "limits"},
         {"storage", "file"},
         {"discard", "new"},
         {"max_msgs", limit(plan.max_messages)},
         {"max_bytes", limit(plan.max_bytes)},
         {"max_age", plan.max_age.count()},
         {"max_msgs_per_subject", -1},
         {"max_consumers", -1},
         {"max_msg_size", -1},
         {"num_replicas", o.replicas},
         {"allow_direct", true}};
  c["duplicate_window"] =
      plan.max_age.count() ? std::min(duplicate_window, plan.max_age.count()) : duplicate_window;
  if (!plan.republish_from.empty())
    c["republish"] = json{{"src", plan.republish_from}, {"dest", plan.republish_to}};
  return c;
}

}  // namespace

/// Yields the answer's JSON. An answer that tells of an error is thrown.
task<std::string> jetstream::call(std::string subject, std::string json_text) {
  auto asking = link_.request("$JS.API." + subject, {}, std::move(json_text),
                              duration(options_.request_limit));
  auto answer = co_await std::move(asking);
  if (answer.headers.status() == js_no_responders)
    throw api_error(js_no_responders, "JetStream does not answer");
  std::string text;
  const int code = code_of(parsed(answer.payload), text);
  if (code) throw api_error(code, text);
  co_return std::move(answer.payload);
}

task<pub_ack> jetstream::publish(std::string subject, std::string headers, std::string payload) {
  auto asking = link_.request(std::move(subject), std::move(headers), std::move(payload),
                              duration(options_.request_limit));
  const auto answer = co_await std::move(asking);
  pub_ack ack;
  if (answer.headers.status() == js_no_responders) {
    ack.code = js_no_responders;
    ack.text = "no stream takes it";
    co_return ack;
  }
  if (is_plain(answer.payload, ack)) co_return ack;
  const auto j = parsed(answer.payload);
  ack.code = code_of(j, ack.text);
  ack.sequence = field(j, "seq", std::uint64_t{0});
  ack.duplicate = field(j, "duplicate", false);
  co_return ack;
}

task<std::optional<stored_message>> jetstream::last(std::string stream, std::string subject) {
  const json j{{"last_by_subj", subject}};
  auto asking =
      link_.request("$JS.API.DIRECT.GET." + stream, {}, j.dump(), duration(options_.request_limit));
  auto answer = co_await std::move(asking);
  const int status = answer.headers.status();
  if (status == js_no_responders) throw api_error(status, "JetStream does not answer");
  if (status == 404) co_return std::nullopt;
  if (status) throw api_error(status, answer.headers.status_text());
  stored_message m;
  (void)heddle::detail::parse_number(answer.headers.get("Nats-Sequence"), m.sequence);
  m.subject = answer.headers.get("Nats-Subject");
  m.stored_ns = time_of(answer.headers.get("Nats-Time-Stamp"));
  m.headers = std::move(answer.headers);
  m.payload = std::move(answer.payload);
  co_return m;
}

task<bool> jetstream::erase(std::string stream, std::uint64_t sequence) {
  const json j{{"seq", sequence}, {"no_erase", true}};
  try {
    auto calling = call("STREAM.MSG.DELETE." + stream, j.dump());
    (void)co_await std::move(calling);
    co_return true;
  } catch (const api_error& e) {
    if (e.code() == js_no_responders) throw;
  }
  co_return false;
}

task<> jetstream::purge(std::string stream, std::string subject, std::uint64_t before) {
  const json j{{"filter", subject}, {"seq", before}};
  auto calling = call("STREAM.PURGE." + stream, j.dump());
  (void)co_await std::move(calling);
}

task<> jetstream::ensure_stream(stream_plan plan) {
  int code = 0;
  try {
    auto asking = call("STREAM.INFO." + plan.name, {});
    (void)co_await std::move(asking);
    co_return;
  } catch (const api_error& e) {
    if (e.code() != js_stream_not_found) throw;
  }
  std::string text;
  try {
    auto making = call("STREAM.CREATE." + plan.name, config_of(plan, options_).dump());
    (void)co_await std::move(making);
    co_return;
  } catch (const api_error& e) {
    code = e.code();
    text = e.what();
  }
  // Another client has made it meanwhile, with its own settings: those hold.
  if (code != js_stream_name_in_use && code != js_subjects_overlap) throw api_error(code, text);
  auto again = call("STREAM.INFO." + plan.name, {});
  (void)co_await std::move(again);
}

task<consumer_state> jetstream::ensure_consumer(std::string stream, std::string durable,
                                                std::string subject) {
  const auto wait_ns = options_.ack_wait.count();
  json found;
  try {
    auto asking = call("CONSUMER.INFO." + stream + "." + durable, {});
    found = parsed(co_await std::move(asking));
  } catch (const api_error& e) {
    if (e.code() != js_consumer_not_found) throw;
  }
  if (found.is_null()) {
    const json j{{"stream_name", stream},
                 {"config",
                  {{"durable_name", durable},
                   {"ack_policy", "explicit"},
                   {"deliver_policy", "all"},
                   {"replay_policy", "instant"},
                   {"ack_wait", wait_ns},
                   {"max_deliver", -1},
                   {"filter_subject", subject},
                   {"max_ack_pending", most_unacknowledged},
                   {"max_waiting", most_waiting_pulls}}}};
    auto making = call("CONSUMER.DURABLE.CREATE." + stream + "." + durable, j.dump());
    found = parsed(co_await std::move(making));
  }
  consumer_state s;
  const auto config = found.value("config", json::object());
  s.ack_wait = duration(field(config, "ack_wait", wait_ns));
  s.pending = field(found, "num_pending", std::uint64_t{0});
  s.unacknowledged = field(found, "num_ack_pending", std::uint64_t{0});
  s.as_planned = s.ack_wait.count() == wait_ns && field(config, "max_deliver", -1) == -1 &&
                 field(config, "max_ack_pending", 0) == most_unacknowledged;
  co_return s;
}

}  // namespace heddle::cluster::detail
