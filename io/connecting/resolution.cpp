// SPDX-License-Identifier: MIT
#include <heddle/io/connecting/resolution.h>

#include <heddle/io/connecting/children.h>
#include <heddle/io/resolving/finding.h>
#include <heddle/io/resolving/system_names.h>
#include <heddle/sched/task_group.h>

#include <exception>
#include <optional>
#include <utility>

namespace heddle::detail {
namespace {

/// What one family has given. Its task writes it, and the waiting task reads it when that one has
/// ended.
struct family_answer {
  name_answer answer;
  std::exception_ptr error;
};

/// A failure is noted, and not thrown: it would cancel the other family.
task<> look_up_family(name_query q, int family, family_answer& to) {
  try {
    q.family = family;
    task<name_answer> looking = find_addresses(std::move(q));
    to.answer = co_await looking;
  } catch (const std::exception&) { to.error = std::current_exception(); }
}

struct both_families {
  const name_query query;
  const any_duration delay;
  family_answer six = {}, four = {};
};

/// The body of the group.
task<> ask_both(both_families& b, task_group& group) {
  children under_way;
  under_way.reserve(2);
  const auto six = group.create_task(look_up_family(b.query, AF_INET6, b.six));
  const auto four = group.create_task(look_up_family(b.query, AF_INET, b.four));
  under_way.push_back(six);
  under_way.push_back(four);
  std::optional<any_duration> limit;
  for (std::size_t left = 2; left != 0;) {
    task<> waiting = wait_for_one(under_way, limit);
    co_await waiting;
    if (under_way.size() == left) break;  // the delay has passed
    left = under_way.size();
    if ((six.done() && !b.six.error) || (four.done() && !b.four.error)) limit = b.delay;
  }
  for (const auto& t : under_way) (void)t.cancel();
}

task<name_answer> addresses_by_family(name_query q, any_duration delay) {
  both_families b{std::move(q), delay};
  auto body = [&b](task_group& group) { return ask_both(b, group); };
  auto block = with_task_group(body);
  co_await std::move(block);
  // A look-up that was dropped has neither addresses nor an error.
  name_answer all = std::move(b.six.answer);
  const std::vector<address>& fours = b.four.answer.addresses;
  all.addresses.insert(all.addresses.end(), fours.begin(), fours.end());
  all.kept = all.kept || b.four.answer.kept;
  if (all.addresses.empty()) std::rethrow_exception(b.four.error ? b.four.error : b.six.error);
  co_return all;
}

}  // namespace

task<name_answer> addresses_of(const std::string& host, port_number port,
                               const connection_options& options, bool fresh) {
  name_query q;
  q.host = host;
  q.port = port;
  q.fresh = fresh;
  address literal;
  if (options.resolution_delay && options.family == 0 &&
      !is_literal(host, port, AF_UNSPEC, literal))
    return addresses_by_family(std::move(q), *options.resolution_delay);
  q.family = options.family;
  return find_addresses(std::move(q));
}

}  // namespace heddle::detail
