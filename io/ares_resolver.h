// SPDX-License-Identifier: MIT
// A resolver that asks the name servers itself, by c-ares, where heddle was built with it.
//
//   h::set_resolver(h::ares_resolver::make());
//
// getaddrinfo holds a thread for each name. This resolver has one thread for all names. It also
// knows for how long an answer holds, so it keeps answers, and those that there is no such name.
//
// A name is looked up in this order: the answers that were kept; the hosts file; the servers. It is
// the system's resolver that is asked (getaddrinfo, on the threads for names) where only that gives
// the right answer: if nsswitch.conf names for hosts anything but "files dns", and for names
// without a dot, and in ".local". With `servers` of the program's own it is never asked.
//
// Give set_resolver no `cache_for` beside this resolver: that cache keeps no errors, and is not
// flushed when the configuration of the system changes.
#pragma once

#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/ares_resolver_options.h>
#include <heddle/io/resolver.h>

namespace heddle {

namespace detail {
class name_engine;
}

/// Sends queries by UDP. An answer that is truncated is asked for again by TCP. An answer with
/// another number, another question, or from another address or port is dropped. It asks for both
/// families at one time, and needs the answer or the failure of both. Where a family can be reached
/// from here, its addresses come first, IPv6 before IPv4.
/// Cost      one thread for as long as it lives. A kept answer: a lock, and up to five times a
///           second three stat() calls. Another: a message to the thread and back
/// Cancel    The wait ends at once. The answer is dropped. When no task waits for any look-up, all
///           queries are dropped at once; until then those of a cancelled look-up go on.
/// Thread-safety  any tasks on any loops, also of several runtimes
/// Lifetime  The destructor ends the thread, and waits for that. No look-up may be under way: the
///           runtimes see to that. After fork() it must not be used in the child.
class ares_resolver final : public resolver {
 public:
  /// Throws std::system_error (ENOTSUP) if heddle was built without c-ares (Debian: libc-ares-dev),
  /// and for want of a thread or a descriptor; bad_value.
  [[nodiscard]] static std::shared_ptr<ares_resolver> make(const ares_resolver_options& options);
  [[nodiscard]] static std::shared_ptr<ares_resolver> make() {
    return make(ares_resolver_options());
  }
  /// True: heddle was built with c-ares.
  [[nodiscard]] static bool is_available() noexcept;
  ~ares_resolver() override;

  /// Throws std::system_error of resolve_category(), with the name and what c-ares says of it.
  [[nodiscard]] task<name_answer> look_up(name_query query) override;
  /// Forgets the answers that were kept.
  void flush();

 private:
  explicit ares_resolver(const ares_resolver_options& options);

  std::unique_ptr<detail::name_engine> engine_;
};

}  // namespace heddle
