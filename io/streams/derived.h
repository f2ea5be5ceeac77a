// SPDX-License-Identifier: MIT
// Internal to io.
// The transports of derived readers: bytes come out of other streams.
//
// Problem   A reader of a part of a stream offers all that a reader offers. A class of its own
//           would say all of that once more, and handlers of a stream_reader could not take it.
// Rejected  A task that pumps bytes into a memory pair: it takes more than is read.
// Chosen    A stream_core over a transport whose receive() takes from the source's buffer, and
//           receives into that buffer when it is empty. A wait is a wait in the source's queue. The
//           transport holds the reader's role of each source, from its making to its close().
// Promises  No byte leaves a source but into the buffer of the derived stream. What stands there
//           unread goes back (give_back).
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/io/streams/stream_core.h>
#include <heddle/io/transport/transport.h>

#include <cstdint>
#include <string_view>

namespace heddle::detail {

/// The reader's role of another stream, held as long as this lives, and a reference to that stream.
class source_role {
 public:
  /// Throws usage_error if a task reads from `from`.
  explicit source_role(stream_core& from) : from_(from) {
    from.begin_read();
    from.ref();
  }
  source_role(const source_role&) = delete;
  ~source_role() { let_go(); }

  /// What there is. got::data may come with nothing in the buffer: then the caller tries again.
  /// Throws what broke the source; std::bad_alloc.
  [[nodiscard]] got look();
  /// Puts bytes back in front of all that is unread. Without memory the source ends with ENOMEM.
  void give_back(std::string_view bytes) noexcept;
  void let_go() noexcept;
  [[nodiscard]] stream_core& core() const noexcept { return from_; }

 private:
  stream_core& from_;
  bool held_ = true;
};

/// What all derived readers share. One reads, nobody sends.
class derived_transport : public transport {
 public:
  /// A source may be derived itself, and then its queue changes (chain). The source tells that as
  /// data, so the reader comes back before it waits, and finds the new queue here.
  received receive(input_buffer& into) final {
    const received r = receive_some(into);
    readers_ = &now().core().read_queue();
    return r;
  }
  [[nodiscard]] bool wait(waiter& w, task_record& t) noexcept override {
    return now().core().wait_readable(w, t);
  }
  void look_away() noexcept override {}  // for a reader with a filter, and there is none
  [[nodiscard]] bool end_output() noexcept override { return true; }
  [[nodiscard]] bool is_quiet() noexcept override { return now().core().is_quiet(); }
  void nudge() noexcept override { now().core().nudge_reader(); }
  void retire(bool) noexcept override {}
  /// Gives the sources what the derived stream has taken and not read. Reader's role.
  virtual void give_back(std::string_view unread) noexcept = 0;

 protected:
  derived_transport() noexcept : transport(false) {}
  /// As receive().
  virtual received receive_some(input_buffer& into) = 0;
  /// The source that bytes come from.
  [[nodiscard]] virtual source_role& now() noexcept = 0;
  /// Moves up to `most` bytes from the buffer of `from`, which has some. Throws std::bad_alloc;
  /// then nothing has changed.
  std::size_t move_some(source_role& from, std::uint64_t most, input_buffer& into);
};

/// take(): ends after so many bytes.
class taking_transport final : public derived_transport {
 public:
  taking_transport(stream_core& from, std::uint64_t n) : from_(from), left_(n) {
    readers_ = &from.read_queue();
  }
  [[nodiscard]] bool is_quiet() noexcept override { return left_ != 0 && from_.core().is_quiet(); }
  void close() noexcept override { from_.let_go(); }
  void give_back(std::string_view unread) noexcept override { from_.give_back(unread); }

 private:
  received receive_some(input_buffer& into) override;
  source_role& now() noexcept override { return from_; }

  source_role from_;
  std::uint64_t left_;  // the reader's role
};

/// chain(): the second source follows when the first has ended.
class chaining_transport final : public derived_transport {
 public:
  chaining_transport(stream_core& first, stream_core& second) : first_(first), second_(second) {
    readers_ = &first.read_queue();
  }
  void close() noexcept override {
    first_.let_go();
    second_.let_go();
  }
  void give_back(std::string_view unread) noexcept override;

 private:
  received receive_some(input_buffer& into) override;
  source_role& now() noexcept override { return is_second_ ? second_ : first_; }

  source_role first_;
  source_role second_;
  bool is_second_ = false;         // the reader's role, like the next
  std::uint64_t from_second_ = 0;  // so many bytes came from the second source
};

/// inspect(): shows each piece before it can be read.
class showing_transport final : public derived_transport {
 public:
  showing_transport(stream_core& from, std::function<void(std::string_view)> see)
      : from_(from), see_(std::move(see)) {
    readers_ = &from.read_queue();
  }
  void close() noexcept override { from_.let_go(); }
  void give_back(std::string_view unread) noexcept override { from_.give_back(unread); }

 private:
  received receive_some(input_buffer& into) override;
  source_role& now() noexcept override { return from_; }

  source_role from_;
  const std::function<void(std::string_view)> see_;
};

}  // namespace heddle::detail
