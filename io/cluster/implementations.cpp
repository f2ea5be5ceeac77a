// SPDX-License-Identifier: MIT
// What a program can run, and in which job the caller runs.
#include <heddle/core/context.h>
#include <heddle/core/errors.h>
#include <heddle/io/cluster/call.h>
#include <heddle/io/cluster/token.h>

#include <map>
#include <mutex>

namespace heddle::cluster::detail {

namespace {

struct table {
  std::mutex lock;
  std::map<std::string, implementation> all;
};
table& implementations() {
  static auto* t = new table;  // static initializers of any order use it, and nothing destroys it
  return *t;
}

context_var<std::shared_ptr<slot_lender>>& lender() {
  static auto* v = new context_var<std::shared_ptr<slot_lender>>("heddle.cluster.lender", nullptr);
  return *v;
}

bool fine_name(const std::string& name) {
  if (name.empty() || name.size() > 100) return false;
  for (const char c : name) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
    if (!good) return false;
  }
  return true;
}

}  // namespace

std::string kind_of(const std::string& name, unsigned version) {
  return name + "." + std::to_string(version);
}

std::string checked_id(std::string id) {
  if (is_id(id)) return id;
  throw bad_value("\"" + id.substr(0, most_id) +
                  "\" is no id of a job: an id is OWNER.NUMBER or k.KEY, as handle::id() has it");
}

void add_implementation(implementation i) {
  auto& t = implementations();
  const auto kind = kind_of(i.name, i.options.version);
  const std::lock_guard hold(t.lock);
  if (!t.all.emplace(kind, std::move(i)).second)
    throw usage_error("the cluster's job " + kind + " is implemented twice in this program");
}

const implementation* find_implementation(const std::string& kind) {
  auto& t = implementations();
  const std::lock_guard hold(t.lock);
  const auto at = t.all.find(kind);
  return at == t.all.end() ? nullptr : &at->second;
}

std::size_t implementation_count() {
  auto& t = implementations();
  const std::lock_guard hold(t.lock);
  return t.all.size();
}

std::shared_ptr<slot_lender> current_lender() { return lender().get(nullptr); }
void set_current_lender(std::shared_ptr<slot_lender> l) { (void)lender().set(std::move(l)); }

void check_call(const call_spec& s) {
  const auto require = [&](bool fine, const char* what) {
    if (!fine) throw bad_value("the cluster's job " + s.name + ": " + what);
  };
  require(fine_name(s.name), "its name must be 1 to 100 letters, digits, '-' and '_'");
  require(fine_name(s.options.queue), "its queue must be 1 to 100 letters, digits, '-' and '_'");
  require(s.options.attempts >= 1, "attempts must be at least 1");
  require(s.options.retry.delay.count() >= 0, "retry.delay must not be negative");
  require(s.options.retry.factor >= 1 && s.options.retry.factor <= 1e6,
          "retry.factor must be 1 to 1e6");
  require(s.options.time_limit.count() >= 0, "time_limit must not be negative");
  require(s.key.size() <= 128, "a key has at most 128 bytes");
  require(!s.within || s.within->count() > 0, "within must be positive");
}

}  // namespace heddle::cluster::detail
