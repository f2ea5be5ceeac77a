// SPDX-License-Identifier: MIT
// Internal to io.
// The look-ups of a runtime: its resolver, its cache, and the threads of resolvers that block.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/future.h>
#include <heddle/core/task.h>
#include <heddle/io/resolver.h>
#include <heddle/sched/any_task.h>
#include <heddle/sched/runtime/services.h>
#include <heddle/sched/to_thread.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace heddle::detail {

/// Problem   getaddrinfo blocks, with a dead name server for ten seconds and more. On the threads
///           of to_thread seven dead names stopped every connection by name and every static file.
/// Rejected  One thread for each look-up: a crawler would have thousands. A cache that is on by
///           itself: getaddrinfo does not say for how long an answer holds.
/// Chosen    Threads of its own, most_threads at most. Equal queries at one time are asked once. A
///           resolver that does not block runs in a task, one for each query.
/// Promised  A cancelled wait ends at once. A look-up that no task waits for any more never begins,
///           is cancelled, or its answer is dropped. The end of the runtime waits for no look-up of
///           a thread, and such a look-up touches nothing of the runtime: its job owns the resolver
///           and the promise.
//
// by_, options_, cache_, under_way_, epoch_, looking::waiting    under lock_
// looking::given, answered    thread-safe
// looking::work    written by the first asker before it waits, read by the last one that leaves
// looking::epoch   constant
class look_ups final : public service {
 public:
  /// With more dead names than that at one time, other look-ups wait.
  static constexpr unsigned most_threads = 32;

  /// What answers. Both null: the system.
  struct back_end {
    std::shared_ptr<resolver> by_tasks;
    std::shared_ptr<const blocking_look_up> by_calls;
  };

  /// Those of the calling loop's runtime. Throws no_running_loop.
  static look_ups& here();

  void replace(back_end by, const resolver_options& options);
  /// Yields the answer, from the cache or by asking. Throws what the resolver throws, and
  /// std::system_error if no thread can be had.
  [[nodiscard]] task<name_answer> look_up(name_query q);
  /// Calls `f`, which may block, on one of the threads.
  template <class F>
  auto call(F f) {
    return threads_.submit(std::move(f));
  }
  void end() noexcept override;
  /// Look-ups that were made after the services of their runtime had ended are not waited for
  /// either.
  ~look_ups() override { end(); }

 private:
  /// One look-up under way.
  struct looking {
    explicit looking(std::uint64_t e) : answered(given.get_future()), epoch(e) {}
    promise<name_answer> given;
    future<name_answer> answered;
    any_task work;            // of a resolver by tasks
    std::size_t waiting = 0;  // tasks that wait for it
    const std::uint64_t epoch;
  };
  struct kept {
    name_answer answer;
    time_point until;
    std::size_t given = 0;  // how often, since it was kept
  };
  class asker;
  class giver;

  static void begin(const std::shared_ptr<looking>& look, const back_end& by, const name_query& q,
                    heddle::thread_pool& threads);
  static task<> work_for(giver to, std::shared_ptr<resolver> by, name_query q);
  static void give(looking& to, name_answer a, std::exception_ptr error) noexcept;
  [[nodiscard]] bool find_kept(const name_query& q, name_answer& out);
  void keep(name_query q, const name_answer& a, std::uint64_t epoch);

  std::mutex lock_;
  back_end by_;
  resolver_options options_;
  std::uint64_t epoch_ = 0;  // counts the resolvers
  std::map<name_query, std::shared_ptr<looking>> under_way_;
  std::map<name_query, kept> cache_;
  heddle::thread_pool threads_{most_threads};
};

}  // namespace heddle::detail
