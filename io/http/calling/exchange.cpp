// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/exchange.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/calling/dress.h>
#include <heddle/io/http/calling/repeats.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/tls.h>
#include <heddle/sched/wait_for.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <system_error>
#include <utility>

namespace heddle::http::detail {
namespace {

/// A server that does not know "Expect: 100-continue" says nothing. The body goes after so long.
constexpr auto continue_limit = std::chrono::seconds(1);

task<bool> fill(wire& w) { co_return co_await w.to.reader.fill(); }

/// What stands in the request line: all of the URL for a proxy of plain http.
std::string target_of(const call& c) {
  if (c.needs_tunnel()) return c.to.target;
  const auto* const through = c.proxy();
  if (!through || through->is_socks()) return c.to.target;
  return c.to.scheme + "://" + c.to.authority() + c.to.target;
}

/// Gives the parser what is there.
void feed(wire& w) {
  const auto bytes = w.to.reader.buffered();
  w.to.reader.consume(w.parser.feed(bytes));
}

/// Waits for "100 Continue", a final answer, or a second of silence.
task<> wait_for_leave(wire& w) {
  const auto until = saturating_add(clock::now(), continue_limit);
  auto& p = w.parser;
  while (p.interim_answers() == 0 && !p.head_done() && !p.failed()) {
    if (!w.to.reader.buffered().empty()) {
      feed(w);
      continue;
    }
    bool more = false;
    try {
      auto waiting = wait_for(fill(w), until - clock::now());
      more = co_await waiting;
    } catch (const timeout_error&) { break; } catch (const std::system_error&) {
      break;  // read_answer() meets it again
    }
    if (!more) break;
  }
}

/// Ends the task that sends a body, and waits for that.
task<> end_sender(answered& a) {
  if (!a.job || !a.sender.valid()) co_return;
  a.sender.cancel();
  try {
    co_await a.sender;
  } catch (const cancelled_error&) {}
}

/// True: the rest of the answer is for somebody else to read, or for nobody.
bool stops_at_head(const call& c, wire& w) {
  const auto& head = w.parser.message();
  return c.streams || is_followed(c, head.status, head.headers) || is_challenge(c, head.status) ||
         is_retried(c, head.status);
}

std::string_view limit_behind(const parse_error& e) {
  if (e.status == 413) return " (limits::body_bytes)";
  if (e.status != 431) return "";
  return e.reason.starts_with("too many") ? " (limits::header_count)" : " (limits::header_bytes)";
}

}  // namespace

task<bool> fill_in_time(wire& w, std::shared_ptr<sending> job, reading_limits limits,
                        std::string name) {
  if (!limits.read && !limits.until) co_return co_await w.to.reader.fill();
  const auto begun = clock::now();
  for (;;) {
    const bool writes = job && !job->is_done();
    time_point due = time_point::max();
    if (limits.read) {
      const auto from = writes ? clock::now() : job ? std::max(begun, job->ended_at) : begun;
      due = saturating_add(from, limits.read->get());
    }
    const bool is_total = limits.until && *limits.until <= due;
    if (is_total) due = *limits.until;
    bool late = false;
    bool more = false;
    try {
      auto waiting = wait_for(fill(w), due - clock::now());
      more = co_await waiting;
    } catch (const timeout_error&) { late = true; }
    if (!late) co_return more;
    if (is_total) {
      throw timed_out(request_phase::total,
                      name + ": the total time passed while the body of the answer was read");
    }
    const bool began_late =
        job && job->is_done() && saturating_add(job->ended_at, limits.read->get()) > clock::now();
    if (!writes && !began_late) {
      throw timed_out(request_phase::read, name +
                                               ": the server sent nothing within the read "
                                               "time-out; the request was sent whole");
    }
  }
}

void throw_bad_answer(const wire& w, const std::string& name, bool in_body, std::uint64_t got,
                      std::optional<std::uint64_t> declared) {
  const auto& e = w.parser.error();
  std::string text = name + ": the answer of " + w.to.writer.peer_address().to_string() +
                     " is not understood: " + std::string(e.reason) + std::string(limit_behind(e));
  const bool too_large = e.status == 413;
  if (!in_body && !too_large) throw protocol_error(text);
  if (!too_large && declared && got < *declared)
    text += "; " + std::to_string(got) + " of " + std::to_string(*declared) + " bytes came";
  throw payload_error(too_large ? errc::body_too_large : errc::broken_body, text);
}

void rethrow_lost(const std::string& name, const sending* job, bool in_body) {
  try {
    throw;
  } catch (const tls_truncated_error& e) {
    if (in_body) throw payload_error(name + ": the answer was cut off: " + e.what());
    throw connection_lost(e.code(), name + ": " + e.what());
  } catch (const tls_error&) { throw; } catch (const http_error&) {
    throw;
  } catch (const std::system_error& e) {
    std::string text = name + ": " + e.what();
    if (job) {
      text += "; " + std::to_string(job->sent.load(heddle::detail::relaxed)) +
              " bytes of the body were sent";
    }
    throw connection_lost(e.code(), text);
  }
}

void write_plain(call& c, wire& w) {
  std::string text;
  write_request(text, c.method, target_of(c), c.to.authority(), c.sent_fields(), c.body);
  c.sent = sent_part::part;
  w.to.writer.write(text);
  if (w.to.writer.buffered() == 0) c.sent = sent_part::all;
}

task<bool> exchange_with_source(call& c, answered& a) {
  wire& w = *a.line;
  std::string text;
  write_request_head(text, c.method, target_of(c), c.to.authority(), c.sent_fields(),
                     a.job->length);
  w.to.writer.write(text);
  c.sent = sent_part::head;
  if (c.extras->expect_continue) {
    auto waiting = wait_for_leave(w);
    co_await waiting;
  }
  const bool refused = w.parser.head_done() || w.parser.failed();
  if (!refused) {
    c.sent = sent_part::part;
    a.sender = create_task(send_body(a.job));
  }
  std::exception_ptr error;
  bool met = false;
  try {
    auto reading = read_answer(c, w, a.job);
    met = co_await reading;
  } catch (...) { error = std::current_exception(); }
  const bool goes_on = !error && met && !a.job->is_done() && !w.parser.done() && c.streams &&
                       w.parser.message().status < 300 && a.sender.valid();
  if (a.job->is_whole()) c.sent = sent_part::all;
  if (!goes_on) {
    auto ending = end_sender(a);
    co_await ending;
    if (a.job->is_done() && a.job->failure && (error || !met)) error = a.job->failure;
  }
  if (error) std::rethrow_exception(error);
  co_return met;
}

task<bool> read_answer(call& c, wire& w, std::shared_ptr<sending> job) {
  auto& parser = w.parser;
  auto& reader = w.to.reader;
  bool in_body = false;
  std::optional<std::uint64_t> declared;
  for (;;) {
    while (!parser.done() && !parser.failed()) {
      if (!in_body && parser.head_done()) {
        in_body = true;
        if (stops_at_head(c, w)) co_return true;
        declared = parser.declared_length();
      }
      const auto bytes = reader.buffered();
      if (bytes.empty()) break;
      reader.consume(parser.feed(bytes));
    }
    if (parser.done()) co_return true;
    // io_uring may not have told yet that the request was sent. An answer to a request without a
    // body says so, too.
    const bool heard = !parser.idle() && !c.has_body();
    if (!job && (heard || w.to.writer.buffered() == 0)) c.sent = sent_part::all;
    const std::uint64_t got = parser.message().body.size();
    if (parser.failed()) throw_bad_answer(w, c.name(), in_body, got, declared);
    bool more = false;
    try {
      const auto& limit = c.clocks().read;
      if (!limit) {
        more = co_await reader.fill();
      } else {
        auto waiting = fill_in_time(w, job, {limit, std::nullopt}, c.name());
        more = co_await waiting;
      }
    } catch (const std::system_error&) {
      if (!parser.idle() || (job && job->sent.load(heddle::detail::relaxed) != 0))
        rethrow_lost(c.name(), job.get(), in_body);
      co_return false;
    }
    if (more) continue;
    if (parser.idle()) co_return false;
    parser.finish();
  }
}

void settle(connection_pool& pool, answered a, bool had_body, bool closes) {
  wire& w = *a.line;
  const bool spoiled = a.job && !a.job->is_whole();
  if (spoiled && a.sender.valid()) a.sender.cancel();
  a.job.reset();
  // Protocol KEEP. Bytes behind the answer belong to no request. And a peer that answers before it
  // has got all of the request may never read the rest. In both cases the connection is not used
  // again. If a request has no body, a peer that answers it has got all of it.
  const bool clean =
      w.parser.done() && !spoiled && w.to.reader.buffered().empty() && (!had_body || w.all_sent());
  if (clean) w.busy = false;
  if (clean && w.parser.keep_alive() && !closes)
    pool.keep(std::move(a.line));
  else
    w.end();
}

}  // namespace heddle::http::detail
