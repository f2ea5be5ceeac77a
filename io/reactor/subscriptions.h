// SPDX-License-Identifier: MIT
// Internal to io.
// Who is called when a descriptor is ready or a signal came: add_reader, add_writer,
// add_signal_handler of a runtime's loops.
#pragma once

#include <heddle/io/reactor/reactor.h>

#include <map>
#include <memory>
#include <mutex>

namespace heddle::detail {

class descriptor_watch;
class signal_watch;

/// One a runtime, in the reactor of its first loop: asyncio's one loop is all of ours, so a task
/// that has moved finds what it added elsewhere. From any thread.
class subscriptions {
 public:
  subscriptions();
  subscriptions(const subscriptions&) = delete;
  /// No loop runs any more; signals have their former actions afterwards.
  ~subscriptions();

  void add(occasion when, int number, loop& home, driver& watcher, counted_ptr<handler> what);
  bool remove(occasion when, int number);

 private:
  std::mutex mutex_;
  std::map<int, descriptor_watch*> descriptors_;
  signal_watch* signals_ = nullptr;
};

/// A reactor that keeps handlers for a runtime. Both reactors derive from it.
class subscribing_reactor : public reactor {
 public:
  void subscribe(occasion when, int number, loop& home, driver& watcher,
                 counted_ptr<handler> what) final;
  bool unsubscribe(occasion when, int number) final;

 protected:
  using reactor::reactor;
  /// The first thing that a destructor does: what is watched for handlers is watched no more.
  void end_subscriptions() noexcept { subscriptions_.reset(); }

 private:
  [[nodiscard]] subscriptions& all();

  std::mutex subscribing_;
  std::unique_ptr<subscriptions> subscriptions_;
};

}  // namespace heddle::detail
