// SPDX-License-Identifier: MIT
// Internal to io.
// What the two halves of a connection share. Counted: one reference for the reader, one for the
// writer, one for the transport, that is for the open connection, so that what was written is sent
// after both halves are gone.
//
// What moves the bytes is a transport (io/transport/transport.h); what changes them on their way
// is a filter (io/transport/filter.h). What stands here is what a stream is, whatever carries it.
#pragma once

#include <heddle/core/base/owned.h>
#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/record/wait.h>
#include <heddle/io/address.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/streams/buffer.h>
#include <heddle/io/transport/transport.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::detail {

class filter;
struct filter_place;

/// Told when a connection has ended (a server counts its connections).
class stream_listener {
 public:
  virtual void closed(class stream_core& core) noexcept = 0;

 protected:
  ~stream_listener() = default;
};

/// One life of a connection, drawn in README.md. It only goes down this list, but that close()
/// leads from `lingering` back to `draining`, which then ends at once.
enum class stage : std::uint8_t {
  open,
  ending,       // write_eof(): the end of our direction follows what is pending
  half_closed,  // our direction has ended; reading goes on
  // The writer is closed from here on: what is written is dropped.
  leaving,    // close_within(): the end of our direction follows what is pending
  lingering,  // our direction has ended; what the peer still sends is dropped, up to its end
  draining,   // close(): closes after what is pending
  // Nothing is sent from here on.
  broken,   // an error ended our direction; reading goes on
  aborted,  // closes as soon as the holder of the sender's role lets go
  gone,
};

/// Holds a queue's lock over what may throw.
class output_lock {
 public:
  explicit output_lock(wait_queue& q) noexcept : queue_(q) { q.lock(); }
  output_lock(const output_lock&) = delete;
  ~output_lock() { queue_.unlock(); }

 private:
  wait_queue& queue_;
};

/// Who has the sender's role.
enum class sending : std::uint8_t {
  nobody,
  thread,
  thread_told,  // a thread, and there was room meanwhile: it tries once more
  kernel,       // a send of the transport's, until sent()
  closer,       // for ever
};

// Roles, each with one holder at a time:
//   reader   the `reading` bit of use_. A task holds it for one read, its waits included.
//   sender   sender_, under the output lock. Held by the thread that writes, or by the reactor that
//            was told of room, or by the transport that sends from inflight_. While it is held
//            others append to out_; the sender looks there before it lets go.
//   closer   the sender's role, kept for ever: closes once nothing can be sent any more.
// The transport is used by the reader and the sender only, and closed when there is neither: the
// closer sets `closing` in use_, and if a reader is inside, that one closes when it leaves.
//
//   input_, input_end_             the reader
//   inflight_, offset_             the sender; by others under the output lock while nobody sends
//   stage_, sender_, out_, marks   under the output lock (drain_queue_)
//   error_                         written under the output lock once; read without
//   filter_                        set under the output lock, by the holder of the reader's role
//   closed_                        under closed_queue_'s lock
//   mover_                         constant
// The output lock is held over no other lock, and over no call of the transport but cut_off().
class stream_core final : public source_owner, public frame_cached {
 public:
  /// Takes over a connected, non-blocking socket and watches it with `home`. Throws
  /// std::system_error (and closes it).
  static stream_core* open(fd socket, reactor& home, watched_for purpose, std::size_t limit,
                           const address& peer);
  /// The same for one end of a pipe, non-blocking: `purpose` is reading or writing. It has one
  /// direction: writing ends with closing, and what was read to its end closes itself.
  static stream_core* open_pipe(fd end, reactor& home, watched_for purpose, std::size_t limit);
  /// Two connected streams without a descriptor; `buffer` bytes stand between them each way.
  static std::pair<stream_core*, stream_core*> open_memory(std::size_t buffer, std::size_t limit);

  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref() noexcept {
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;  // the last one sees what the others did
  }

  // --- reader ---

