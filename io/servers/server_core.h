// SPDX-License-Identifier: MIT
// Internal to io.
// The inside of a server: its listeners, its connections, and the tasks that serve them. Its three
// source files are one class: server_accept.cpp takes connections in, server_guests.cpp has what
// their tasks do first, server_core.cpp has the rest.
#pragma once

#include <heddle/io/address.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/server_options.h>
#include <heddle/io/server_stats.h>
#include <heddle/io/servers/binding.h>
#include <heddle/io/servers/connection_handler.h>
#include <heddle/io/servers/guest.h>
#include <heddle/io/servers/limits.h>
#include <heddle/io/servers/listener.h>
#include <heddle/io/servers/places.h>
#include <heddle/io/servers/unix_path.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/sched/any_task.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace heddle::detail {

/// How one visit to a listening socket ended.
enum class accepted {
  drained,  // no connection waits there any more
  more,     // as many were accepted as are allowed at one go
  wanting,  // descriptors or memory are out: pause until some may be free
  failing,  // the cause of a failure is likely to stay: pause
  full,     // all places are taken: wait for one
  ended,    // the listener was stopped
};

class server_core;

/// Counts the handler of a connection, from its admission until its frame is gone. A handler that
/// never began is counted too. It keeps the place of its guest as long.
class handler_ticket {
 public:
  /// admit() has counted this handler already, under the lock. `g`: null on a server without
  /// guests.
  handler_ticket(std::shared_ptr<server_core> s, std::shared_ptr<guest> g) noexcept
      : server_(std::move(s)), guest_(std::move(g)) {}
  handler_ticket(handler_ticket&&) noexcept = default;
  handler_ticket& operator=(handler_ticket&&) = delete;
  ~handler_ticket();
  [[nodiscard]] guest* whose() const noexcept { return guest_.get(); }

 private:
  std::shared_ptr<server_core> server_;
  std::shared_ptr<guest> guest_;
};

/// Counts a place through which guests may still come in, also after the server was closed: an
/// accepting task, or the close() that takes in what waits in the kernel.
class door {
 public:
  explicit door(std::shared_ptr<server_core> s) noexcept;
  door(door&&) noexcept = default;
  door& operator=(door&&) = delete;
  ~door();

 private:
  std::shared_ptr<server_core> server_;
};

/// Protocol BACKLOG: the end of a server resets no guest that the kernel has let in.
///   Danger     A client whose handshake is done stands in the backlog of a listening socket, and
///              believes that it is served. The kernel resets it when listening ends.
///   Prevented  close() first makes the kernel ignore new guests: a filter drops each first packet
///              (SYN) of a TCP client, and a Unix socket refuses by itself once it is shut down.
///              Then close() accepts all that wait, on the calling loop, and only then ends
///              listening. A client that was ignored asks again, and is refused. An accepting task
///              may hold a guest just then. So each is a door, and the server is not empty while a
///              door is open. If all places are taken (max_connections), close() leaves the rest
///              to a task, which takes guests in as places become free, and then ends listening.
///   Shared     A socket that others have, too, is left as it is: they go on with it. close() takes
///              in what waits there just then, a backlog at the most. A guest that comes between
///              that and the end is theirs; if there are no others, it is reset.
///   Remains    A client whose handshake is half done when listening ends is reset: the kernel has
///              answered it, and waits for its last packet. Outside of a loop, and when the runtime
///              ends, nothing can be served, and the backlog is dropped.
///   Costs      One pass over the backlog in close(). Nothing while the server accepts.
///   Tested by  tests/conformance/io/conn_servers.cpp
///
/// Protocol GUEST: one bad guest must not close the house.
///   Danger     Taking a connection in may fail: in the task factory, for want of memory, at a
///              descriptor that no reactor can watch. The failure is thrown inside the accepting
///              task. If that task ended, its listener would accept nobody any more, in silence.
///   Prevented  A failure belongs to that one guest. It is reported, the guest is dropped, and the
///              next one is accepted. If the next one fails too, accepting pauses for a second.
///              If the kernel is out of descriptors or memory, accepting pauses for 5 ms, then for
///              twice as long each time, up to 80 ms. Guests wait in the kernel meanwhile.
///   Promised   Only the end of the server, or a fatal error, ends an accepting task. An accepting
///              task that others cancel closes its server, so no server claims to serve in vain.
///   Costs      One accept each 80 ms and listener while descriptors are out.
///   Tested by  tests/io/server_guests.cpp
//
// options_, places_, where_    constant once the server is made
// path_                        the caller of take_over(); then close(), the first call; then the
//                              destructor
// limits_                      has a lock of its own
// handler_                     constant until the server is closed and its last handler has ended
// the rest                     under the lock of changed_, the queue of wait_closed() and
//                              serve_forever()
class server_core final : public stream_listener, public std::enable_shared_from_this<server_core> {
 public:
  server_core(connection_handler handler, server_options options, unsigned loops);
  ~server_core() { path_.remove(); }

  /// What it listens at, and the path that it removes at its end. Called once, before start().
  void take_over(binding b, owned_path path);
  void start();
  /// What becomes of guests that wait in the kernel.
  enum class waiting_guests {
    served,
    dropped,
    left,  // to others, who have the listening sockets, too: these stay as they are
  };
  void close(waiting_guests waiting = waiting_guests::served) noexcept;
  void for_each_client(void (stream_core::*f)() noexcept);
  /// Cancels all handlers; on a closed server also those that have yet to begin.
  void cancel_handlers();

