// SPDX-License-Identifier: MIT
#include <heddle/io/http/middlewares.h>

#include <heddle/core/base/config.h>
#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/problem.h>
#include <heddle/io/http/serving/request_scope.h>
#include <heddle/io/http/url.h>
#include <heddle/sched/wait_for.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string_view>
#include <utility>

namespace heddle::http {
namespace {

bool is_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  });
}

// Never inlined: a coroutine that calls it may resume on another thread, and must not find the
// address of a thread-local that was kept from before.
HEDDLE_NOINLINE std::string random_id() {
  thread_local std::mt19937_64 numbers{std::random_device{}()};
  constexpr std::string_view digits = "0123456789abcdef";
  std::string id;
  for (int half = 0; half < 2; ++half) {
    auto n = numbers();
    for (int i = 0; i < 16; ++i, n >>= 4) id += digits[n & 15];
  }
  return id;
}

std::string joined(const std::vector<std::string>& list) {
  std::string all;
  for (const auto& item : list) all += (all.empty() ? "" : ", ") + item;
  return all;
}

void add_vary(headers& h, std::string_view name) {
  if (!h.has_token("vary", name) && !h.has_token("vary", "*")) h.add("Vary", name);
}

class cors_rules {
 public:
  explicit cors_rules(cors_options o)
      : o_(std::move(o)),
        all_(std::ranges::find(o_.origins, "*") != o_.origins.end()),
        methods_(joined(o_.methods)),
        readable_(joined(o_.answer_fields)) {
    if (all_ && o_.credentials)
      throw bad_value("cors: credentials are for named origins, and not for \"*\"");
  }

  [[nodiscard]] static bool is_preflight(const request& r) {
    return r.method == method::options && r.headers.contains("access-control-request-method");
  }
  [[nodiscard]] response preflight(const request& r, std::string_view origin) const {
    response answer;
    answer.status = 204;
    mark(answer, origin);
    add_vary(answer.headers, "Access-Control-Request-Method");
    add_vary(answer.headers, "Access-Control-Request-Headers");
    if (!allows(origin)) return answer;
    answer.headers.set("Access-Control-Allow-Methods", methods_);
    const bool any = std::ranges::find(o_.request_fields, "*") != o_.request_fields.end();
    const auto asked = r.headers.get("access-control-request-headers");
    if (any && asked)
      answer.headers.set("Access-Control-Allow-Headers", *asked);
    else if (!any && !o_.request_fields.empty())
      answer.headers.set("Access-Control-Allow-Headers", joined(o_.request_fields));
    const auto seconds = o_.max_age.get().count() / 1'000'000'000;
    answer.headers.set("Access-Control-Max-Age",
                       std::to_string(std::max<std::int64_t>(seconds, 0)));
    return answer;
  }
  void mark(response& answer, std::string_view origin) const {
    if (!all_) add_vary(answer.headers, "Origin");
    if (!allows(origin)) return;
    answer.headers.set("Access-Control-Allow-Origin", all_ ? std::string_view("*") : origin);
    if (o_.credentials) answer.headers.set("Access-Control-Allow-Credentials", "true");
    if (!readable_.empty()) answer.headers.set("Access-Control-Expose-Headers", readable_);
  }

 private:
  [[nodiscard]] bool allows(std::string_view origin) const {
    return !origin.empty() && (all_ || std::ranges::find(o_.origins, origin) != o_.origins.end());
  }

  cors_options o_;
  bool all_;
  std::string methods_;
  std::string readable_;
};

/// The path with single slashes.
std::string merged(std::string_view path) {
  std::string out;
  for (const char c : path)
    if (c != '/' || !out.ends_with('/')) out += c;
  return out;
}

