// SPDX-License-Identifier: MIT
#include <heddle/io/http/inspector.h>

#include "inspector_html.h"

#include <heddle/core/base/atomic.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/inspecting/answers.h>
#include <heddle/io/http/inspecting/figures.h>
#include <heddle/io/http/inspecting/locality.h>
#include <heddle/sched/to_thread.h>

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::http {
namespace {

constexpr media_type plain_text = "text/plain; charset=utf-8";
constexpr media_type json = "application/json";
constexpr unsigned most_waiting = 16;  // requests, for the one thread

/// What the routes of one inspector share. Its thread begins with the first look, and ends when it
/// had nothing to do for a while.
struct desk {
  explicit desk(inspector_options o) noexcept : options(o) {}

  const inspector_options options;
  heddle::detail::atomic<unsigned> waiting{0};
  thread_pool thread{1};
};
using shared_desk = std::shared_ptr<desk>;

/// Gives a place among those that wait back.
class place {
 public:
  explicit place(desk& at) noexcept : at_(&at) {}
  place(place&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  ~place() {
    if (at_) at_->waiting.fetch_sub(1, heddle::detail::relaxed);
  }

 private:
  desk* at_;
};

response fresh(std::string body, media_type type, int status = 200) {
  response r;
  r.status = status;
  r.body = std::move(body);
  r.content_type = type;
  r.headers.add("Cache-Control", "no-store");
  return r;
}

response refused(std::string_view why) {
  return fresh(std::string(why) +
                   ": the inspector answers clients of this machine alone\n"
                   "(inspector_options::any_client lets others in)\n",
               plain_text, 403);
}

/// A look, and how its text is called.
struct answer {
  std::string (*make)(const inspector_options&);
  media_type type;
};

/// On the thread. It has all that it needs: the request may have been cancelled meanwhile.
std::string made_by(answer what, inspector_options options) { return what.make(options); }

task<response> look(shared_desk at, answer what, std::string_view refusal) {
  if (!refusal.empty()) co_return refused(refusal);
  if (at->waiting.fetch_add(1, heddle::detail::relaxed) >= most_waiting) {
    at->waiting.fetch_sub(1, heddle::detail::relaxed);
    auto busy = fresh("too many look at once\n", plain_text, 503);
    busy.headers.add("Retry-After", "1");
    co_return busy;
  }
  const place mine(*at);
  std::string failed;
  try {
    auto job = to_thread(at->thread, made_by, what, at->options);
    std::string text = co_await job;
    co_return fresh(std::move(text), what.type);
  } catch (const std::exception& e) { failed = e.what(); }
  co_return fresh(failed + "\n", plain_text, 503);
}

std::string_view why_not(const desk& at, const request& r) {
  return at.options.any_client ? std::string_view() : detail::why_not_local(r);
}

handler looks(const shared_desk& at, answer what) {
  return [at, what](request& r) -> task<response> { return look(at, what, why_not(*at, r)); };
}

/// JSON for who accepts it, else text.
handler shows_tree(const shared_desk& at) {
  const answer as_text{[](const inspector_options& o) { return detail::tree_text(o.most_tasks); },
                       plain_text};
  const answer as_json{[](const inspector_options& o) { return detail::tree_json(o.most_tasks); },
                       json};
  return [at, as_text, as_json](request& r) -> task<response> {
    const auto accepts = r.headers.get("accept").value_or("");
    const bool wants_json = accepts.find("application/json") != std::string_view::npos;
    return look(at, wants_json ? as_json : as_text, why_not(*at, r));
  };
}

response page_for(const desk& at, const request& r) {
  if (const auto why = why_not(at, r); !why.empty()) return refused(why);
  auto page = fresh(std::string(embedded::inspector_html), "text/html; charset=utf-8");
  // It asks nobody but this server, and stands in no page of another one.
  page.headers.add("Content-Security-Policy",
                   "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                   "img-src data:; "
                   "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                   "frame-ancestors 'self'");
  page.headers.add("X-Content-Type-Options", "nosniff");
  return page;
}

}  // namespace

router inspector() { return inspector(inspector_options()); }

router inspector(inspector_options options) {
  const auto at = std::make_shared<desk>(options);
  using o = inspector_options;
  router r;
  r.get("/inspector", [at](request& asked) { return page_for(*at, asked); });
  r.get("/metrics",
        looks(at, {[](const o&) { return detail::as_prometheus(detail::measure_all()); },
                   "text/plain; version=0.0.4; charset=utf-8"}));
  r.get("/figures.json",
        looks(at, {[](const o&) { return detail::as_json(detail::measure_all()); }, json}));
  r.get("/tasks.json",
        looks(at, {[](const o& set) { return detail::tasks_json(set.most_tasks); }, json}));
  r.get("/graph",
        looks(at, {[](const o& set) { return detail::graph_json(set.most_tasks); }, json}));
  r.get("/stalls", looks(at, {[](const o&) { return detail::stalls_json(); }, json}));
  r.get("/tree", shows_tree(at));
  return r;
}

}  // namespace heddle::http