  accepted accept_some(listener& l);
  /// Takes in guests that wait at the listeners. True: some may wait still, and all places are
  /// taken. The caller holds a door.
  [[nodiscard]] bool take_in_waiting(const std::vector<std::shared_ptr<listener>>& all) noexcept;
  /// Null: there is no limit.
  [[nodiscard]] places* all_places() const noexcept { return places_.get(); }
  /// True: receive_guest() comes before the handler.
  [[nodiscard]] bool receives_guests() const noexcept {
    return options_.proxy_header || options_.tls || limits_.has_any();
  }
  /// PROXY header, TLS, limits. False: the guest was turned away, and that was reported.
  [[nodiscard]] task<bool> receive_guest(connection& c, guest* g);
  /// A guest could not be taken in, or was turned away.
  void count_dropped() noexcept;
  /// A guest's TLS or PROXY header has failed. Nothing: it is counted, and not reported
  /// (report_every). Else how many others failed since the last report.
  [[nodiscard]] std::optional<std::uint64_t> may_report_failure() noexcept;
  [[nodiscard]] limit_keeper& limits() noexcept { return limits_; }
  [[nodiscard]] const server_options& options() const noexcept { return options_; }
  [[nodiscard]] task<> handle(connection c) { return handler_(std::move(c)); }

  // stream_listener
  void closed(stream_core& core) noexcept override;

  struct view {
    bool serving, closed;
    std::size_t live;
  };
  [[nodiscard]] view look() noexcept;
  [[nodiscard]] std::vector<address> addresses() {
    return look().closed ? std::vector<address>() : where_;
  }
  /// The port of the first address; 0 once closed.
  [[nodiscard]] std::uint16_t port() noexcept { return look().closed ? 0 : where_.front().port(); }
  [[nodiscard]] std::vector<int> sockets();
  [[nodiscard]] server_stats stats();
  /// Throws usage_error if another task runs serve_forever(), or on a closed server.
  void begin_forever();

  // --- handlers, and waiting for the end ---

  /// The task of a handler while it runs, in a list of the server. By it a handler that waits for
  /// its own server is recognised.
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

  /// The goal of a wait.
  enum class until {
    closed,       // the server is closed
    empty,        // closed, and the last connection and the last handler have ended
    others_gone,  // as `empty`, but without the handlers that wait for it themselves
  };
  /// The goal of a calling task that wants `empty`. A handler that waited for its own end would
  /// wait for ever: it gets others_gone, and is counted until stops_waiting().
  [[nodiscard]] until starts_waiting() noexcept;
  void stops_waiting() noexcept;
  [[nodiscard]] bool reached(until what) noexcept;
  [[nodiscard]] bool reached_locked(until what) const noexcept;
  void handler_ended() noexcept;
  void door_opened() noexcept;
  void door_closed() noexcept;

  wait_queue changed_;

 private:
  enum class visit { took, nobody, full };

  void give_up_handler_locked(connection_handler& over) noexcept;
  void admit(fd socket, const address& from, place p);
  void refuse(fd socket) noexcept;
  [[nodiscard]] visit take_in_one(const listener& l) noexcept;
  [[nodiscard]] bool leave_to_task(const std::vector<std::shared_ptr<listener>>& all) noexcept;
  void put_under_limits(stream_core& core, guest& g);
  [[nodiscard]] bool pauses_after(listener& l, std::exception_ptr error) noexcept;
  void report_want(int code) noexcept;
  void wake_all_locked(work_list& todo) noexcept {
    while (waiter* w = changed_.claim_first()) todo.schedule(*w->task);
  }
  void wake_if_emptier_locked(work_list& todo) noexcept {
    if (reached_locked(until::others_gone)) wake_all_locked(todo);
  }

  connection_handler handler_;
  const server_options options_;
  const std::shared_ptr<places> places_;
  limit_keeper limits_;
  std::vector<address> where_;
  owned_path path_;

  bool serving_ = false;
  bool closed_ = false;
  bool forever_ = false;
  std::vector<std::shared_ptr<listener>> listeners_;
  std::vector<any_task> accepting_;
  int want_ = 0;        // the errno of the want of descriptors reported last; 0: none yet
  bool wants_ = false;  // no guest was taken in since then
  time_point want_told_until_ = time_point::min();
  time_point refusal_told_until_ = time_point::min();
  time_point failure_told_until_ = time_point::min();
  std::uint64_t failures_untold_ = 0;
  std::vector<std::uint64_t> accepted_by_loop_;
  std::uint64_t refused_ = 0;
  std::uint64_t dropped_ = 0;
  std::size_t live_ = 0;              // connections
  std::size_t handlers_ = 0;          // handlers that were admitted, and are not yet gone
  std::size_t handlers_waiting_ = 0;  // of these, those in wait_closed()
  std::size_t handlers_running_ = 0;  // of these, those in the list of first_running_
  std::size_t doors_ = 0;             // places through which guests may still come in
  bool cancels_handlers_ = false;     // handlers that begin from now on are cancelled
  void (stream_core::*late_)() noexcept = nullptr;  // what connections that come from now on meet
  stream_core* first_ = nullptr;
  running_handler* first_running_ = nullptr;
};

/// The accepting task of `l`: accepts until the server ends.
task<> accept_loop(std::shared_ptr<server_core> s, std::shared_ptr<listener> l, door entrance);

/// The task of one connection. The ticket is a parameter, so it counts the handler until the frame
/// is gone, also if the task never began.
task<> run_connection(std::shared_ptr<server_core> s, connection c, handler_ticket ticket);

/// Takes in the guests of a closed server, as places become free, and then ends listening.
task<> take_in_rest(std::shared_ptr<server_core> s, std::vector<std::shared_ptr<listener>> all,
                    door entrance);

/// Waits until the server is closed; `empty`: until it is closed and empty.
task<> wait_for_server(std::shared_ptr<server_core> s, bool empty);

}  // namespace heddle::detail
