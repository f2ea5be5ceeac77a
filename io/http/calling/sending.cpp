// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/sending.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/sched/wait_for.h>

#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace heddle::http::detail {
namespace {

task<> drain(stream_writer& to) { co_await to.drain(); }

/// Waits until there is room for more. False: the connection has ended.
task<bool> make_room(sending& s) {
  bool late = false;
  bool open = true;
  try {
    auto waiting = wait_for(drain(s.line->to.writer), s.write_limit);
    co_await waiting;
  } catch (const timeout_error&) { late = true; } catch (const std::system_error&) {
    open = false;
  }
  if (late) {
    throw timed_out(request_phase::write,
                    "the server took nothing of the body within the write time-out; " +
                        std::to_string(s.sent.load(heddle::detail::relaxed)) +
                        " bytes of it were sent");
  }
  co_return open;
}

[[noreturn]] void wrong_length(const sending& s, std::uint64_t n, const char* how) {
  throw usage_error("the body of a request gave " + std::string(how) + " than its length: " +
                    std::to_string(n) + " bytes of " + std::to_string(*s.length));
}

task<> send_pieces(sending& s) {
  auto& to = s.line->to.writer;
  std::uint64_t n = 0;
  std::string chunk;
  for (;;) {
    auto next = s.from->next();
    const std::string_view piece = co_await next;
    if (piece.empty()) break;
    n += piece.size();
    if (s.length && n > *s.length) wrong_length(s, n, "more");
    if (s.length) {
      to.write(piece);
    } else {
      chunk.clear();
      write_chunk(chunk, piece);
      to.write(chunk);
    }
    auto room = make_room(s);
    const bool open = co_await room;
    if (!open) co_return;
    s.sent.store(n, heddle::detail::relaxed);
  }
  if (s.length && n < *s.length) wrong_length(s, n, "less");
  if (!s.length) {
    chunk.clear();
    write_last_chunk(chunk);
    to.write(chunk);
  }
  // pairs with is_whole()
  s.whole.store(true, heddle::detail::release);
}

}  // namespace

task<> send_body(std::shared_ptr<sending> s) {
  std::exception_ptr cancelled;
  try {
    auto work = send_pieces(*s);
    co_await work;
  } catch (const cancelled_error&) { cancelled = std::current_exception(); } catch (...) {
    s->failure = std::current_exception();
  }
  s->from.reset();
  if (s->failure) {
    s->line->busy = true;
    s->line->to.writer.abort();
  }
  s->ended_at = clock::now();
  // pairs with is_done()
  s->done.store(true, heddle::detail::release);
  if (cancelled) std::rethrow_exception(cancelled);
}

}  // namespace heddle::http::detail
