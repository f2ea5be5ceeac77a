// SPDX-License-Identifier: MIT
// Internal to io.
// The names that one session has looked up.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/core/task.h>
#include <heddle/io/connecting/name_source.h>
#include <heddle/io/http/options.h>
#include <heddle/io/resolver.h>
#include <heddle/sched/any_task.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>

namespace heddle::http::detail {

/// Problem   A crawler opens many connections to one host. Without a cache each of them is a
///           look-up, and getaddrinfo does not say for how long its answer holds. With many
///           requests at once to a new host, each would ask the name server.
/// Rejected  The cache of the runtime's resolver, which is off by itself. It belongs to the
///           program, and all its connections would get old answers. Between the end of a look-up
///           and the keeping of its answer, it asks again.
/// Chosen    A session keeps answers for some seconds. Tasks that ask for one name at one time
///           wait for one look-up. Under one lock a name has its answer, or its look-up, or
///           neither. So no task finds neither while another has just got the answer.
/// Promised  A cancelled task disturbs no other: the look-up is a task of its own. It is cancelled
///           when no task waits for it any more. Errors are not kept. Each answer that is given
///           out begins with another address: equals take turns (resolving/rotation.h).
/// Costs     A lock and a look into a map for each connection that is opened. A kept connection
///           costs nothing.
//
// kept_, order_, under_way_, served::given, looking::waiting   under lock_
// looking::given, answered   thread-safe
// looking::work   written by the first asker before it waits, read by the last one that leaves
class session_names final : public heddle::detail::name_source,
                            public std::enable_shared_from_this<session_names> {
 public:
  explicit session_names(dns_options options);
  ~session_names() override;

  task<name_answer> addresses(std::string host, port_number port, bool fresh) override;
  /// How many answers are kept, those that have run out too.
  [[nodiscard]] std::size_t size() const;

 private:
  using key = std::pair<std::string, std::uint16_t>;
  // Look-ups belong to a runtime, and end with it: so its number is a part of the key.
  using look_key = std::tuple<std::string, std::uint16_t, bool, std::uint64_t>;

  /// An answer, and how often it was given out.
  struct served {
    name_answer answer;
    std::size_t given = 0;
  };
  struct kept {
    std::shared_ptr<served> what;
    time_point until;
    std::list<key>::iterator at;  // in order_
  };
  struct looking;
  class asker;
  class giver;

  task<> look_up(giver to, name_query q);
  task<name_answer> ask(name_query q);
  [[nodiscard]] bool take_kept(const key& k, name_answer& out);
  void keep(const key& k, const std::shared_ptr<served>& what);
  [[nodiscard]] name_answer give_out(served& s);

  const dns_options options_;
  mutable std::mutex lock_;
  std::map<key, kept> kept_;
  std::list<key> order_;  // the name that was asked for last is in front
  std::map<look_key, std::shared_ptr<looking>> under_way_;
};

}  // namespace heddle::http::detail
