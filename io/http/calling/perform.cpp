// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/perform.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/answer_body.h>
#include <heddle/io/http/calling/dress.h>
#include <heddle/io/http/calling/exchange.h>
#include <heddle/io/http/calling/reach.h>
#include <heddle/io/http/calling/redirects.h>
#include <heddle/io/http/calling/repeats.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/content/base64.h>
#include <heddle/io/http/content/random_bytes.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/timeout.h>
#include <heddle/sched/wait_for.h>

#include <limits>
#include <system_error>
#include <utility>

namespace heddle::http::detail {
namespace {

/// So much of a redirection's body is read, so that its connection can be used again.
constexpr std::size_t drained = 64 * 1024;
constexpr auto drain_limit = std::chrono::seconds(5);
/// So much of the body of a refused stream stands in its response_error.
constexpr std::size_t error_text = 16 * 1024;

bool closes(const call& c) {
  return c.pool->options.pool.force_close || c.fields.has_token("connection", "close");
}

task<> read_some(wire& w) {
  std::size_t n = 0;
  std::string piece;
  while (!w.parser.done() && !w.parser.failed() && n < drained) {
    const auto bytes = w.to.reader.buffered();
    w.to.reader.consume(w.parser.feed(bytes));
    w.parser.take_body(piece);
    n += piece.size();
    if (w.parser.done() || w.parser.failed()) break;
    const bool more = co_await w.to.reader.fill();
    if (!more) break;
  }
}

/// The answer is a redirection. A short body is read, so that the connection can be used again.
task<> put_away(call& c, answered a) {
  wire& w = *a.line;
  const bool is_short = w.parser.done() || w.parser.declared_length().value_or(0) <= drained;
  if (is_short && !w.parser.done()) {
    try {
      auto reading = wait_for(read_some(w), drain_limit);
      co_await reading;
    } catch (const std::exception&) {}  // settle() closes it
  }
  settle(*c.pool, std::move(a), c.has_body(), closes(c));
}

void prepare(call& c, wire& w) {
  auto limits = c.pool->options.limits;
  if (c.streams) limits.body_bytes = std::numeric_limits<std::size_t>::max();
  w.parser.set_limits(limits);
  w.busy = true;
  w.parser.next();
  w.parser.expect(c.method);
  c.phase = request_phase::read;
}

task<std::shared_ptr<sending>> begin_source(call& c) {
  auto beginning = c.extras->source.source().begin();
  begun_upload begun = co_await beginning;
  auto job = std::make_shared<sending>();
  job->from = std::move(begun.from);
  job->length = begun.length;
  job->write_limit = c.clocks().write;
  co_return job;
}

/// Whom the connection leads to, for errors. Through a tunnel it leads to the server.
std::string far_end(const call& c) {
  const auto* through = c.proxy();
  if (!through || c.to.scheme == "https") return c.to.authority();
  return "the proxy " + through->host + ":" + std::to_string(through->port);
}

[[noreturn]] void throw_unanswered(const call& c, const sending* job) {
  std::string text = c.name() + ": " + far_end(c) + " closed the connection without an answer";
  if (job) {
    text += "; " + std::to_string(job->sent.load(heddle::detail::relaxed)) +
            " bytes of the body were sent";
  }
  throw connection_lost(std::error_code(ECONNRESET, std::system_category()), text);
}

/// Ends the connection of a request that fails: a task that still sends may hold the object.
struct ends_unless_met {
  answered& of;
  bool met = false;
  ~ends_unless_met() {
    if (!met && of.line) of.line->end();
  }
};

/// Each connection has its own key (RFC 6455, 4.1).
void renew_key(call& c) {
  const std::string key = base64(random_bytes(16));
  c.fields.set("Sec-WebSocket-Key", key);
  if (c.extras->is_dressed) c.extras->dressed.set("Sec-WebSocket-Key", key);
}

/// One request and its answer, on a kept connection or a new one.
task<answered> ask(call& c) {
  const std::string where = where_to(c);
  for (;;) {
    answered a;
    if (c.has_source()) {
      auto beginning = begin_source(c);
      a.job = co_await beginning;
    }
    c.sent = sent_part::nothing;
    taken got = c.pool->take(where);
    if (got.line) {
      a.line = std::move(got.line);
    } else {
      auto reaching = reach(c, where, std::move(got));
      a.line = co_await reaching;
    }
    const bool was_kept = a.line->used;
    ends_unless_met ending{a};
    if (const auto* trace = c.trace(); trace && trace->connected)
      trace->connected(c.address, was_kept);
    prepare(c, *a.line);
    if (c.upgrades()) renew_key(c);
    bool& met = ending.met;
    if (a.job) {
      a.job->line = a.line;
      auto work = exchange_with_source(c, a);
      met = co_await work;
    } else {
      write_plain(c, *a.line);
      auto work = read_answer(c, *a.line, nullptr);
      met = co_await work;
    }
    a.line->used = true;
    if (met) co_return a;
    if (!was_kept || !may_be_repeated(c)) throw_unanswered(c, a.job.get());
  }
}

/// ask(), and again as the request's policy says.
task<answered> ask_patiently(call& c) {
  for (;;) {
    answered a;
    std::optional<std::string> told;
    try {
      auto asking = ask(c);
      a = co_await asking;
    } catch (const connect_error&) {
      if (!is_retried(c, 0)) throw;
    }
    if (a.line) {
      const auto& head = a.line->parser.message();
      if (!is_retried(c, head.status)) co_return a;
      if (const auto after = head.headers.get("retry-after")) told = *after;
      auto putting = put_away(c, std::move(a));
      co_await putting;
    }
    const auto wait = wait_before(*c.retry(), c.more().retried++, told, std::time(nullptr));
    co_await sleep(wait);
    dress(c);  // a digest counts on
  }
}

/// The answer looked like one that is not the last. It is: so its body is read.
task<> read_rest(call& c, answered& a) {
  c.more().answered = true;
  auto rest = read_answer(c, *a.line, a.job);
  (void)co_await rest;
}

task<answered> perform(call& c) {
  if (c.pool->options.https_only && c.to.scheme != "https")
    throw bad_value("plain http is refused (session_options::https_only): " + c.address);
  for (;;) {
    dress(c);
    const auto* trace = c.trace();
    if (trace && trace->request) trace->request(c.method, c.address);
    auto asking = c.retry() ? ask_patiently(c) : ask(c);
    answered a = co_await asking;
    const auto& head = a.line->parser.message();
    if (trace && trace->answer) trace->answer(c.address, head.status);
    take_cookies(c, head.headers);
    const bool follows = is_followed(c, head.status, head.headers);
    const bool again = is_challenge(c, head.status) && answers_challenge(c, head.headers);
    if (!follows && !again) {
      if (!c.streams && !a.line->parser.done()) {
        auto rest = read_rest(c, a);
        co_await rest;
      }
      co_return a;
    }
    const int status = head.status;
    const headers fields = head.headers;
    auto putting = put_away(c, std::move(a));
    co_await putting;
    if (follows) redirect(c, status, fields);
  }
}

/// perform() within the total time.
task<answered> limited(call& c) {
  if (!c.total) return perform(c);
  return timeout(*c.total, [&c] { return perform(c); });
}

std::string progress(const call& c) {
  switch (c.sent) {
    case sent_part::nothing: return "nothing of the request was sent";
    case sent_part::head: return "its head was sent";
    case sent_part::part: return "a part of it was sent";
    case sent_part::all: return "it was sent whole";
  }
  return {};
}

/// In a handler: tells the error with what is known of the request.
[[noreturn]] void rethrow_about(const call& c) {
  try {
    throw;
  } catch (http_error& e) {
    e.about(c.address, c.sent);
    throw;
  } catch (const timed_out&) { throw; } catch (const timeout_error&) {
    static constexpr const char* doing[] = {"waiting for a place in the pool", "connecting",
                                            "the answer was awaited", "sending",
                                            "the answer was awaited"};
    throw timed_out(request_phase::total, c.name() + ": the total time passed while " +
                                              doing[static_cast<int>(c.phase)] + "; " +
                                              progress(c));
  }
}

bool checks_status(const call& c) {
  return c.extras && c.extras->check_status ? *c.extras->check_status
                                            : c.pool->options.check_status;
}

/// The codings to be undone, or "".
std::string_view coding_of(const call& c, const headers& answer) {
  if (!c.extras || !c.extras->decodes) return {};
  const auto field = answer.get("content-encoding");
  if (!field) return {};
  const auto known = codings_in(*field);
  return known && !known->empty() ? *field : std::string_view();
}

/// The whole body, its codings undone.
task<std::string> decode_whole(std::string body, std::string field, std::size_t limit,
                               std::string url) {
  try {
    auto from = decoded(body_reader(std::move(body)), field);
    auto reading = from.read_all(limit);
    co_return co_await reading;
  } catch (const limit_overrun_error&) {
    payload_error e(errc::body_too_large, "the decoded body of " + url + " is larger than " +
                                              std::to_string(limit) +
                                              " bytes (limits::body_bytes)");
    e.about(url, sent_part::all);
    throw e;
  } catch (http_error& e) {
    e.about(url, sent_part::all);
    throw;
  }
}

template <class R>
void tell(R& r, call& c, response& got) {
  r.status = got.status;
  r.headers = std::move(got.headers);
  r.url = std::move(c.address);
  if (c.extras) r.history = std::move(c.extras->history);
  r.method = std::move(c.method);
}

}  // namespace

task<client_response> run_whole(call c) {
  answered a;
  try {
    auto work = limited(c);
    a = co_await work;
  } catch (const std::exception&) { rethrow_about(c); }
  auto& got = a.line->parser.message();
  client_response r;
  tell(r, c, got);
  r.body = std::move(got.body);
  settle(*c.pool, std::move(a), c.has_body(), closes(c));
  const auto field = coding_of(c, r.headers);
  if (!field.empty() && !r.body.empty()) {
    auto decoding = decode_whole(std::move(r.body), std::string(field),
                                 c.pool->options.limits.body_bytes, r.url);
    r.body = co_await decoding;
  }
  if (r.status >= 400 && checks_status(c)) throw response_error(std::move(r));
  co_return r;
}

task<client_stream> run_stream(call c) {
  c.streams = true;
  std::optional<time_point> until;
  if (c.total) until = saturating_add(clock::now(), c.total->get());
  answered a;
  try {
    auto work = limited(c);
    a = co_await work;
  } catch (const std::exception&) { rethrow_about(c); }
  after_call after{c.pool, c.name(), c.address, {c.clocks().read, until}, c.has_body(), closes(c)};
  client_stream r;
  tell(r, c, a.line->parser.message());
  if (a.line->parser.done()) {
    settle(*c.pool, std::move(a), after.had_body, after.closes);
  } else {
    std::unique_ptr<body_input> from =
        std::make_unique<answer_body>(std::move(a), std::move(after));
    const auto field = coding_of(c, r.headers);
    if (!field.empty()) from = decoded(std::move(from), field);
    r.body = body_reader(std::move(from));
  }
  if (r.status < 400 || !checks_status(c)) co_return r;
  client_response told;
  auto reading = r.body.read(error_text);
  told.body = co_await reading;
  told.status = r.status;
  told.headers = std::move(r.headers);
  told.url = std::move(r.url);
  told.history = std::move(r.history);
  told.method = std::move(r.method);
  throw response_error(std::move(told));
}

task<opened_line> run_opening(call c) {
  c.streams = true;
  std::optional<time_point> until;
  if (c.total) until = saturating_add(clock::now(), c.total->get());
  answered a;
  try {
    auto work = limited(c);
    a = co_await work;
  } catch (const std::exception&) { rethrow_about(c); }
  after_call after{c.pool, c.name(), c.address, {c.clocks().read, until}, false, closes(c)};
  opened_line r;
  r.key = c.sent_fields().get("sec-websocket-key").value_or("");
  r.url = c.address;
  wire& w = *a.line;
  const bool done = w.parser.done();
  r.answer.status = w.parser.message().status;
  r.answer.headers = std::move(w.parser.message().headers);
  if (done && r.answer.status == 101) {
    r.over = w.hand_on();
    co_return r;
  }
  if (done) {
    r.answer.body = std::move(w.parser.message().body);
    settle(*c.pool, std::move(a), false, after.closes);
    co_return r;
  }
  body_reader body(std::make_unique<answer_body>(std::move(a), std::move(after)));
  try {
    auto reading = body.read(error_text);
    r.answer.body = co_await reading;
  } catch (const http_error&) {
  } catch (const timed_out&) {}  // the head is reason enough
  co_return r;
}

std::string full_address(const session_options& options, std::string address) {
  if (!options.base_url.empty()) return resolve_url(options.base_url, address);
  return encode_url(address);
}

void add_defaults(headers& to, const headers& defaults) {
  const std::size_t own = to.size();
  const auto is_own = [&](std::string_view name) {
    for (std::size_t i = 0; i < own; ++i)
      if (same_token(to[i].name, name)) return true;
    return false;
  };
  for (const auto f : defaults)
    if (!is_own(f.name)) to.add(f.name, f.value);
}

void check_total(const std::optional<any_duration>& total) {
  if (total && total->get() <= duration::zero())
    throw bad_value("a time limit of a request must be longer than zero");
}

void check(const timeouts& clocks) {
  for (const auto* limit :
       {&clocks.connect, &clocks.sock_connect, &clocks.read, &clocks.write, &clocks.pool})
    check_total(*limit);
}

void check(const session_options& options) {
  check_total(options.timeout);
  check(options.timeouts);
  if (options.base_url.empty()) return;
  (void)url::parse(options.base_url);
  const auto path = std::string_view(options.base_url).substr(0, options.base_url.find('?'));
  if (!path.ends_with('/') || path.ends_with("://"))
    throw bad_value("the path of session_options::base_url must end with \"/\": " +
                    options.base_url);
}

}  // namespace heddle::http::detail
