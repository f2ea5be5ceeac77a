// SPDX-License-Identifier: MIT
#include <heddle/io/http/router.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/serving/file_routes.h>
#include <heddle/io/http/serving/pattern.h>

#include <algorithm>

namespace heddle::http {
namespace {

std::string method_text(const std::optional<method>& m) {
  return m ? std::string(m->text()) : "any method";
}

/// Refuses a route that would never be asked, or that would silently take another one's place.
void refuse_equal(const detail::router_plan& plan, const detail::route_plan& added) {
  for (const auto& one : plan.routes) {
    if (one->is_prefix || one->shape != added.shape) continue;
    const bool any_before = !one->asked.has_value();
    if (!any_before && one->asked != added.asked) continue;
    heddle::detail::throw_usage("the route " + method_text(added.asked) + " " + added.path +
                                " is never asked: " + method_text(one->asked) + " " + one->path +
                                " takes its requests");
  }
}

void check_started(const detail::router_plan& plan) {
  if (plan.started)
    heddle::detail::throw_usage("routes, middlewares and state are added before the server starts");
}

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
}

}  // namespace

// --- route ---

detail::route_plan& route::mine() {
  check_started(*of_);
  return *one_;
}

route& route::name(std::string text) {
  auto& one = mine();
  if (text.empty()) throw bad_value("the name of a route is empty");
  for (const auto& other : of_->routes) {
    if (other.get() != one_ && other->name == text)
      throw bad_value("the name \"" + text + "\" belongs to the route " + other->path +
                      ", and is given to " + one.path + " too");
  }
  one.name = std::move(text);
  return *this;
}

route& route::use(middleware m) {
  mine().around.push_back(std::move(m));
  return *this;
}

route& route::body(body_mode mode) {
  mine().mode = mode;
  return *this;
}

route& route::body_limit(std::size_t bytes) {
  mine().body_limit = bytes;
  return *this;
}

route& route::on_disconnect(disconnect what) {
  mine().gone = what;
  return *this;
}

route& route::head(bool answers) {
  mine().head = answers;
  return *this;
}

route& route::always() {
  mine().always = true;
  return *this;
}

route& route::get(std::string path, handler h) {
  return *this = router(of_).get(std::move(path), std::move(h));
}
route& route::post(std::string path, handler h) {
  return *this = router(of_).post(std::move(path), std::move(h));
}
route& route::put(std::string path, handler h) {
  return *this = router(of_).put(std::move(path), std::move(h));
}
route& route::patch(std::string path, handler h) {
  return *this = router(of_).patch(std::move(path), std::move(h));
}
route& route::delete_(std::string path, handler h) {
  return *this = router(of_).delete_(std::move(path), std::move(h));
}
route& route::any(std::string path, handler h) {
  return *this = router(of_).any(std::move(path), std::move(h));
}

// --- router ---

router::router() : plan_(std::make_shared<detail::router_plan>()) {}

detail::router_plan& router::open() const {
  check_started(*plan_);
  return *plan_;
}

http::route router::add(std::optional<method> m, std::string path, handler h, bool is_prefix) {
  auto& plan = open();
  auto one = std::make_unique<detail::route_plan>(
      detail::route_plan{std::move(m), std::move(path), is_prefix, std::move(h)});
  if (is_prefix) {
    if (!one->path.starts_with('/'))
      throw bad_value("the path of a route begins with \"/\": \"" + one->path + "\"");
  } else {
    one->shape = detail::pattern(one->path).shape();
    refuse_equal(plan, *one);
  }
  auto* const added = plan.routes.emplace_back(std::move(one)).get();
  return {plan_, added};
}

http::route router::route(method m, std::string path, handler h) {
  return add(std::move(m), std::move(path), std::move(h), false);
}

http::route router::any(std::string path, handler h) {
  return add(std::nullopt, std::move(path), std::move(h), false);
}

http::route router::prefix(method m, std::string path, handler h) {
  return add(std::move(m), std::move(path), std::move(h), true);
}

http::route router::files(std::string path, const std::string& directory, files_options options) {
  handler h = detail::file_handler(directory, std::move(options), path.size());
  return add(method::get, std::move(path), std::move(h), true);
}

router& router::fallback(handler h) {
  open().fallback = std::move(h);
  return *this;
}

router& router::nest(std::string prefix, router below) {
  auto& plan = open();
  check_started(*below.plan_);
  if (!prefix.starts_with('/') || prefix.ends_with('/'))
    throw bad_value("a router stands below a prefix of whole segments (\"/admin\"), and not \"" +
                    prefix + "\"");
  if (below.plan_ == plan_) heddle::detail::throw_usage("a router cannot stand in itself");
  (void)detail::pattern(prefix);
  plan.below.push_back({std::move(prefix), std::move(below.plan_)});
  return *this;
}

router& router::mount(router other) {
  auto& plan = open();
  check_started(*other.plan_);
  if (other.plan_ == plan_) heddle::detail::throw_usage("a router cannot stand in itself");
  plan.below.push_back({"", std::move(other.plan_)});
  return *this;
}

router& router::domain(std::string host, router other) {
  auto& plan = open();
  check_started(*other.plan_);
  const std::string_view rest = std::string_view(host).substr(host.starts_with("*.") ? 2 : 0);
  if (rest.empty() || rest.find_first_of("*/: ") != std::string_view::npos)
    throw bad_value("a domain is a host (\"b.com\", \"*.b.com\"), and not \"" + host + "\"");
  if (other.plan_ == plan_) heddle::detail::throw_usage("a router cannot stand in itself");
  plan.domains.push_back({std::move(host), std::move(other.plan_)});
  return *this;
}

router& router::use(middleware m) {
  open().around.push_back(std::move(m));
  return *this;
}

router& router::keep(const void* key, detail::router_plan::counted_ptr value) {
  auto& states = open().states;
  std::erase_if(states, [&](const auto& entry) { return entry.first == key; });
  states.emplace_back(key, std::move(value));
  return *this;
}

router& router::map_error(detail::error_mapping m) {
  open().mappings.push_back(std::move(m));
  return *this;
}

router& router::error_page(detail::error_page f) {
  open().page = std::move(f);
  return *this;
}

router& router::on_prepare(detail::prepare_hook f) {
  open().prepare.push_back(std::move(f));
  return *this;
}

router& router::context(std::function<task<>()> enter, std::function<task<>()> exit) {
  open().contexts.push_back({std::move(enter), std::move(exit)});
  return *this;
}

router& router::background(std::function<task<>()> make) {
  open().background.push_back(std::move(make));
  return *this;
}

std::optional<response> negotiated_error(const request& r, int status, std::string_view detail) {
  const auto accepts = r.headers.get("accept").value_or("");
  const auto json =
      std::min(accepts.find("application/json"), accepts.find("application/problem+json"));
  const auto html = accepts.find("text/html");
  if (json == html) return std::nullopt;  // neither
  if (json < html) return response(problem(status, std::string(detail)));
  const std::string title = std::to_string(status) + " " + std::string(reason_phrase(status));
  std::string page = "<!DOCTYPE html>\n<title>" + title + "</title>\n<h1>" + title + "</h1>\n";
  if (!detail.empty()) {
    page += "<p>";
    append_escaped(page, detail);
    page += "</p>\n";
  }
  return response::html(std::move(page), status);
}

}  // namespace heddle::http
