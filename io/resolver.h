// SPDX-License-Identifier: MIT
// What looks names up for a runtime: resolve(), open_connection, start_server and http::session ask
// it. A program or a test may put its own in place of the system's.
//
//   h::set_resolver([](const h::name_query& q) {
//     h::name_answer a;
//     if (q.host != "db.test") h::throw_name_error(h::name_error::no_such_name, q.host);
//     a.addresses.push_back(h::address::ip("127.0.0.1", q.port));
//     return a;
//   });
//
// A name is looked up in this order. Numeric addresses and "" are answered at once, and names that
// cannot be any are refused. Then the cache is asked, if it is on. A look-up that is under way for
// the same query is joined. Else the resolver is asked.
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/address.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/socket.h>

namespace heddle {

/// What a resolver is asked. The order of the fields is API: fields are appended, never reordered.
struct name_query {
  std::string host;
  /// For the addresses. 0, if `service` is not empty.
  std::uint16_t port = 0;
  /// The name of a service ("https"), whose port the addresses get; empty: `port` is that.
  std::string service = {};
  /// AF_INET, AF_INET6, or 0 for both.
  int family = 0;
  /// SOCK_STREAM, SOCK_DGRAM, or 0 for any.
  int type = SOCK_STREAM;
  /// For addresses to listen at.
  bool passive = false;
  /// The answer is to have the canonical name.
  bool canonical_name = false;
  /// Only addresses of families of which this machine has an address (AI_ADDRCONFIG).
  bool only_own_families = false;
  /// No kept answer will do: its addresses have refused. A resolver with a cache of its own passes
  /// over what that has, and keeps the new answer.
  bool fresh = false;

  auto operator<=>(const name_query&) const = default;
};

/// The order of the fields is API.
struct name_answer {
  /// The best first. Those that come twice are told once; an address without a port gets that of
  /// the query.
  std::vector<address> addresses;
  std::string canonical_name = {};
  /// For so long the answer holds. std::nullopt: not known, as with getaddrinfo.
  std::optional<any_duration> holds = {};
  /// True: the answer was kept from an earlier look-up, so it may be out of date. A resolver with a
  /// cache of its own sets it.
  bool kept = false;
};

/// Why a name has no address: codes of resolve_category(), with the numbers of getaddrinfo
/// (EAI_NONAME and so on).
enum class name_error : int {
  no_such_name = -2,    // EAI_NONAME
  timed_out = -3,       // EAI_AGAIN; glibc says that also of a server that failed for now
  server_failure = -4,  // EAI_FAIL
  no_data = -5,         // EAI_NODATA: the name is there, and has no address of that family
};
/// Throws std::system_error with that code, and the host in its text.
[[noreturn]] void throw_name_error(name_error why, const std::string& host);

/// Answers queries without blocking: by tasks. Derive from it.
class resolver {
 public:
  virtual ~resolver() = default;
  /// Yields the answer. Runs in a task of the runtime, on any loop; many run at one time, and no
  /// two of them for equal queries. It is cancelled when no task waits for the answer any more, and
  /// at the end of the runtime. What it throws is thrown by each resolve() that waits for it.
  [[nodiscard]] virtual task<name_answer> look_up(name_query query) = 0;
};

/// Answers a query, and may block: called on one of the runtime's threads for names, 32 at most.
/// Several threads may be in it at one time. A call that has begun cannot be cancelled. A runtime
/// that ends does not wait for it, drops its answer, and lets go of the function when the call
/// returns.
using blocking_look_up = std::function<name_answer(const name_query&)>;

/// The order of the fields is API.
struct resolver_options {
  /// An answer is kept for as long as it holds, and for this long at most; if it does not say how
  /// long it holds, for this long. Errors, answers without an address, and those that hold for no
  /// time are not kept. Zero: no answer is kept.
  ///
  /// A kept answer's equals, neighbours of one family and one scope, are turned by one place each
  /// time it is given. When all its addresses refuse, open_connection asks anew once.
  any_duration cache_for = std::chrono::seconds(0);
  /// So many answers are kept at most. Beyond that the one that ends first goes.
  std::size_t cache_most = 1000;
};

/// Replaces the resolver of the calling loop's runtime. Look-ups that are under way end as they
/// would have; no new one joins them. What was cached is forgotten.
/// Throws    no_running_loop outside of a runtime; usage_error for an empty resolver
/// Thread-safety  any task and callback, on any loop
void set_resolver(std::shared_ptr<resolver> by);
void set_resolver(std::shared_ptr<resolver> by, const resolver_options& options);
void set_resolver(blocking_look_up by);
void set_resolver(blocking_look_up by, const resolver_options& options);
/// Back to that of the system: getaddrinfo.
void reset_resolver();
void reset_resolver(const resolver_options& options);

/// What the system's resolver says, for a resolver that answers only some queries itself. Blocks.
/// Throws    std::system_error as resolve() does
/// Thread-safety  from any thread
[[nodiscard]] name_answer system_look_up(const name_query& query);

}  // namespace heddle
