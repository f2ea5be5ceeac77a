// SPDX-License-Identifier: MIT
#include <heddle/io/stream.h>

#include <heddle/core/seeing/layout.h>
#include <heddle/io/streams/reading.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/timeout.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

namespace heddle {

namespace detail {

connection make_connection(stream_core* core) {
  return {stream_reader(stream_ref(core)), stream_writer(stream_ref(core))};
}

void check_limit(std::size_t limit) {
  if (limit == 0 || limit > PTRDIFF_MAX)
    throw bad_value("a stream's limit must be at least one byte");
}

void stream_ref::drop() noexcept { core_->unref(); }

void stream_ref::throw_moved_from() {
  detail::throw_usage("this half of a connection is empty: it was moved from, or never opened");
}

fill_wait::fill_wait(stream_core& core, bool whole)
    : queue_waiter(core.read_queue()), core_(core), whole_(whole) {}

bool fill_wait::await_ready() {
  check_fresh();
  if (whole_) {
    core_.begin_read();
    holds_ = true;
  }
  looked_ = core_.receive() != got::nothing;
  return looked_ && go_on_fetching();
}

void fill_wait::let_go() noexcept {
  holds_ = false;
  core_.end_read();
}

bool fill_wait::suspend(task_record& t) { return core_.wait_readable(*this, t); }

bool fill_wait::await_resume() {
  struct releaser {
    fill_wait& wait;
    ~releaser() {
      if (wait.holds_) wait.let_go();
    }
  } at_end{*this};
  if (cancelled_at_resume(*this)) throw_cancelled(*task);
  if (!looked_) (void)core_.receive();
  if (!core_.eof()) return true;
  if (core_.read_failed()) core_.throw_error();
  return false;
}

drain_wait::drain_wait(stream_core& core) noexcept
    : queue_waiter(core.drain_queue()), core_(core) {}
bool drain_wait::await_ready() {
  check_fresh();
  return core_.drained(false) && go_on();
}
bool drain_wait::suspend(task_record& t) { return core_.wait_drained(*this, t); }
void drain_wait::await_resume() {
  if (cancelled_at_resume(*this)) throw_cancelled(*task);
  if (task) (void)core_.drained(true);
}

closed_wait::closed_wait(stream_core& core) noexcept
    : queue_waiter(core.closed_queue()), core_(core) {}
bool closed_wait::suspend(task_record& t) {
  check_fresh();
  return core_.wait_closed(*this, t);
}
void closed_wait::await_resume() {
  if (cancelled_at_resume(*this)) throw_cancelled(*task);
  core_.throw_if_broken();
}

namespace {

stream_stats stats_of(const stream_core& core) noexcept {
  const traffic& t = core.passed();
  return {t.in.bytes(), t.out.bytes(), t.in.last(), t.out.last()};
}

void warn_unless_closed(stream_core& core, runtime_state& runtime) noexcept {
  if (core.is_closing() || !core.is_established()) return;
  try {
    error_context what;
    what.message = "a stream_writer was destroyed without close(): " + core.peer().to_string();
    runtime.report(what);
  } catch (const std::bad_alloc&) {
    // There is no memory for the warning, and it is left out.
  }
}

task<std::string> read_some(stream_core& core, std::size_t most) {
  const reading role(core);
  if (most == 0) co_return std::string();
  auto& in = core.input();
  while (in.empty()) {
    fill_wait more(core, false);
    if (!co_await more) break;
  }
  co_return take(in, std::min(most, in.size()));
}

/// Puts bytes that a read has taken out back in front of those that are there. Without memory for
/// that the stream would go on with a gap. So it ends, with ENOMEM.
void give_back(stream_core& core, std::string taken) noexcept {
  auto& in = core.input();
  try {
    taken.append(in.view());
    in.clear();
    in.append(taken);
  } catch (const std::bad_alloc&) { core.lose_input(); }
}

task<std::string> read_all(stream_core& core) {
  const reading role(core);
  std::string out;
  auto& in = core.input();
  for (;;) {
    // A cancellation must lose nothing: the gathered bytes go back in front.
    std::exception_ptr cut;
    bool more = false;
    try {
      if (!in.empty()) {
        out.append(in.view());
        in.clear();
      }
      fill_wait next(core, false);
      more = co_await next;
    } catch (...) { cut = std::current_exception(); }
    if (cut) {
      give_back(core, std::move(out));
      std::rethrow_exception(cut);
    }
    if (!more) co_return out;
  }
}

task<std::string> read_exact(stream_core& core, std::size_t n) {
  const reading role(core);
  auto& in = core.input();
  while (in.size() < n) {
    fill_wait more(core, false);
    if (!co_await more) {
      if (in.size() >= n) break;
      std::string partial = take(in, in.size());
      throw incomplete_read_error(std::move(partial), n);
    }
  }
  co_return take(in, n);
}

/// Where a separator stands in a text; npos: there is none.
struct found {
  std::size_t start = std::string_view::npos;
  std::size_t end = std::string_view::npos;
};

/// The separator that ends first, looked for from `from` on.
found look_for(std::string_view text, const std::vector<std::string>& separators,
               std::size_t from) {
  found best;
  for (const auto& s : separators) {
    const auto at = text.find(s, from);
    if (at != std::string_view::npos && at + s.size() < best.end) best = {at, at + s.size()};
  }
  return best;
}

/// Waits until a separator is buffered, and yields its place. Consumes nothing, unless the stream
/// ends before: then it throws all that was left.
task<found> await_separator(stream_core& core, const std::vector<std::string>& separators) {
  std::size_t shortest = std::string_view::npos;
  std::size_t longest = 0;
  for (const auto& s : separators) {
    shortest = std::min(shortest, s.size());
    longest = std::max(longest, s.size());
  }
  if (separators.empty() || shortest == 0)
    throw bad_value("a separator must have at least one byte");
  auto& in = core.input();
  std::size_t from = 0;
  for (;;) {
    const auto text = in.view();
    const found f = look_for(text, separators, from);
    if (f.end != std::string_view::npos) {
      if (f.start > core.limit())
        throw limit_overrun_error(
            "a separator was found, but more bytes than the limit stand before it", f.start);
      co_return f;
    }
    from = text.size() >= longest ? text.size() - longest + 1 : 0;
    if (from > core.limit())
      throw limit_overrun_error("no separator was found within the limit", from);
    fill_wait more(core, false);
    if (!co_await more && in.size() == text.size()) {
      std::string partial = take(in, in.size());
      throw incomplete_read_error(std::move(partial), 0);
    }
  }
}

task<std::string> read_to_separator(stream_core& core, std::vector<std::string> separators) {
  const reading role(core);
  const found f = co_await await_separator(core, separators);
  co_return take(core.input(), f.end);
}

task<std::string> read_one_line(stream_core& core) {
  const reading role(core);
  std::vector<std::string> newline(1, "\n");
  auto& in = core.input();
  try {
    const found f = co_await await_separator(core, newline);
    co_return take(in, f.end);
  } catch (incomplete_read_error& e) {
    co_return e.partial();
  } catch (const limit_overrun_error& e) {
    if (e.consumed() < in.size() && in.view()[e.consumed()] == '\n')
      in.consume(e.consumed() + 1);
    else
      in.clear();
    throw bad_value("a line is longer than the limit of " + std::to_string(core.limit()) +
                    " bytes");
  }
}

/// Holds the reader's role of a stream in close_within(). Empty if a task is reading just then.
class lingering_role {
 public:
  explicit lingering_role(stream_core& core) noexcept
      : core_(core.try_begin_read() ? &core : nullptr) {}
  lingering_role(const lingering_role&) = delete;
  ~lingering_role() { let_go(); }
  explicit operator bool() const noexcept { return core_ != nullptr; }
  void let_go() noexcept {
    if (auto* core = std::exchange(core_, nullptr)) core->end_read();
  }

