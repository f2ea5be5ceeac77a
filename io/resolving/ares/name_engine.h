// SPDX-License-Identifier: MIT
// Internal to io.
// The thread behind an ares_resolver.
//
// Problem   c-ares 1.18 is not thread-safe. It calls back from inside of its own functions, and it
//           wants to be asked again as long as a socket is readable.
// Rejected  A watch in a reactor: reactors tell edges, a rescue tells them on any thread, and
//           the sockets of a channel would be on one loop of one runtime. A channel for each loop:
//           each would read the configuration, and ask for the same names.
// Chosen    One thread owns the channel. It waits by poll(), whose levels are what c-ares expects.
//           Tasks put jobs into a list and wake the thread. A callback of c-ares notes its reply in
//           the job; the thread ends the job when c-ares has returned.
// Promised  A job touches nothing of a task and of a runtime but its promise, which may be
//           cancelled. The thread never wakes up while no query is under way. Nothing is called
//           back after the destructor, which ends the thread.
// Costs     Two switches of threads for a look-up that must ask a server.
#pragma once

#include <heddle/core/future.h>
#include <heddle/io/ares_resolver_options.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/resolver.h>
#include <heddle/io/resolving/ares/configuration.h>
#include <heddle/io/resolving/ares/kept_names.h>
#include <heddle/io/resolving/ares/name_channel.h>
#include <heddle/io/resolving/ares/reply.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace heddle::detail {

/// What the thread gives to a task.
struct name_outcome {
  name_answer answer;
  bool system = false;  // the system's resolver must be asked
};

class name_engine;

/// One look-up.
//
// query, answered    constant
// given              thread-safe
// the rest           of the thread
struct name_job {
  struct family_part {
    name_job* job = nullptr;
    int family = 0;
    family_reply reply;
  };
  explicit name_job(name_query q) : query(std::move(q)), answered(given.get_future()) {}

  const name_query query;
  promise<name_outcome> given;
  const future<name_outcome> answered;
  std::array<family_part, 2> parts;  // IPv6, IPv4
  unsigned asked = 0;                // how many of the parts
  unsigned left = 0;                 // those that c-ares has not called back for
  name_engine* home = nullptr;
  name_job* next_finished = nullptr;
};

//
// options_, files_, kept_    constant, or thread-safe
// new_, stop_, given_up_     under lock_
// the rest                   of the thread
class name_engine {
 public:
  /// Starts the thread. Throws bad_value, std::system_error.
  explicit name_engine(const ares_resolver_options& options);
  name_engine(const name_engine&) = delete;
  /// Ends the thread. The jobs that are left are dropped.
  ~name_engine();

  /// True: `out` is set. Throws the failure if that was kept. Thread-safe, as all of these.
  [[nodiscard]] bool find_kept(const name_query& q, name_answer& out);
  void begin(const std::shared_ptr<name_job>& j);
  /// No task waits for that job any more.
  void give_up(const name_job& j) noexcept;
  void flush() { kept_.flush(); }

 private:
  using jobs = std::map<const name_job*, std::shared_ptr<name_job>>;

  static void note_reply(void* part, int status, int timeouts, unsigned char* message,
                         int length) noexcept;
  void run() noexcept;
  /// True: it is to go on.
  [[nodiscard]] bool turn();
  void wake() noexcept;
  [[nodiscard]] bool take_new();
  void follow_files();
  void start_waiting();
  void start(const std::shared_ptr<name_job>& j);
  /// True: the job needs no server, and has its answer.
  [[nodiscard]] bool answer_here(name_job& j);
  void end_finished();
  void finish(name_job& j);
  void drop_if_none_waits();
  void drop_under_way() noexcept;
  void wait();
  void fail_all(const std::exception_ptr& error) noexcept;

  const ares_resolver_options options_;
  followed_files files_;
  kept_names kept_;
  fd bell_;
  std::mutex lock_;
  std::vector<std::shared_ptr<name_job>> new_;
  bool stop_ = false;
  bool given_up_ = false;

  std::uint64_t version_ = 0;  // of the files that channel_, hosts_ and system_ are of
  std::optional<name_channel> channel_;
  hosts_table hosts_;
  bool system_ = false;  // nsswitch.conf wants more than c-ares knows
  bool look_for_dropped_ = false;
  std::deque<std::shared_ptr<name_job>> waiting_;
  jobs under_way_;
  name_job* finished_ = nullptr;  // under way, and c-ares has called back for all of its parts
  std::vector<pollfd> polled_;
  std::thread thread_;
};

}  // namespace heddle::detail
