// SPDX-License-Identifier: MIT
// Internal to io.
// What a server is inside: its listeners, its connections, and the tasks that serve them. Not a
// public header.
#pragma once

#include <heddle/io/address.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/reactor/source.h>
#include <heddle/io/server_options.h>
#include <heddle/io/servers/connection_handler.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/sched/any_task.h>

#include <sys/stat.h>

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace heddle::detail {

/// How long accepting pauses when what stops it stays.
inline constexpr std::chrono::seconds accept_pause{1};
/// Guests in a row that one listener could not take in, before its accepting pauses.
inline constexpr unsigned most_failures_in_a_row = 2;

/// One listening socket. Shared by the server and its accepting task: whichever goes last closes
/// the descriptor, so that nobody accepts on a number that has been given to something else. stop()
/// ends listening at once, from any thread.
class listener {
 public:
  listener(fd socket, unsigned loop) : socket_(std::move(socket)), loop_(loop) {}
  listener(const listener&) = delete;
  ~listener() { stop(); }

  /// Throws std::system_error about `where`.
  void start(int backlog, const address& where);
  void stop() noexcept;
  [[nodiscard]] bool stopped() const noexcept {
    return stopped_.load(acquire);  // pairs with stop()
  }
  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  [[nodiscard]] io_source& source() const noexcept { return *source_; }
  [[nodiscard]] source_name name() const noexcept { return name_; }

  /// Guests that could not be taken in since the last one that was. The accepting task's own.
  unsigned failures = 0;

 private:
  void end_watch() noexcept;

  fd socket_;
  unsigned loop_;
  io_source* source_ = nullptr;          // the accepting task's, and start()'s
  atomic<io_source*> watched_{nullptr};  // until the watch is ended, by start() or stop()
  source_name name_;
  atomic<bool> stopped_{false};
};

/// What one look at a listening socket found.
enum class accepted {
  drained,  // nobody waits there any more
  more,     // as many were accepted as at one go
  failing,  // what stops accepting stays: pause
  ended,    // the listener was stopped
};

class server_core;

/// Counts a connection's handler from its admission until its frame is gone, whether it ran or not.
class handler_ticket {
 public:
  /// The server has counted it already, under its lock.
  explicit handler_ticket(std::shared_ptr<server_core> s) noexcept : server_(std::move(s)) {}
  handler_ticket(handler_ticket&&) noexcept = default;
  handler_ticket& operator=(handler_ticket&&) = delete;
  ~handler_ticket();

 private:
  std::shared_ptr<server_core> server_;
};

// Protocol GUEST. One bad guest must not close the house.
//
// Problem   Whatever fails while a connection is accepted (the task factory, memory, a descriptor
//           that no reactor can watch) is thrown inside the accepting task. If that task ends, its
//           listener accepts nobody any more, in silence.
// Chosen    What fails belongs to that one guest: it is reported, the guest is dropped, and the
//           next one is accepted. If the next one fails too, or if the kernel is out of descriptors
//           or memory, accepting pauses: the guests wait in the kernel meanwhile.
// Promised  Only the end of the server, or something fatal, ends an accepting task. One that is
//           cancelled by others takes its server along, which so never claims to serve in vain.
//
// options_, where_             constant once the server is made
// handler_                     constant until the server is closed and its last handler has ended
// everything else               under the lock of changed_, where wait_closed and serve_forever
//                               wait
class server_core final : public stream_listener, public std::enable_shared_from_this<server_core> {
 public:
  server_core(connection_handler handler, server_options options)
      : handler_(std::move(handler)), options_(std::move(options)) {}
  ~server_core() { remove_path(); }

  /// Binds, on every loop; nothing listens yet.
  void bind(const std::vector<address>& at, unsigned loops);
  void start();
  void close() noexcept;
  void for_each_client(void (stream_core::*f)() noexcept);
  /// Cancels every handler; when the server is closed, also those that have yet to begin.
  void cancel_handlers();

  accepted accept_some(listener& l);
  [[nodiscard]] task<> handle(connection c) { return handler_(std::move(c)); }

  // stream_listener
  void closed(stream_core& core) noexcept override;

  struct view {
    bool serving, closed;
    std::size_t live;
  };
  [[nodiscard]] view look() noexcept;
  [[nodiscard]] std::vector<address> addresses() noexcept {
    return look().closed ? std::vector<address>() : where_;
  }
  [[nodiscard]] std::vector<int> sockets();
  /// Throws usage_error if another task runs serve_forever, or when the server is closed.
  void begin_forever();

  // --- handlers, and waiting for the end ---

  /// A handler's task while it runs, so that a handler which waits for its own server is known.
  /// Linked for its life.
  class running_handler {
   public:
    explicit running_handler(server_core& s) noexcept;
    running_handler(const running_handler&) = delete;
    ~running_handler();

   private:
    friend class server_core;
    server_core& server_;
    const any_task task_;
    running_handler* previous_ = nullptr;
    running_handler* next_ = nullptr;
  };

  /// What a task waits for.
  enum class until {
    closed,       // the server is closed
    empty,        // and its last connection and its last handler have ended
    others_gone,  // the same without the handlers that wait for it themselves
  };
  /// `empty` as the calling task has to wait for it: a handler that waits for its own end would
  /// wait for ever. Counts such a handler until stops_waiting().
  [[nodiscard]] until starts_waiting() noexcept;
  void stops_waiting() noexcept;
  [[nodiscard]] bool reached(until what) noexcept;
  [[nodiscard]] bool reached_locked(until what) const noexcept;
  void handler_ended() noexcept;

  wait_queue changed_;

 private:
  fd bind_one(const address& at, bool shared) const;
  void give_up_handler_locked(connection_handler& over) noexcept;
  [[nodiscard]] bool admit(fd socket, const address& from);
  [[nodiscard]] bool pauses_after(listener& l, std::exception_ptr error) noexcept;
  void report_pause(int code) noexcept;
  void remove_path() noexcept;
  void wake_all_locked(work_list& todo) noexcept {
    while (waiter* w = changed_.claim_first()) todo.schedule(*w->task);
  }
  void wake_if_emptier_locked(work_list& todo) noexcept {
    if (reached_locked(until::others_gone)) wake_all_locked(todo);
  }

  connection_handler handler_;
  const server_options options_;
  std::vector<address> where_;
  std::string path_;
  struct stat path_identity_{};

  bool serving_ = false;
  bool closed_ = false;
  bool forever_ = false;
  std::vector<std::shared_ptr<listener>> listeners_;
  std::vector<any_task> accepting_;
  time_point paused_until_ = time_point::min();
  std::size_t live_ = 0;              // connections
  std::size_t handlers_ = 0;          // admitted, and not yet gone
  std::size_t handlers_waiting_ = 0;  // of these, in wait_closed
  std::size_t handlers_running_ = 0;  // of these, in the list of first_running_
  bool cancels_handlers_ = false;     // as soon as they begin
  stream_core* first_ = nullptr;
  running_handler* first_running_ = nullptr;
};

/// Accepts at `l` until the server ends.
task<> accept_loop(std::shared_ptr<server_core> s, std::shared_ptr<listener> l);

/// Waits until the server is closed, or also empty.
task<> wait_for_server(std::shared_ptr<server_core> s, bool empty);

}  // namespace heddle::detail