  /// Throws usage_error if another task has the role.
  void begin_read();
  [[nodiscard]] bool try_begin_read() noexcept;
  void end_read() noexcept;
  /// Takes what has come; does not wait. Reader's role. Throws std::bad_alloc: nothing is lost.
  got receive() {
    if ((use_.load(acquire) & closing) || eof() || filter_) [[unlikely]]  // pairs with finish()
      return receive_otherwise();
    const received r = mover_->receive(input_);
    if (r.what == got::data || r.what == got::nothing) [[likely]]
      return r.what;
    return end_of_input(r);
  }
  /// Waits for more than receive() has seen. False: there may be more now, or a cancellation is
  /// due.
  [[nodiscard]] bool wait_readable(waiter& w, task_record& t) noexcept {
    return mover_->wait(w, t);
  }
  [[nodiscard]] wait_queue& read_queue() noexcept { return mover_->readers(); }
  [[nodiscard]] bool read_failed() const noexcept { return input_end_ == input_end::error; }
  [[noreturn]] void throw_error() const;
  /// Nothing has come that was not read. Throws usage_error if another task reads.
  [[nodiscard]] bool quiet();
  /// What was read could not be given back: the connection ends with ENOMEM.
  void lose_input() noexcept;

  [[nodiscard]] input_buffer& input() noexcept { return input_; }
  [[nodiscard]] bool eof() const noexcept { return input_end_ != input_end::none; }
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

  // --- writer ---

  void write(std::string_view bytes);
  void write_eof();
  void close() noexcept;
  /// As close(), but the peer's end is awaited once all is sent: by a close(), or an abort().
  void linger() noexcept;
  void abort() noexcept;
  void set_limits(std::size_t high, std::size_t low);
  [[nodiscard]] bool is_closing() noexcept;
  [[nodiscard]] std::size_t buffered() noexcept;

  [[nodiscard]] wait_queue& drain_queue() noexcept { return drain_queue_; }
  /// Whether a drain may go on. Throws what broke the connection, and when the writer was closed
  /// before the drain began; `waited`: it began before, so only what was dropped matters.
  [[nodiscard]] bool drained(bool waited);
  [[nodiscard]] bool wait_drained(waiter& w, task_record& t) noexcept;
  [[nodiscard]] wait_queue& closed_queue() noexcept { return closed_queue_; }
  [[nodiscard]] bool wait_closed(waiter& w, task_record& t) noexcept;
  void throw_if_broken() const {
    if (error_.load(acquire) != 0) throw_error();  // pairs with note_error()
  }

  /// From here on all bytes go through `f`: what is read from now on, what is buffered and was not
  /// read, and what is written from now on. What was written before is sent as it is. Throws
  /// usage_error while another task reads, when the writer was closed or ended, and when there is
  /// a filter already; std::bad_alloc; what f.begin() throws. Then nothing has changed.
  void set_filter(std::unique_ptr<filter> f);

  [[nodiscard]] int descriptor() const noexcept { return mover_->descriptor(); }
  [[nodiscard]] address peer() const;
  /// Where our end is bound; known after the end too.
  [[nodiscard]] address local() noexcept;
  /// Of a socket or a pipe.
  [[nodiscard]] io_source& source() const noexcept { return *mover_->source(); }
  /// A connect() is still on its way.
  [[nodiscard]] bool is_connecting() const noexcept;
  /// From here on an error on the socket is the connection's, and not the attempt's.
  [[nodiscard]] bool is_established() const noexcept { return established_.load(acquire); }
  void established() noexcept { established_.store(true, release); }  // pairs with failed()

  /// Before anybody else knows the stream.
  void tell(std::shared_ptr<stream_listener> listener) noexcept { listener_ = std::move(listener); }
  stream_core* previous = nullptr;  // the listener's, for its list
  stream_core* next = nullptr;

 private:
  static constexpr std::uint8_t reading = 1;
  static constexpr std::uint8_t closing = 2;
  enum class input_end : std::uint8_t { none, orderly, error };
  enum class found_by : std::uint8_t { sender, reader, bystander };
  enum class turn : std::uint8_t { go_on, over };