 private:
  stream_core* core_;
};

/// Reads and drops bytes up to the peer's end, closes, and waits for the end of the connection.
task<> end_in_order(stream_core& core, lingering_role& role) {
  if (role) {
    core.input().clear();
    for (bool more = true; more; core.input().clear()) {
      fill_wait next(core, false);
      more = co_await next;
    }
    role.let_go();
  }
  core.close();
  closed_wait closed(core);
  co_await closed;
}

/// close_within(). A connection whose deadline passes, or whose closing is cancelled, must not stay
/// half closed: it is aborted.
task<bool> end_in_time(stream_ref ref, duration limit) {
  auto& core = ref.use();
  struct aborter {
    stream_core* core;
    ~aborter() {
      if (core) core->abort();
    }
  } at_end{&core};
  lingering_role role(core);  // taken first: the peer may answer our end before linger() returns
  core.linger();
  try {
    const auto body = [&core, &role] { return end_in_order(core, role); };
    task<> work = timeout(limit, body);
    co_await work;
  } catch (const timeout_error&) { co_return false; } catch (const std::system_error&) {
    co_return false;
  }
  at_end.core = nullptr;
  co_return true;
}

}  // namespace
}  // namespace detail

// --- reader ---

task<std::string> stream_reader::read(std::ptrdiff_t n) {
  auto& core = core_.use();
  return n < 0 ? detail::read_all(core) : detail::read_some(core, static_cast<std::size_t>(n));
}

task<std::string> stream_reader::read_exactly(std::ptrdiff_t n) {
  if (n < 0) throw bad_value("read_exactly of a negative number of bytes");
  return detail::read_exact(core_.use(), static_cast<std::size_t>(n));
}

task<std::string> stream_reader::read_until(std::string separator) {
  std::vector<std::string> one;
  one.push_back(std::move(separator));
  return detail::read_to_separator(core_.use(), std::move(one));
}

task<std::string> stream_reader::read_until(std::vector<std::string> separators) {
  return detail::read_to_separator(core_.use(), std::move(separators));
}

task<std::string> stream_reader::read_until(std::initializer_list<std::string_view> separators) {
  return detail::read_to_separator(core_.use(),
                                   std::vector<std::string>(separators.begin(), separators.end()));
}

task<std::string> stream_reader::read_line() { return detail::read_one_line(core_.use()); }

detail::fill_wait stream_reader::fill() { return detail::fill_wait(core_.use()); }

std::string_view stream_reader::buffered() const noexcept {
  return core_.get() ? core_.get()->input().view() : std::string_view();
}

void stream_reader::consume(std::size_t n) {
  auto& in = core_.use().input();
  if (n > in.size()) throw bad_value("consume of more bytes than are buffered");
  if (n > 0) in.consume(n);
}

bool stream_reader::at_eof() const noexcept {
  return core_.get() && core_.get()->eof() && core_.get()->input().empty();
}

bool stream_reader::quiet() { return core_.use().quiet(); }

std::size_t stream_reader::limit() const { return core_.use().limit(); }
stream_stats stream_reader::stats() const { return detail::stats_of(core_.use()); }

// --- writer ---

stream_writer::~stream_writer() {
  auto* core = core_.get();
  if (!core) return;
  if (auto* runtime = detail::this_runtime(); runtime && runtime->debug()) [[unlikely]]
    detail::warn_unless_closed(*core, *runtime);
  core->close();
}

stream_writer& stream_writer::operator=(stream_writer&& other) noexcept {
  if (this != &other) {
    stream_writer old(std::move(*this));  // its destructor closes the former connection
    core_ = std::move(other.core_);
  }
  return *this;
}

void stream_writer::write(std::string_view bytes) { core_.use().write(bytes); }
detail::drain_wait stream_writer::drain() { return detail::drain_wait(core_.use()); }
detail::closed_wait stream_writer::wait_closed() { return detail::closed_wait(core_.use()); }
void stream_writer::write_lines(std::span<const std::string_view> pieces) {
  core_.use().write_pieces(pieces);
}
void stream_writer::write_eof() { core_.use().write_eof(); }
bool stream_writer::can_write_eof() const { return core_.use().can_write_eof(); }
stream_stats stream_writer::stats() const { return detail::stats_of(core_.use()); }
void stream_writer::close() noexcept {
  if (core_.get()) core_.get()->close();
}
task<bool> stream_writer::close_within(duration limit) {
  auto& core = core_.use();
  core.ref();
  return detail::end_in_time(detail::stream_ref(&core), limit);
}
void stream_writer::abort() noexcept {
  if (core_.get()) core_.get()->abort();
}
bool stream_writer::is_closing() const noexcept {
  return !core_.get() || core_.get()->is_closing();
}
std::size_t stream_writer::buffered() const noexcept {
  return core_.get() ? core_.get()->buffered() : 0;
}
void stream_writer::set_write_limits(std::size_t high, std::size_t low) {
  core_.use().set_limits(high, low);
}
address stream_writer::peer_address() const { return core_.use().peer(); }
address stream_writer::local_address() const { return core_.use().local(); }
int stream_writer::native_handle() const noexcept {
  return core_.get() ? core_.get()->descriptor() : -1;
}

}  // namespace heddle