/// Where the path has a route, if it has one at another place.
std::string better_path(const request& r) {
  const auto* const s = r.scope.get();
  std::string_view raw = r.target;
  raw = raw.substr(0, raw.find('?'));
  if (s == nullptr || s->gate == nullptr || !raw.starts_with('/')) return {};
  // Browsers take "/\x" for a host.
  std::string path = merged(raw);
  if (path.starts_with("/\\")) return {};
  const auto has = [&](const std::string& p) {
    return !p.empty() && p != raw && s->gate->has_route(r, p);
  };
  if (has(path)) return path;
  if (path.ends_with('/'))
    path.pop_back();
  else
    path += '/';
  return has(path) ? path : std::string();
}

}  // namespace

middleware request_id() { return request_id("X-Request-Id"); }

middleware request_id(std::string field) {
  return [field = std::move(field)](request& r, next go_on) -> task<response> {
    const auto sent = r.headers.get(field).value_or("");
    const std::string id = is_id(sent) ? std::string(sent) : random_id();
    r.set(request_id_text{id});
    task<response> work = go_on(r);
    response answer = co_await work;
    answer.headers.set(field, id);
    co_return answer;
  };
}

middleware time_limit(any_duration most) {
  if (most.get() <= duration::zero()) throw bad_value("time_limit: the time is to be positive");
  return [most](request& r, next go_on) -> task<response> {
    bool late = false;
    response answer;
    try {
      task<response> work = go_on(r);
      auto limited = wait_for(std::move(work), most.get());
      answer = co_await std::move(limited);
    } catch (const timeout_error&) { late = true; }
    if (late) throw status_error(503, "the request took too long");
    co_return answer;
  };
}

middleware body_limit(std::size_t bytes) {
  return [bytes](request& r, next go_on) -> task<response> {
    const auto* const s = r.scope.get();
    if (s != nullptr && s->gate != nullptr && !s->loaded && !s->gate->limit_body(bytes))
      throw status_error(413, "the body is too large");
    task<response> work = go_on(r);
    response answer = co_await work;
    co_return answer;
  };
}

middleware strict_query() {
  return [](request& r, next go_on) -> task<response> {
    const std::string_view query = r.raw_query();
    for (auto at = query.find('%'); at < query.size(); at = query.find('%', at + 1)) {
      std::string decoded;
      if (!percent_decode(query.substr(at, 3), decoded))
        throw status_error(400, "the query has a broken escape");
    }
    task<response> work = go_on(r);
    response answer = co_await work;
    co_return answer;
  };
}

middleware cors() { return cors(cors_options()); }

middleware cors(cors_options options) {
  return [rules = cors_rules(std::move(options))](request& r, next go_on) -> task<response> {
    const std::string origin(r.headers.get("origin").value_or(""));
    if (cors_rules::is_preflight(r)) co_return rules.preflight(r, origin);
    task<response> work = go_on(r);
    response answer = co_await work;
    rules.mark(answer, origin);
    co_return answer;
  };
}

middleware security_headers() {
  return [](request& r, next go_on) -> task<response> {
    const bool secure = r.scheme() == "https";
    task<response> work = go_on(r);
    response answer = co_await work;
    const auto put = [&](std::string_view name, std::string_view value) {
      if (!answer.headers.contains(name)) answer.headers.add(name, value);
    };
    put("X-Content-Type-Options", "nosniff");
    put("X-Frame-Options", "DENY");
    put("Referrer-Policy", "no-referrer");
    put("Cross-Origin-Opener-Policy", "same-origin");
    if (secure) put("Strict-Transport-Security", "max-age=31536000; includeSubDomains");
    co_return answer;
  };
}

middleware normalize_path() {
  return [](request& r, next go_on) -> task<response> {
    task<response> work = go_on(r);
    response answer = co_await work;
    if (answer.status != 404 || !r.pattern().empty()) co_return answer;
    std::string to = better_path(r);
    if (to.empty()) co_return answer;
    if (const auto query = r.raw_query(); !query.empty()) to.append("?").append(query);
    co_return redirect(permanent_redirect, to, redirect_to::local);
  };
}

}  // namespace heddle::http
