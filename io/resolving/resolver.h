// SPDX-License-Identifier: MIT
// Internal to io.
// Looks names up for a runtime, on threads of its own.
#pragma once

#include <heddle/core/future.h>
#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/sched/runtime/services.h>
#include <heddle/sched/to_thread.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace heddle::detail {

/// Problem   getaddrinfo blocks, with a dead name server for ten seconds and more. On the threads
///           of to_thread seven dead names stopped every connection by name and every static file.
/// Rejected  One thread for each look-up: a crawler would have thousands. A cache: getaddrinfo does
///           not say for how long an answer holds.
/// Chosen    Threads of its own, most_threads at most. Equal questions at one time are asked once.
/// Promised  A cancelled wait ends at once. A look-up that no task waits for any more never begins,
///           or its answer is dropped. The end of the runtime waits for no look-up.
//
// under_way_, looking::waiting    under lock_
// looking::given, answered        thread-safe
class resolver final : public service {
 public:
  /// With more dead names than that at one time, other look-ups wait.
  static constexpr unsigned most_threads = 32;

  struct question {
    std::string host;
    std::uint16_t port = 0;
    int family = 0;
    bool passive = false;
    auto operator<=>(const question&) const = default;
  };
  struct answer {
    int error = 0;   // of getaddrinfo
    int system = 0;  // errno, if `error` is EAI_SYSTEM
    std::vector<address> addresses;
  };

  /// The resolver of the calling loop's runtime. Throws no_running_loop.
  static resolver& here();
  /// Calls getaddrinfo, which blocks unless `numeric_only`.
  static answer ask(const question& q, bool numeric_only);

  /// Yields the answer. Throws std::system_error if no thread can be had.
  [[nodiscard]] task<answer> look_up(question q);
  void end() noexcept override;
  /// A resolver that was made after the services of its runtime had ended waits for no look-up
  /// either.
  ~resolver() override { end(); }

 private:
  /// One look-up under way.
  struct looking {
    looking() : answered(given.get_future()) {}
    promise<answer> given;
    future<answer> answered;
    std::size_t waiting = 0;  // tasks that wait for it
  };
  class asker;

  std::mutex lock_;
  std::map<question, std::shared_ptr<looking>> under_way_;
  heddle::thread_pool threads_{most_threads};
};

}  // namespace heddle::detail
