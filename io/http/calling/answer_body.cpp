// SPDX-License-Identifier: MIT
#include <heddle/io/http/calling/answer_body.h>

#include <heddle/core/errors.h>
#include <heddle/sched/loop.h>

#include <system_error>

namespace heddle::http::detail {

answer_body::answer_body(answered from, after_call of)
    : from_(std::move(from)), of_(std::move(of)), declared_(from_.line->parser.declared_length()) {}

answer_body::~answer_body() {
  if (!from_.line) return;
  try {
    if (current_loop_if_any() && !from_.job) {
      feed();
      if (from_.line->parser.done()) {
        settle(*of_.pool, std::move(from_), of_.had_body, of_.closes);
        return;
      }
    }
  } catch (...) {}  // no memory: the connection ends
  end();
}

void answer_body::end() noexcept {
  if (from_.line) from_.line->end();
  if (from_.job && from_.sender.valid()) from_.sender.cancel();
  from_.job.reset();
  from_.line.reset();
}

void answer_body::feed() {
  auto& w = *from_.line;
  const auto bytes = w.to.reader.buffered();
  if (!bytes.empty()) w.to.reader.consume(w.parser.feed(bytes));
}

task<std::string_view> answer_body::next() {
  for (;;) {
    if (!from_.line) co_return {};
    wire& w = *from_.line;
    feed();
    w.parser.take_body(piece_);
    got_ += piece_.size();
    if (w.parser.done()) settle(*of_.pool, std::move(from_), of_.had_body, of_.closes);
    if (!piece_.empty()) co_return piece_;
    if (!from_.line) co_return {};
    if (from_.job && from_.job->is_done() && from_.job->failure) {
      const auto failure = from_.job->failure;
      end();
      std::rethrow_exception(failure);
    }
    try {
      if (w.parser.failed()) throw_bad_answer(w, of_.name, true, got_, declared_);
      auto waiting = fill_in_time(w, from_.job, of_.limits, of_.name);
      const bool more = co_await waiting;
      if (!more) w.parser.finish();
    } catch (http_error& e) {
      e.about(of_.url, sent_part::all);
      end();
      throw;
    } catch (const timed_out&) {
      end();
      throw;
    } catch (const std::system_error&) {
      const auto job = from_.job;
      end();
      try {
        rethrow_lost(of_.name, job.get(), true);
      } catch (http_error& e) {
        e.about(of_.url, sent_part::all);
        throw;
      }
    }
  }
}

}  // namespace heddle::http::detail
