// SPDX-License-Identifier: MIT
#include <heddle/io/connecting/race.h>

#include <heddle/io/connecting/attempt.h>
#include <heddle/io/connecting/children.h>
#include <heddle/sched/task_group.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

namespace heddle::detail {
namespace {

/// What the attempts share.
class contest {
 public:
  contest(const connection_options& o, tried& t) : options(o), notes(t) {}
  contest(const contest&) = delete;
  /// A cancelled race leaves its winner behind.
  ~contest() {
    if (winner_) winner_->writer.close();
  }

  const connection_options& options;
  tried& notes;

  void won(connection c) {
    {
      const std::lock_guard hold(lock_);
      if (!winner_) {
        winner_.emplace(std::move(c));
        return;
      }
    }
    c.writer.close();  // said, so that debug mode does not warn of it
  }
  /// Ends the race: `error` is no failure of an address.
  void broke(std::exception_ptr error) {
    const std::lock_guard hold(lock_);
    if (!error_) error_ = std::move(error);
  }
  [[nodiscard]] bool is_over() {
    const std::lock_guard hold(lock_);
    return winner_ || error_;
  }
  /// All attempts have ended. Yields the winner, if there is one. Throws the error that ended the
  /// race.
  [[nodiscard]] std::optional<connection> take() {
    const std::lock_guard hold(lock_);
    if (!winner_ && error_) std::rethrow_exception(error_);
    return std::exchange(winner_, std::nullopt);
  }

 private:
  std::mutex lock_;
  std::optional<connection> winner_;  // under lock_
  std::exception_ptr error_;          // under lock_
};

/// A failure is noted, and not thrown: it would cancel the whole group.
task<> try_one(contest& c, address to, std::size_t place) {
  try {
    task<connection> connecting = connect_to(to, c.options);
    connection made = co_await connecting;
    c.won(std::move(made));
  } catch (const std::system_error&) {
    c.notes.failed(place, std::current_exception());
  } catch (const std::exception&) { c.broke(std::current_exception()); }
}

task<> run_attempts(contest& c, const std::vector<address>& order, task_group& group,
                    children& running) {
  for (std::size_t i = 0; i < order.size() && !c.is_over(); ++i) {
    const std::size_t place = c.notes.begin(order[i]);
    running.push_back(group.create_task(try_one(c, order[i], place)));
    std::optional<any_duration> limit;
    if (i + 1 < order.size()) limit = c.options.attempt_delay;
    task<> waiting = wait_for_one(running, limit);
    co_await waiting;
  }
  while (!running.empty() && !c.is_over()) {
    task<> waiting = wait_for_one(running, std::nullopt);
    co_await waiting;
  }
}

/// The body of the group.
task<> compete(contest& c, const std::vector<address>& order, task_group& group) {
  children running;
  try {
    task<> work = run_attempts(c, order, group, running);
    co_await work;
    for (const auto& t : running) (void)t.cancel();
  } catch (const std::exception&) {
    c.broke(std::current_exception());
    group.cancel();  // there may be an attempt for whose handle there was no memory
  }
}

}  // namespace

std::vector<address> alternate_families(const std::vector<address>& addresses, std::size_t first) {
  std::vector<address> order, other;
  for (const auto& a : addresses)
    (a.family() == addresses.front().family() ? order : other).push_back(a);
  auto at = std::min(first, order.size());
  for (const auto& a : other) {
    order.insert(order.begin() + static_cast<std::ptrdiff_t>(at), a);
    at = std::min(at + 2, order.size());
  }
  return order;
}

task<connection> race(const std::vector<address>& addresses, const connection_options& options,
                      tried& notes) {
  const std::vector<address> order = alternate_families(addresses, options.first_family_count);
  contest c(options, notes);
  auto body = [&c, &order](task_group& group) { return compete(c, order, group); };
  auto block = with_task_group(body);
  co_await std::move(block);
  std::optional<connection> winner = c.take();
  if (winner) {
    connection made = std::move(*winner);
    co_return made;
  }
  notes.throw_all(options.all_errors);
}

}  // namespace heddle::detail
