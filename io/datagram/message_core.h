// SPDX-License-Identifier: MIT
// Internal to io.
// A socket that is used by messages: what a datagram_socket or a unix_socket is.
//
// Danger     One task closes the descriptor while another is inside a system call on it. The call
//            would hit the next file with that number.
// Prevented  A call enters before it names the descriptor, and goes out after (`stay`). close()
//            enters too, and then sets a bit in the same word. The last one that goes out closes
//            the descriptor.
// Costs      Two locked operations a system call.
//
// Danger     An edge wakes one task, but it may tell of several messages. If that task leaves
//            without looking, by a cancellation or an error, the others sleep before a readable
//            socket.
// Prevented  Whoever leaves a receive, in whatever way, wakes the next one (`receiving`). That one
//            looks, and waits again if there is nothing.
// Costs      One lock a receive; one look too many where several tasks wait.
//
// A sender that the kernel refuses takes a turn (descriptors/turns.h). On Unix sockets the turn is
// for one receiver. A full send buffer is told by an edge. No edge tells of room in the queue of a
// Unix receiver that the socket is not connected to, nor of memory after ENOBUFS. So there the
// sender tries again, after pauses that grow up to 16 ms. close() ends a pause.
#pragma once

#include <heddle/core/record/wait.h>
#include <heddle/core/task.h>
#include <heddle/io/datagram/message.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/descriptors/turns.h>
#include <heddle/io/reactor/reactor.h>

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include <sys/stat.h>

namespace heddle::detail {

/// What message_core has to know of its socket.
struct message_kind {
  bool connected = false;
  bool coalesces = false;     // UDP_GRO is on
  bool tells_beside = false;  // packet info or credentials are on
  bool bound_path = false;    // the path of local() is removed at the end
  int type = SOCK_DGRAM;
  address peer = {};
};

enum class sent : std::uint8_t { done, full, no_memory };

//
// socket_           constant until the last one has gone out
// users_            stays, and the bit `closed`
// owed_error_       atomic
// pending_          under whole_
// closing_          its lock; the queue of pauses
// the rest          constant, or with locks of their own
class message_core {
 public:
  message_core(fd socket, message_kind kind);
  message_core(const message_core&) = delete;
  ~message_core() { close(); }

  /// A stay inside the socket. Throws ECANCELED if the socket is closed, and an error that an
  /// earlier call has left.
  class stay {
   public:
    stay(message_core& core, const char* call);
    stay(const stay&) = delete;
    ~stay() { core_.go_out(); }

   private:
    message_core& core_;
  };

  /// Stands in each receive, from its beginning to its end.
  class receiving {
   public:
    explicit receiving(message_core& core) noexcept : core_(core) {}
    receiving(const receiving&) = delete;
    ~receiving() { core_.wake_next(core_.source_->readable); }

   private:
    message_core& core_;
  };

  void close() noexcept;
  [[nodiscard]] bool is_closed() const noexcept {
    // pairs with the fetch_or in close()
    return (users_.load(acquire) & closed) != 0;
  }

  /// One try. False: nothing is there. The second form makes room for the whole datagram.
  [[nodiscard]] bool try_receive(std::span<char> room, datagram_info& info);
  [[nodiscard]] bool try_receive(datagram& into);
  /// Up to `most` datagrams by one call. False: nothing is there.
  [[nodiscard]] bool try_receive(std::size_t most, std::vector<datagram>& into);
  /// A message with its descriptors. Returns its length, or -1: nothing is there.
  [[nodiscard]] ssize_t try_receive(std::span<char> room, datagram_info& info, beside& other);
  [[nodiscard]] sent try_send(std::string_view bytes, const address& to, const send_options& how);
  /// Sends `message`, and notes in `went` how many bytes went.
  [[nodiscard]] sent try_send(outgoing_message& message, const address& to, std::size_t& went);
  /// Up to most_in_batch datagrams by one call; `went`: how many.
  [[nodiscard]] sent try_send(std::span<const outgoing_datagram> batch, std::size_t& went);

  /// The count of edges, taken before a try. Throws usage_error if the runtime that watched the
  /// socket has ended: no edge will come.
  [[nodiscard]] std::uint32_t edges() const;
  /// Waits after a try that found no room. `tries` counts them, from 0.
  [[nodiscard]] task<void> wait_for_room(sent refused, unsigned tries);
  [[nodiscard]] turns& senders() noexcept { return senders_; }
  /// The key of the turn for a message to `to`.
  [[nodiscard]] std::string line_of(const address& to) const;

  /// An error that was found too late for its call: the next call throws it.
  // pairs with the exchange in stay
  void owe_error(int code) noexcept { owed_error_.store(code, release); }

  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  [[nodiscard]] const address& local() const noexcept { return local_; }
  [[nodiscard]] const message_kind& kind() const noexcept { return kind_; }
  [[nodiscard]] int family() const noexcept { return family_; }
  [[nodiscard]] io_source& source() const noexcept { return *source_; }
  [[nodiscard]] source_name name() const noexcept { return name_; }
  /// The peer or `to`, for the text of an error.
  [[nodiscard]] std::string about(const address& to = {}) const;
  /// False: the device or kernel refused to cut bytes into datagrams.
  atomic<bool> cuts_segments{true};

 private:
  class pause_wait;
  static constexpr std::uint32_t closed = 1u << 31;

  void go_out() noexcept;
  void wake_next(wait_queue& queue) noexcept;
  void remove_path() noexcept;
  [[nodiscard]] bool try_receive_unix(datagram& into);
  [[nodiscard]] bool try_receive_coalesced(datagram& into);
  [[nodiscard]] bool try_receive_batch(std::size_t most, std::vector<datagram>& into);
  [[nodiscard]] sent result_of(ssize_t n, const char* call, const address& to) const;
  [[nodiscard]] task<void> pause(std::chrono::milliseconds length);

  fd socket_;
  const message_kind kind_;
  const address local_;
  const int family_;
  std::string path_;  // absolute; empty: none is removed at the end
  struct stat path_identity_{};
  io_source* source_ = nullptr;
  source_name name_;
  atomic<std::uint32_t> users_{0};
  atomic<bool> freed_{false};
  atomic<int> owed_error_{0};
  turns senders_;
  wait_queue closing_;
  // Unix: the length of a message is asked for first, and the message must not go to another
  // receiver in between. Coalesced: what was split and not yet taken.
  std::mutex whole_;
  std::list<datagram> pending_;
};

using message_core_pointer = std::shared_ptr<message_core>;

/// Memory of the calling thread for what is received. Valid until the function that asked returns;
/// never over a suspension. Throws std::bad_alloc.
/// Cost      `bytes` of address space a thread, for as long as the thread lives
HEDDLE_NOINLINE char* receive_scratch(std::size_t bytes);

/// True: the calling task lets others run before its next call. A flooded socket is always ready,
/// and a loop polls the kernel once in 256 steps. A step of a whole millisecond, which the budget
/// of other reads allows, would keep timers and streams waiting for a quarter of a second. So here
/// a step ends after 8 messages.
HEDDLE_NOINLINE bool message_budget_spent() noexcept;

/// The largest datagram of UDP, and so of a coalesced receive.
inline constexpr std::size_t largest_datagram = 65536;
inline constexpr std::size_t most_in_batch = 64;

}  // namespace heddle::detail
