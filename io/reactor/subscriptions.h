// SPDX-License-Identifier: MIT
// Internal to io.
// The handlers of a runtime: what add_reader, add_writer and add_signal_handler have added.
// Protocol AGAIN, at the head of subscriptions.cpp, says how a handler is called for each edge.
#pragma once

#include <heddle/io/reactor/reactor.h>

#include <map>
#include <memory>
#include <mutex>

namespace heddle::detail {

class descriptor_watch;
class signal_watch;

/// All handlers of one runtime. They stand in the reactor of its first loop. asyncio has one loop
/// and heddle has many, so a task that has moved must find what it added on another loop.
/// Thread-safety  any thread.
class subscriptions {
 public:
  subscriptions();
  subscriptions(const subscriptions&) = delete;
  /// No loop runs any more. Afterwards signals have the actions that they had before.
  ~subscriptions();

  /// Takes the place of the handler that was there. Throws as driver::subscribe().
  void add(occasion when, int number, loop& home, driver& watcher, counted_ptr<handler> what);
  /// False: there was no handler.
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
  /// Ends what is watched for handlers. The first thing in the destructor of a derived class, since
  /// it uses that class.
  void end_subscriptions() noexcept { subscriptions_.reset(); }

 private:
  [[nodiscard]] subscriptions& all();

  std::mutex subscribing_;
  std::unique_ptr<subscriptions> subscriptions_;
};

}  // namespace heddle::detail