  stream_core(owned<transport> mover, bool one_way, std::size_t limit, const address& peer);
  ~stream_core();
  static stream_core* open_any(owned<class descriptor_transport> mover, fd end, reactor& home,
                               watched_for purpose, bool one_way, std::size_t limit,
                               const address& peer);

  // source_owner
  void hold() noexcept override { ref(); }
  void drop() noexcept override { unref(); }
  void writable() noexcept override;
  void sent(int result) noexcept override;
  void reactor_gone() noexcept override { abort(); }
  void failed(int code) noexcept override;

  // stream_input.cpp
  got receive_otherwise();
  got end_of_input(received r) noexcept;
  got receive_filtered();
  [[nodiscard]] bool take_filter(filter_place& f) noexcept;
  void open_some(filter_place& f) noexcept;
  void filter_failed(filter_place& f, std::string& sealed, const char* call) noexcept;
  void release_filter(filter_place& f, std::string& sealed, bool sender_rests) noexcept;

  // stream_output.cpp
  [[nodiscard]] bool queue_locked(std::string_view bytes);
  void send_at_once(std::string_view bytes) noexcept;
  void send_all(std::string_view direct, bool in_turns = true) noexcept;
  [[nodiscard]] turn refused(int code, std::string_view& direct) noexcept;
  [[nodiscard]] turn next_output() noexcept;
  [[nodiscard]] turn send_piece(std::string_view& direct, std::size_t& turn_left) noexcept;
  [[nodiscard]] turn let_go(std::string_view& direct, bool continues) noexcept;
  [[nodiscard]] turn give_to_transport() noexcept;
  [[nodiscard]] bool take_pending_locked() noexcept;
  [[nodiscard]] bool must_seal_locked() const noexcept;
  [[nodiscard]] turn seal_some() noexcept;
  [[nodiscard]] bool offer_to_filter_locked(filter_place& f, bool& ends) noexcept;
  void note_sent(std::size_t n) noexcept;
  void continue_later() noexcept;
  void go_on(bool in_turns) noexcept;
  void drop_output_locked() noexcept;
  void shrink_filter_locked() noexcept;
  void pend_locked(std::size_t more) noexcept;
  void wake_drained_locked(work_list& todo) noexcept;

  // stream_core.cpp
  void note_error_locked(int code, const char* call) noexcept;
  void fail(int code, const char* call, found_by who) noexcept;
  [[nodiscard]] bool nothing_is_lost_locked(found_by who) const noexcept;
  void wake_closed(work_list& todo, bool closed) noexcept;
  void remember_local_locked() noexcept;
  void finish() noexcept;

  atomic<std::uint32_t> refs_{3};
  atomic<std::uint8_t> use_{0};
  input_end input_end_ = input_end::none;
  const bool one_way_;
  atomic<bool> established_{false};
  std::size_t limit_;
  const owned<transport> mover_;
  input_buffer input_;

  wait_queue drain_queue_;
  stage stage_ = stage::open;
  sending sender_ = sending::nobody;
  bool paused_ = false;  // more than the high mark was pending, and not yet less than the low one
  bool cut_short_ = false;  // abort() has dropped what a drain may wait for
  std::size_t high_ = 64 * 1024;
  std::size_t low_ = 16 * 1024;
  std::size_t pending_ = 0;
  std::size_t offset_ = 0;
  std::string inflight_;
  std::string out_;
  std::unique_ptr<filter_place> filter_;

  wait_queue closed_queue_;
  bool closed_ = false;
  atomic<int> error_{0};
  const char* error_call_ = nullptr;  // written before error_, read after it

  std::shared_ptr<stream_listener> listener_;
  std::unique_ptr<address> long_peer_;  // what short_peer_ does not hold
  std::uint8_t short_peer_length_ = 0;
  std::uint8_t local_length_ = 0;  // under the output lock, with local_: kept when it closes
  unsigned char short_peer_[28];   // IPv4 and IPv6
  unsigned char local_[28];
};

}  // namespace heddle::detail
