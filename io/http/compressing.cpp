// SPDX-License-Identifier: MIT
// The middlewares that weigh a request: how often its client asks, and what its answer is worth
// packed.
#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/content/packable.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/middlewares.h>
#include <heddle/io/http/serving/rate_book.h>
#include <heddle/sched/to_thread.h>

#include <memory>
#include <string_view>
#include <utility>

namespace heddle::http {
namespace {

// A larger body is compressed on another thread: the loop has others to serve.
constexpr std::size_t most_on_loop = 64 * 1024;

/// What the server can make, the best first.
std::vector<coding> offers() {
  std::vector<coding> all;
  for (const auto* name : {"br", "gzip", "zstd", "deflate"})
    if (const auto c = coding_of(name)) all.push_back(*c);
  return all;
}

std::string_view type_of(const response& r) noexcept {
  return r.headers.get("content-type").value_or(r.content_type.text());
}

/// True if the answer may be sent in a coding.
bool may_pack(const response& r, const compress_options& o) {
  if (status_has_no_body(r.status) || r.status == 206 || r.stream.verbatim) return false;
  if (r.headers.contains("content-encoding") || r.headers.contains("content-range")) return false;
  if (r.headers.has_token("cache-control", "no-transform") || !detail::is_packable(type_of(r)))
    return false;
  return r.stream ? !r.stream.length || *r.stream.length >= o.least : r.body.size() >= o.least;
}

void mark_packed(response& r, coding how) {
  r.headers.set("Content-Encoding", name_of(how));
  r.headers.remove("content-length");
  r.headers.remove("accept-ranges");
  if (const auto tag = r.headers.get("etag"); tag && !tag->starts_with("W/"))
    r.headers.set("ETag", "W/" + std::string(*tag));
}

/// A filter for a body that streams.
body_source packed(body_source source, coding how, int level) {
  auto packer = std::make_shared<encoder>(how, level);
  source.length.reset();
  source.filter = [packer](std::string_view piece, bool last, std::string& out) {
    packer->write(piece, out);
    if (last) packer->finish(out);
  };
  return source;
}

}  // namespace

middleware compress() { return compress(compress_options()); }

middleware compress(compress_options options) {
  return [options, list = offers()](request& r, next go_on) -> task<response> {
    task<response> work = go_on(r);
    response answer = co_await work;
    if (!may_pack(answer, options)) co_return answer;
    if (!answer.headers.has_token("vary", "accept-encoding"))
      answer.headers.add("Vary", "Accept-Encoding");
    const auto how = negotiate(r.headers.get("accept-encoding"), list);
    if (!how) {
      response refused = response::error(406, "no coding that is accepted can be made");
      refused.headers.set("Vary", "Accept-Encoding");
      co_return refused;
    }
    if (*how == coding::identity) co_return answer;
    if (answer.stream) {
      answer.stream = packed(std::move(answer.stream), *how, options.level);
    } else if (answer.body.size() <= most_on_loop) {
      answer.body = encoded(*how, answer.body, options.level);
    } else {
      auto packing = to_thread([how = *how, level = options.level, body = std::move(answer.body)] {
        return encoded(how, body, level);
      });
      answer.body = co_await std::move(packing);
    }
    mark_packed(answer, *how);
    co_return answer;
  };
}

middleware rate_limit(rate how) {
  if (how.requests == 0 || how.burst == 0 || how.clients == 0 || how.per.get() <= duration::zero())
    throw bad_value("rate_limit: all numbers are at least 1, and the time is positive");
  const auto every = std::max<std::int64_t>(
      how.per.get().count() / heddle::detail::saturated<std::int64_t>(how.requests), 1);
  auto book = std::make_shared<detail::rate_book>(how.burst, duration(every), how.clients);
  return [book](request& r, next go_on) -> task<response> {
    const duration wait = book->take(r.remote(), clock::now());
    if (wait > duration::zero()) {
      response refused = response::error(429, "rate_limit");
      const auto seconds = (wait.count() + 999'999'999) / 1'000'000'000;
      refused.headers.add("Retry-After", std::to_string(seconds));
      co_return refused;
    }
    task<response> work = go_on(r);
    response answer = co_await work;
    co_return answer;
  };
}

}  // namespace heddle::http
