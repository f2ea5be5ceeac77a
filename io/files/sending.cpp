// SPDX-License-Identifier: MIT
#include <heddle/io/files/sending.h>

#include <heddle/core/errors.h>
#include <heddle/core/seeing/layout.h>
#include <heddle/io/files/file_turn.h>

#include <algorithm>
#include <cerrno>
#include <source_location>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace heddle::detail {
namespace {

constexpr std::size_t kernel_piece = 256 * 1024;

/// Waits in one of the queues of a stream's file_place. May wake with nothing new.
class file_wait final : public queue_waiter {
 public:
  using ask = bool (stream_core::*)(waiter&, task_record&) noexcept;
  file_wait(stream_core& core, wait_queue& from, ask how) noexcept
      : queue_waiter(from), core_(core), how_(how) {}

  [[nodiscard]] static bool await_ready() noexcept { return false; }
  template <heddle_promise P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> h,
                                   std::source_location where = HEDDLE_HERE) {
    return (core_.*how_)(*this, h.promise().suspending(h, where));
  }
  void await_resume() {
    if (cancelled_at_resume(*this)) throw_cancelled(*task);
  }
  const char* name() const noexcept override { return "send_file"; }

 private:
  stream_core& core_;
  const ask how_;
};

/// Throws what broke or ended the connection.
task<> await_turn(stream_core& core) {
  while (!core.has_file_turn()) {
    file_wait turn(core, core.turn_queue(), &stream_core::wait_file_turn);
    co_await turn;
  }
}

/// sendfile waits for a disk, whatever the socket's flags are. If both ends of a piece are in
/// memory, so is all of it, nearly always.
bool is_in_memory(const shared_file& f, std::uint64_t at, std::size_t n) {
  const file_use use(f);
  char byte = 0;
  return use->read_cached(at, std::span(&byte, 1)) == 1 &&
         (n == 1 || use->read_cached(at + n - 1, std::span(&byte, 1)) == 1);
}

[[noreturn]] void throw_refused(const open_file& f) {
  throw_system_error(EOPNOTSUPP, "send_file",
                     f.path +
                         " (the kernel cannot send it over this stream, and "
                         "send_file_options.fallback is false)");
}

[[noreturn]] void throw_shorter(stream_core& core, const open_file& f) {
  core.revoke(EIO, "send_file of a file that became shorter");
  throw_system_error(EIO, "send_file",
                     f.path + " (the file became shorter meanwhile, so the connection is reset)");
}

/// Reads a piece, and gives it to the stream. Yields how much that was.
task<std::size_t> copy_piece(stream_core& core, shared_file f, std::uint64_t at, std::size_t n,
                             bool is_first) {
  std::string bytes;
  try {
    auto reading = read_part(f, at, n);
    bytes = co_await reading;
  } catch (const std::system_error& e) {
    if (!is_first) core.revoke(e.code().value(), "send_file");
    throw;
  }
  const std::size_t got = bytes.size();
  if (got != 0) core.write_of_file(std::move(bytes));
  co_return got;
}

/// As stream_core::send_of_file.
ssize_t send_cached(stream_core& core, const shared_file& f, std::uint64_t at, std::size_t n) {
  const file_use use(f);
  return core.send_of_file(use->descriptor(), at, n);
}

}  // namespace

task<> begin_file(stream_core& core) {
  while (!core.begin_file()) {
    file_wait others(core, core.file_queue(), &stream_core::wait_file);
    co_await others;
  }
}

task<> send_in_place(stream_core& core, shared_file from, file_part part, std::uint64_t& sent) {
  must_read(*from);
  if (part.is_known) core.expect_of_file(part.count);
  bool by_kernel = part.is_known && core.kernel_sends_files();
  if (!by_kernel && !part.fallback) throw_refused(*from);
  std::uint64_t done = 0;
  while (done < part.count) {
    file_turn others;
    co_await others;
    auto turn = await_turn(core);
    co_await turn;
    const std::uint64_t at = part.offset + done;
    const auto n = static_cast<std::size_t>(
        std::min<std::uint64_t>(part.count - done, by_kernel ? kernel_piece : most_inline));
    if (by_kernel && is_in_memory(from, at, n)) {
      const auto went = send_cached(core, from, at, n);
      if (went > 0) {
        done += static_cast<std::uint64_t>(went);
        sent += static_cast<std::uint64_t>(went);
      } else if (went == 0) {
        throw_shorter(core, *from);
      } else if (went != -EAGAIN) {
        if (!part.fallback && done == 0) throw_refused(*from);
        by_kernel = false;
      }
      continue;
    }
    auto copying = copy_piece(core, from, at, n, done == 0);
    const std::size_t got = co_await copying;
    if (got == 0 && part.is_known) throw_shorter(core, *from);
    if (got == 0) co_return;
    done += got;
    sent += got;  // also if the wait below is cancelled: the stream has the piece
    try {
      auto taken = await_turn(core);
      co_await taken;
    } catch (const std::system_error&) {
      sent -= got;
      throw;
    }
  }
}

task<> send_part(stream_core& core, shared_file from, file_part part) {
  auto place = begin_file(core);
  co_await place;
  const file_in_place held(core);
  std::uint64_t sent = 0;
  auto sending = send_in_place(core, std::move(from), part, sent);
  co_await sending;
}

}  // namespace heddle::detail

namespace heddle::detail {
namespace {
HEDDLE_ROW("heddle_kinds")
constexpr seeing::kind_row sending_kinds[] = {
    {.type = "N6heddle6detail*9file_waitE", .name = "send_file"},
};
}  // namespace
}  // namespace heddle::detail