// The classes have virtual functions, so offsetof is "conditionally supported": by both compilers.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

template <>
struct layout_of<stream_core> {
  static constexpr std::uint16_t watched = offsetof(stream_core, is_watched_);
  static constexpr std::uint16_t descriptor = offsetof(stream_core, told_descriptor_);
  static constexpr std::uint16_t pending = offsetof(stream_core, pending_);
  static constexpr std::uint16_t at_read = offsetof(fill_wait, core_);
  static constexpr std::uint16_t at_drain = offsetof(drain_wait, core_);
  static constexpr std::uint16_t at_close = offsetof(closed_wait, core_);

  static constexpr seeing::kind_row kinds[] = {
      {.type = "N6heddle6detail9fill_waitE",
       .name = "read",
       .text = "{%0[|], descriptor %1}",
       .figures = {{at_read, watched, 1}, {at_read, descriptor, 4}}},
      {.type = "N6heddle6detail10drain_waitE",
       .name = "drain",
       .text = ", %2 bytes to go{%0[|], descriptor %1}",
       .figures = {{at_drain, watched, 1}, {at_drain, descriptor, 4}, {at_drain, pending, 8}}},
      {.type = "N6heddle6detail11closed_waitE",
       .name = "wait_closed",
       .text = "{%0[|], descriptor %1}",
       .figures = {{at_close, watched, 1}, {at_close, descriptor, 4}}},
  };
};

namespace {
HEDDLE_ROW("heddle_kinds")
constexpr auto stream_kinds = std::to_array(layout_of<stream_core>::kinds);
}  // namespace

}  // namespace heddle::detail
