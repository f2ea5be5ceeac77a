// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/application.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/serving/chain.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/runtime.h>

#include <exception>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace heddle::http::detail {
namespace {

/// Where in the tree of routers the walk stands.
struct place {
  std::string prefix;
  std::vector<middleware> around;
  const app_scope* parent = nullptr;
  const handler* fallback = nullptr;
  bool is_mounted = false;  // what no route takes is left to the router around it
};

class maker {
 public:
  explicit maker(application& app) noexcept : app_(app) {}
  void walk(router_plan& plan, route_table& table, place at);

 private:
  void add_route(const route_plan& one, route_table& table, const place& at,
                 const app_scope* scope);
  void add_pattern(const route_plan& one, const std::string& text, route_table& table,
                   const place& at, const app_scope* scope);
  static void add_miss(route_table& table, const place& at, const app_scope* scope);
  void note_name(const route_plan& one, const pattern& p);
  void refuse_twins(const route_plan& one, const pattern& p, const route_table& table);

  application& app_;
  std::unordered_map<std::string, std::string> seen_;  // by table, method and shape: the text
};

std::unique_ptr<route_target> make_target(const route_plan& one, std::string text,
                                          const std::vector<middleware>& around,
                                          const app_scope* scope) {
  handler_chain c{around, one.answer, one.mode == body_mode::whole};
  c.around.insert(c.around.end(), one.around.begin(), one.around.end());
  const bool plain = c.around.empty() && c.loads;
  auto to = std::make_unique<route_target>(
      route_target{plain ? one.answer : handler(in_chain(std::move(c))), std::move(text)});
  to->app = scope;
  to->body_limit = one.body_limit;
  if (one.gone != disconnect::by_method) to->ends_with_client = one.gone == disconnect::cancel;
  to->streams = one.mode == body_mode::stream;
  to->early = !plain;
  to->head = one.head;
  to->always = one.always;
  return to;
}

void maker::note_name(const route_plan& one, const pattern& p) {
  if (one.name.empty()) return;
  const auto [at, added] = app_.names.emplace(one.name, p);
  if (added || at->second.text() == p.text()) return;
  throw bad_value("the name \"" + one.name + "\" belongs to the route " + at->second.text() +
                  ", and is given to " + p.text() + " too");
}

void maker::refuse_twins(const route_plan& one, const pattern& p, const route_table& table) {
  const std::string method = one.asked ? std::string(one.asked->text()) : "any method";
  const std::string key =
      std::to_string(reinterpret_cast<std::uintptr_t>(&table)) + " " + method + " " + p.shape();
  const auto [at, added] = seen_.emplace(key, p.text());
  if (added) return;
  heddle::detail::throw_usage("two routes take the same requests: " + method + " " + at->second +
                              " and " + method + " " + p.text());
}

void maker::add_pattern(const route_plan& one, const std::string& text, route_table& table,
                        const place& at, const app_scope* scope) {
  const pattern p(text);
  refuse_twins(one, p, table);
  note_name(one, p);
  auto to = make_target(one, text, at.around, scope);
  to->names = p.names();
  table.add(p, one.asked, std::move(to));
}

void maker::add_route(const route_plan& one, route_table& table, const place& at,
                      const app_scope* scope) {
  const std::string text = at.prefix + one.path;
  if (one.is_prefix) {
    table.add_prefix(text, one.asked, make_target(one, text, at.around, scope));
    return;
  }
  // "/" of a router below "/admin" is "/admin", and "/admin/" too.
  if (one.path == "/" && !at.prefix.empty()) add_pattern(one, at.prefix, table, at, scope);
  add_pattern(one, text, table, at, scope);
}

void maker::add_miss(route_table& table, const place& at, const app_scope* scope) {
  if (at.prefix.find('{') != std::string::npos) return;
  route_table::miss m;
  m.prefix = at.prefix;
  m.app = scope;
  if (at.fallback != nullptr) {
    handler_chain c{at.around, *at.fallback, true};
    m.fallback = std::make_unique<route_target>(route_target{in_chain(std::move(c)), ""});
    m.fallback->app = scope;
    m.fallback->early = true;
  }
  if (!at.around.empty()) {
    handler refuse = [](request& r) { return std::move(*r.scope.get()->refused); };
    handler_chain c{at.around, std::move(refuse), false};
    m.refuser = std::make_unique<route_target>(route_target{in_chain(std::move(c)), ""});
    m.refuser->app = scope;
    m.refuser->early = true;
  }
  table.add_miss(std::move(m));
}

void maker::walk(router_plan& plan, route_table& table, place at) {
  plan.started = true;
  auto* const scope = app_.scopes.emplace_back(std::make_unique<app_scope>()).get();
  scope->parent = at.parent;
  scope->states = plan.states;
  for (const auto& m : plan.mappings) add_mapping(scope->mappings, m);
  scope->page = plan.page;
  scope->hooks = plan.prepare;
  app_.prepares |= !plan.prepare.empty();
  scope->names = &app_.names;
  at.around.insert(at.around.end(), plan.around.begin(), plan.around.end());
  if (plan.fallback) at.fallback = &*plan.fallback;
  app_.contexts.insert(app_.contexts.end(), plan.contexts.begin(), plan.contexts.end());
  app_.background.insert(app_.background.end(), plan.background.begin(), plan.background.end());
  for (const auto& one : plan.routes) add_route(*one, table, at, scope);
  if (!at.is_mounted) add_miss(table, at, scope);
  for (const auto& [where, what] : plan.below) {
    place below = at;
    below.prefix += where;
    below.parent = scope;
    below.is_mounted = where.empty();
    walk(*what, table, std::move(below));
  }
  for (const auto& [host, what] : plan.domains) {
    place below = at;
    below.parent = scope;
    below.is_mounted = false;
    walk(*what, table.domain(host), std::move(below));
  }
}

}  // namespace

void make_application(router_plan& root, route_table& table, application& app) {
  maker(app).walk(root, table, {});
}

task<> enter(application& app) {
  std::exception_ptr failure;
  try {
    for (; app.entered < app.contexts.size(); ++app.entered) {
      const auto& one = app.contexts[app.entered];
      if (!one.enter) continue;
      task<> work = one.enter();
      co_await work;
    }
    for (const auto& make : app.background) app.running.push_back(create_task(make()));
  } catch (...) { failure = std::current_exception(); }
  if (!failure) co_return;
  task<> leaving = leave(app);
  try {
    co_await leaving;
  } catch (const std::exception&) {  // the first failure says more
  }
  std::rethrow_exception(failure);
}

task<> leave(application& app) {
  std::vector<std::exception_ptr> failures;
  auto locking = app.leaving.scoped_lock();
  const auto alone = co_await std::move(locking);
  for (auto& one : app.running) (void)one.cancel();
  for (auto& one : app.running) {
    try {
      co_await one;
    } catch (const cancelled_error&) {  // as it was told; or this task is, and its exits still run
    } catch (...) { failures.push_back(std::current_exception()); }
  }
  app.running.clear();
  while (app.entered > 0) {
    const auto& one = app.contexts[--app.entered];
    if (!one.exit) continue;
    try {
      task<> work = one.exit();
      co_await work;
    } catch (...) { failures.push_back(std::current_exception()); }
  }
  if (failures.size() == 1) std::rethrow_exception(failures.front());
  if (!failures.empty()) throw exception_group("the application's end failed", failures);
}

}  // namespace heddle::http::detail
