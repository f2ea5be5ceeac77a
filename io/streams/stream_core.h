// SPDX-License-Identifier: MIT
// Internal to io.
// A stream_core is what the two halves of a connection, reader and writer, share.
//
// A transport (transport/transport.h) moves its bytes; a filter (transport/filter.h) may change
// them on their way. This class holds what a stream is, whatever carries it: order, marks and ends.
// Its six source files are one class: stream_input.cpp is the reader, stream_output.cpp the
// sender, stream_pieces.cpp the sender of several pieces at once, stream_file.cpp the sender of
// files, stream_splice.cpp what moves bytes by a pipe, stream_core.cpp the life of the connection.
//
// It is counted. The reader holds one reference, the writer another, and the open connection the
// third: so bytes that were written are sent after both halves are gone.
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
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::detail {

class filter;
struct filter_place;
struct file_place;

/// Is told when a connection has ended. A server counts its connections by it.
class stream_listener {
 public:
  /// Called once, with no lock held, from any thread.
  virtual void closed(class stream_core& core) noexcept = 0;

 protected:
  ~stream_listener() = default;
};

/// The stages in the life of a connection; io/README.md draws them. A stage is followed by one
/// further down in this list, with one exception: close() leads from `lingering` back to
/// `draining`, which then ends at once.
enum class stage : std::uint8_t {
  open,
  ending,       // write_eof(): our direction ends when the pending bytes are sent
  half_closed,  // our direction has ended; reading goes on
  // From here on the writer is closed: bytes that are written are dropped.
  leaving,    // close_within(): our direction ends when the pending bytes are sent
  lingering,  // our direction has ended; bytes of the peer are dropped, up to its end
  draining,   // close(): the connection closes when the pending bytes are sent
  // From here on nothing is sent.
  broken,   // an error ended our direction; reading goes on
  aborted,  // closes as soon as the holder of the sender's role gives it back
  gone,
};

/// Numbers that only tell whether bytes have moved since the last look.
struct stream_traffic {
  std::uint32_t came = 0;  // events of the peer: bytes, or an end, whether they were read or not
  std::uint64_t went = 0;  // bytes that the transport took
  friend bool operator==(stream_traffic, stream_traffic) = default;
};

/// Holds the lock of a queue in a scope that may throw.
class output_lock {
 public:
  explicit output_lock(wait_queue& q) noexcept : queue_(q) { q.lock(); }
  output_lock(const output_lock&) = delete;
  ~output_lock() { queue_.unlock(); }

 private:
  wait_queue& queue_;
};

/// Who holds the sender's role.
enum class sending : std::uint8_t {
  nobody,
  thread,
  thread_told,  // a thread; and since writable() came meanwhile, it tries once more
  kernel,       // a send that the transport was given, until sent()
  file,         // nobody, but only the task that sends a file may take it, or an end
  closer,       // for ever
};

/// Problem   Several tasks may write, while one task reads and one closes. Bytes must keep
///           their order, and the descriptor must not be closed while a thread is inside recv() or
///           send(): its number would be given to another file.
/// Chosen    Three roles, each with one holder at a time. No thread waits for a role.
///     reader   The `reading` bit of use_. A task holds it for one read, its waits included.
///     sender   sender_, under the output lock. Held by the thread that writes; or by the reactor
///              that told of room; or by the transport that sends from inflight_. While it is held,
///              other writers append to out_. The sender looks there before it gives the role back.
///              While a task sends a file, other writers append to file_->behind instead, and a
///              sender that finds nothing more to send leaves the role to that task.
///     closer   The sender's role, kept for ever. The closer closes when nothing can be sent any
///              more.
///           Only reader and sender use the transport's descriptor, and it is closed when there is
///           neither. The closer sets `closing` in use_. If a reader is inside then, the reader
///           closes the transport when it leaves.
//
// Who may touch what:
//   input_, input_end_             the reader
//   inflight_, offset_             the sender. Other threads under the output lock while there is
//                                  no sender.
//   stage_, sender_, out_, marks   under the output lock, which is the lock of drain_queue_
//   error_                         written once, under the output lock; read without
//   filter_                        set under the output lock, by the holder of the reader's role;
//                                  read by that holder, by the holder of `busy`, under the output
//                                  lock, and by those who have seen error_
//   file_                          set under the output lock, by the first task that sends a file;
//                                  what is in it: under the output lock
//   closed_, peer_gone_            under the lock of closed_queue_
//   mover_                         constant
// Under the output lock no other lock is taken but those of the queues in file_. Of the transport
// nothing is called then but cut_off(), standing_error(), is_over() and local().
class stream_core final : public source_owner, public frame_cached {
 public:
  /// Takes over a connected, non-blocking socket, which `home` watches from here on. Throws
  /// std::system_error or std::bad_alloc; then the socket is closed.
  static stream_core* open(fd socket, reactor& home, watched_for purpose, std::size_t limit,
                           const address& peer);
  /// The same for one end of a pipe, non-blocking. `purpose` is reading or writing, since a pipe
  /// has one direction. Writing ends with closing; a pipe that was read to its end closes itself.
  static stream_core* open_pipe(fd end, reactor& home, watched_for purpose, std::size_t limit);
  /// The same for one side of a terminal, in one direction or in both. It ends as a pipe does.
  static stream_core* open_terminal(fd side, reactor& home, watched_for purpose, std::size_t limit);
  /// Two connected streams without a descriptor; `buffer` bytes stand between them each way.
  static std::pair<stream_core*, stream_core*> open_memory(std::size_t buffer, std::size_t limit);
  /// A stream without a descriptor, over a transport that needs to be told of no owner.
  static stream_core* open_over(owned<transport> mover, std::size_t limit);

  void ref() noexcept { refs_.fetch_add(1, relaxed); }
  void unref() noexcept {
    // pairs with itself: the holder of the last reference sees what the others did
    if (refs_.fetch_sub(1, acq_rel) == 1) delete this;
  }

  // --- reader ---

  /// Takes the reader's role. Throws usage_error if another task has it.
  void begin_read();
  [[nodiscard]] bool try_begin_read() noexcept;
  void end_read() noexcept;
  /// Takes bytes that have come into input(). Does not wait. Reader's role. Throws std::bad_alloc;
  /// then nothing is lost.
  got receive() {
    // The load of use_ pairs with the exchange in finish().
    if ((use_.load(acquire) & (closing | unseen)) || eof() || filter_) [[unlikely]]
      return receive_otherwise();
    const received r = mover_->receive(input_);
    if (r.what == got::data || r.what == got::nothing) [[likely]]
      return r.what;
    return end_of_input(r);
  }
  /// The next receive() tells of the bytes in input() as if they had just come. For who has read a
  /// part of the stream, and hands the rest on to a reader who waits for bytes first. Reader's
  /// role.
  void tell_again() noexcept {
    if (!input_.empty()) use_.fetch_or(unseen, relaxed);
  }
  /// Suspends `t` until something comes that receive() has not seen. False: `t` was not suspended,
  /// since there may be more now or a cancellation is due.
  [[nodiscard]] bool wait_readable(waiter& w, task_record& t) noexcept {
    return mover_->wait(w, t);
  }
  [[nodiscard]] wait_queue& read_queue() noexcept { return mover_->readers(); }
  [[nodiscard]] bool read_failed() const noexcept { return input_end_ == input_end::error; }
  [[noreturn]] void throw_error() const;
  /// True: all that came was read. Throws usage_error if another task reads.
  [[nodiscard]] bool quiet();
  /// The same for the holder of the reader's role.
  [[nodiscard]] bool is_quiet() noexcept;
  /// Wakes the reader that waits, so that it looks again. From any thread, before the end.
  void nudge_reader() noexcept { mover_->nudge(); }
  /// Bytes that were read could not be given back: the connection ends with ENOMEM. Reader's role.
  void lose_input() noexcept;

  [[nodiscard]] input_buffer& input() noexcept { return input_; }
  [[nodiscard]] bool eof() const noexcept { return input_end_ != input_end::none; }
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

  // --- writer ---

  void write(std::string_view bytes);
  /// The same for several pieces, which are never mixed with the bytes of another write.
  void write_pieces(std::span<const std::string_view> pieces);
  void write_eof();
  /// False: write_eof() throws usage_error, since the directions of the filter end together.
  [[nodiscard]] bool can_write_eof() noexcept;
  void close() noexcept;
  /// As close(), but once all is sent the connection stays for the peer's end. The caller awaits
  /// that end, and then calls close() or abort().
  void linger() noexcept;
  void abort() noexcept;
  /// As abort(), but reads and waits throw the error `code`, unless another error came before.
  void revoke(int code, const char* call) noexcept;
  void set_limits(std::size_t high, std::size_t low);
  [[nodiscard]] bool is_closing() noexcept;
  [[nodiscard]] std::size_t buffered() noexcept;
  /// True: bytes of the program are among buffered(). False: nothing is, or the filter's end alone.
  [[nodiscard]] bool has_unsent_data() noexcept;

  [[nodiscard]] wait_queue& drain_queue() noexcept { return drain_queue_; }
  /// True: a drain need not wait. Throws what broke the connection. Throws ECONNRESET if the writer
  /// was closed before the drain began. `waited`: the drain began before, so it throws only if
  /// bytes were dropped.
  [[nodiscard]] bool drained(bool waited);
  [[nodiscard]] bool wait_drained(waiter& w, task_record& t) noexcept;
  [[nodiscard]] wait_queue& closed_queue() noexcept { return closed_queue_; }
  [[nodiscard]] bool wait_closed(waiter& w, task_record& t) noexcept;
  void throw_if_broken() const {
    // pairs with the store in note_error_locked()
    if (error_.load(acquire) != 0) throw_error();
  }

  // --- between two streams, by the kernel ---

  /// Moves up to `most` bytes that have come into a pipe. Returns how many; 0: receive() knows why.
  /// Throws usage_error if a task reads.
  [[nodiscard]] std::size_t receive_into_pipe(int pipe, std::size_t most);
  /// False: receive_into_pipe() always answers 0.
  [[nodiscard]] bool gives_to_pipe() noexcept;
  /// True: bytes of a pipe would be sent now, since nothing stands before them.
  [[nodiscard]] bool takes_of_pipe() noexcept;
  /// Sends some of the `n` bytes that stand in a pipe, if they would be sent now. Returns how many
  /// it took. The rest is the caller's to write().
  [[nodiscard]] std::size_t send_of_pipe(int pipe, std::size_t n) noexcept;

  // --- a file, sent by a task ---

  /// Takes the place of a file in the order of what is written: what is written from now on goes
  /// behind it. False: another task sends a file; wait in file_queue(). Throws what broke the
  /// connection; ECONNRESET if the writer was closed, usage_error if it was ended; std::bad_alloc.
  [[nodiscard]] bool begin_file();
  /// So many bytes of the file are to come: they count as written.
  void expect_of_file(std::uint64_t more) noexcept;
  /// The task that has begun a file ends it, on all ways: what was written meanwhile is sent.
  void end_file() noexcept;
  /// The queue of tasks that wait to begin a file.
  [[nodiscard]] wait_queue& file_queue() noexcept;
  [[nodiscard]] bool wait_file(waiter& w, task_record& t) noexcept;
  /// The queue of the task that has begun a file, and waits for its turn: all that was written
  /// before is sent, and the transport has room.
  [[nodiscard]] wait_queue& turn_queue() noexcept;
  /// True: it is the task's turn. Throws what broke or ended the connection.
  [[nodiscard]] bool has_file_turn();
  [[nodiscard]] bool wait_file_turn(waiter& w, task_record& t) noexcept;
  /// The transport and the filter leave it to the kernel to send a file.
  [[nodiscard]] bool kernel_sends_files() noexcept;
  /// In the task's turn: the kernel sends up to `most` bytes of the descriptor `file` from `at` on.
  /// Returns how many bytes it took; 0: the file ends there; -EAGAIN: wait for the turn;
  /// -EINVAL, -EIO and the like: it is the file's fault, and nothing has changed. Throws what broke
  /// the connection.
  [[nodiscard]] ssize_t send_of_file(int file, std::uint64_t at, std::size_t most);
  /// In the task's turn: sends bytes of the file that the task has read.
  void write_of_file(std::string bytes);

  /// From here on bytes go through `f`: those that are read from now on, those that are buffered
  /// and unread, and those that are written from now on. Bytes that were written before are sent as
  /// they are. A filter that passes bytes as they are gives its place to `f`. Throws usage_error
  /// while another task reads, when the writer was closed or ended, and when there is a filter that
  /// seals; std::bad_alloc; whatever f.begin() throws. Then nothing has changed.
  void set_filter(std::unique_ptr<filter> f);
  /// The same for the holder of the reader's role, which opens what comes by step_filter() until
  /// release_filter_hold(): receive() finds `data` when raw bytes are there, and opens none.
  /// `lingers`: if the filter fails meanwhile, what it sealed is sent, our direction ends, and the
  /// caller awaits the peer's end by drop_input(). Otherwise the connection closes at once.
  /// The place is made by make_filter_place(). False: a filter that passes is busy in another
  /// thread; try again.
  [[nodiscard]] bool set_held_filter(std::unique_ptr<filter_place>& place, bool lingers);
  /// Reader's role, as for set_held_filter().
  [[nodiscard]] std::unique_ptr<filter_place> make_filter_place(std::unique_ptr<filter> f);
  /// Opens what has come. False: another thread has the filter; try again. Throws what broke the
  /// connection. Reader's role.
  [[nodiscard]] bool step_filter();
  /// From here on receive() opens what comes. What was opened meanwhile is told of as if it had
  /// just come.
  void release_filter_hold() noexcept;
  /// The filter has failed: from here on receive() drops bytes, up to the peer's end. Reader's
  /// role.
  void drop_input() noexcept;
  /// Calls the filter's end() when all that was written is sealed; the stream goes on. When both
  /// directions of the filter have ended, receive() lets bytes pass as they are, first those that
  /// came behind the peer's end. The caller waits for that by fill_wait, until the filter does not
  /// seal any more. Throws usage_error if the writer was closed or ended. Reader's role.
  void end_filter();
  /// Null: there is none. It lives as long as the stream, also when another has taken its place.
  [[nodiscard]] filter* current_filter() noexcept;

  [[nodiscard]] int descriptor() const noexcept { return mover_->descriptor(); }
  /// What the transport has moved; with a filter these are the sealed bytes.
  [[nodiscard]] const traffic& passed() const noexcept { return mover_->passed(); }
  [[nodiscard]] address peer() const;
  /// The address of our end. Known also after the connection has ended.
  [[nodiscard]] address local() noexcept;
  /// From here on peer() and local() tell these; an empty one, and a local one of a Unix socket,
  /// changes nothing. Nobody else has the stream yet. Throws std::bad_alloc.
  void set_addresses(const address& peer, const address& local);
  /// From any thread. On memory nothing comes: `came` stays 0.
  /// Cost      two loads
  [[nodiscard]] stream_traffic look_at_traffic() noexcept;
  /// The source of a socket or a pipe; memory has none.
  [[nodiscard]] io_source& source() const noexcept { return *mover_->source(); }
  /// A connect() is still on its way.
  [[nodiscard]] bool is_connecting() const noexcept;
  /// False while a connect() is on its way: then an error on the socket belongs to that attempt,
  /// and not to the connection.
  [[nodiscard]] bool is_established() const noexcept {
    // pairs with the store in established()
    return established_.load(acquire);
  }
  void established() noexcept {
    // pairs with the loads in is_established() and failed()
    established_.store(true, release);
  }

  /// Called before any other thread knows the stream.
  void set_listener(std::shared_ptr<stream_listener> listener) noexcept {
    listener_ = std::move(listener);
  }
  stream_core* previous = nullptr;  // these two belong to the listener, for its list
  stream_core* next = nullptr;

 private:
  // Sent by one call before others have their turn; the rest goes later.
  static constexpr std::size_t most_a_turn = 1024 * 1024;
  static constexpr std::uint8_t reading = 1;
  static constexpr std::uint8_t closing = 2;
  static constexpr std::uint8_t unseen = 4;  // tell_again(); only the reader touches it
  enum class input_end : std::uint8_t { none, orderly, error };
  enum class found_by : std::uint8_t { sender, reader, bystander };
  enum class turn : std::uint8_t { go_on, over };

  stream_core(owned<transport> mover, bool one_way, std::size_t limit, const address& peer);
  void remember_peer(const address& peer);
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
  void hung_up() noexcept override;

  // stream_input.cpp. Reader's role, or the role `busy` of the filter.
  got receive_otherwise();
  got end_of_input(received r) noexcept;
  got receive_filtered();
  got receive_dropped(filter_place& f);
  got receive_passing(filter_place& f) noexcept;
  got end_of_filtered(filter_place& f) noexcept;
  [[nodiscard]] bool take_filter(filter_place& f) noexcept;
  void open_some(filter_place& f) noexcept;
  void filter_failed(filter_place& f, std::string& sealed, const char* call) noexcept;
  void release_filter(filter_place& f, std::string& sealed, bool sender_rests) noexcept;

  // stream_output.cpp. `_locked`: under the output lock. The others: sender's role.
  [[nodiscard]] bool queue_locked(std::span<const std::string_view> pieces, std::size_t total);
  void send_at_once(std::string_view bytes) noexcept;
  void all_sent_at_once() noexcept;
  void send_pieces_at_once(std::span<const std::string_view> pieces, std::size_t total) noexcept;
  void keep_rest(std::span<const std::string_view> pieces, std::size_t rest) noexcept;
  void send_all(std::string_view direct, std::size_t turn_left = most_a_turn) noexcept;
  [[nodiscard]] turn refused(int code, std::string_view& direct) noexcept;
  [[nodiscard]] turn next_output() noexcept;
  [[nodiscard]] turn send_piece(std::string_view& direct, std::size_t& turn_left) noexcept;
  [[nodiscard]] turn let_go(std::string_view& direct, bool continues) noexcept;
  [[nodiscard]] turn give_to_transport(std::string_view& direct, std::size_t& turn_left) noexcept;
  [[nodiscard]] turn send_in_bulk(std::string_view& direct, std::size_t& turn_left) noexcept;
  [[nodiscard]] bool keep_direct(std::string_view& direct) noexcept;
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

  // stream_file.cpp. `_locked`: under the output lock.
  [[nodiscard]] bool may_splice_locked() const noexcept;
  [[nodiscard]] bool sends_file_locked() const noexcept;
  [[nodiscard]] bool leave_to_file_locked(work_list& todo) noexcept;
  void drop_file_locked(work_list& todo) noexcept;
  void let_file_go_on(bool again) noexcept;
  [[nodiscard]] bool sender_rests_locked() const noexcept {
    return sender_ == sending::nobody || sender_ == sending::file;
  }

  // stream_core.cpp
  void note_error_locked(int code, const char* call) noexcept;
  void fail(int code, const char* call, found_by who) noexcept;
  [[nodiscard]] bool nothing_is_lost_locked(found_by who) const noexcept;
  [[nodiscard]] bool place_filter(std::unique_ptr<filter_place>& place);
  void wake_closed(work_list& todo, bool closed) noexcept;
  void remember_local_locked() noexcept;
  void finish() noexcept;

  template <class>
  friend struct layout_of;

  atomic<std::uint32_t> refs_{3};
  atomic<std::uint8_t> use_{0};
  input_end input_end_ = input_end::none;
  const bool one_way_;
  const bool is_unix_;  // a Unix socket: it hangs up when the peer has gone
  atomic<bool> established_{false};
  // For readers of the program's memory alone: constant once open() has returned.
  bool is_watched_ = false;  // it has a descriptor
  int told_descriptor_ = -1;
  std::size_t limit_;
  const owned<transport> mover_;
  input_buffer input_;

  mutable wait_queue drain_queue_;
  stage stage_ = stage::open;
  sending sender_ = sending::nobody;
  bool paused_ = false;     // pending_ went above the high mark, and has not reached the low one
  bool cut_short_ = false;  // abort() has dropped bytes that a drain may wait for
  std::size_t high_ = 64 * 1024;
  std::size_t low_ = 16 * 1024;
  std::size_t pending_ = 0;  // written, and not yet taken by the transport
  std::size_t offset_ = 0;   // so many bytes of inflight_ were taken
  std::string inflight_;     // being sent
  std::string out_;          // written meanwhile
  std::unique_ptr<filter_place> filter_;
  std::unique_ptr<file_place> file_;

  wait_queue closed_queue_;
  bool closed_ = false;
  bool peer_gone_ = false;  // while the writer was open
  atomic<int> error_{0};
  const char* error_call_ = nullptr;  // the call that failed: written before error_, read after it

  std::shared_ptr<stream_listener> listener_;
  std::unique_ptr<address> long_peer_;  // an address that does not fit into short_peer_
  std::uint8_t short_peer_length_ = 0;
  // With local_: under the output lock. Set by finish(), or by set_addresses() before.
  std::uint8_t local_length_ = 0;
  unsigned char short_peer_[28];  // an address of IPv4 or IPv6
  unsigned char local_[28];
};

}  // namespace heddle::detail
