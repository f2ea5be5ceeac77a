// SPDX-License-Identifier: MIT
#include <heddle/io/file.h>

#include <heddle/core/errors.h>
#include <heddle/core/record/budget.h>
#include <heddle/io/files/file_jobs.h>
#include <heddle/io/files/file_threads.h>
#include <heddle/io/files/file_turn.h>
#include <heddle/io/files/open_file.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/sleep.h>

#include <sys/file.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <memory>
#include <type_traits>

namespace heddle {
namespace detail {
namespace {

void must_write(const open_file& f) {
  if (!f.writes) throw usage_error("this file was not opened for writing: " + f.path);
}

std::size_t wanted(std::ptrdiff_t n) noexcept {
  return n < 0 ? static_cast<std::size_t>(PTRDIFF_MAX) : static_cast<std::size_t>(n);
}

/// Holds the position of a file for one task.
class position_use {
 public:
  explicit position_use(open_file& f) : file_(f) {
    // pairs with the store in the destructor
    if (f.positioned.exchange(true, acquire))
      throw usage_error("another task uses the position of this file: " + f.path);
  }
  position_use(const position_use&) = delete;
  ~position_use() {
    // pairs with the exchange of the next task
    file_.positioned.store(false, release);
  }

 private:
  open_file& file_;
};

task<std::size_t> read_into(shared_file f, std::uint64_t at, std::span<std::byte> into) {
  must_read(*f);
  const std::span<char> text(reinterpret_cast<char*>(into.data()), into.size());
  if (text.size() <= most_inline) {
    file_turn turn;
    co_await turn;
    file_use use(f);
    if (text.empty() || use->read_cached(at, text) == static_cast<ssize_t>(text.size()))
      co_return text.size();
  }
  // The job reads into memory of its own: the caller's may be gone before the disk answers.
  const std::size_t n = text.size();
  auto job = in_a_job(f, [at, n](open_file& o) { return o.read(at, n); });
  const std::string got = co_await job;
  std::memcpy(text.data(), got.data(), got.size());
  co_return got.size();
}

/// The part of what was read ahead that begins at the position. Drops what is stale.
std::string_view ahead_of(open_file& f) noexcept {
  const std::uint64_t at = f.position.load(relaxed);
  // pairs with the count of a write
  const bool fresh = f.changes.load(acquire) == f.ahead_seen;
  if (!fresh || at < f.ahead_at || at - f.ahead_at > f.ahead.size()) {
    f.ahead.clear();
    f.ahead_at = at;
  }
  return std::string_view(f.ahead).substr(at - f.ahead_at);
}

/// The position is the caller's, and does not move.
task<std::string> read_here(shared_file f, std::size_t n) {
  const std::uint64_t at = f->position.load(relaxed);
  { const file_use open(f); }
  std::string out(ahead_of(*f).substr(0, n));
  if (out.size() == n) co_return out;
  auto rest = read_part(f, at + out.size(), n - out.size());
  std::string more = co_await rest;
  if (out.empty()) co_return more;
  out += more;
  co_return out;
}

task<std::string> read_on(shared_file f, std::size_t n) {
  must_read(*f);
  position_use here(*f);
  auto part = read_here(f, n);
  std::string out = co_await part;
  f->position.fetch_add(out.size(), relaxed);
  co_return out;
}

task<std::size_t> read_on_into(shared_file f, std::span<std::byte> into) {
  must_read(*f);
  position_use here(*f);
  const std::uint64_t at = f->position.load(relaxed);
  auto part = read_into(f, at, into);
  const std::size_t n = co_await part;
  f->position.store(at + n, relaxed);
  co_return n;
}

task<std::string> read_exact(shared_file f, std::size_t n) {
  must_read(*f);
  position_use here(*f);
  auto part = read_here(f, n);
  std::string out = co_await part;
  if (out.size() < n) throw incomplete_read_error(std::move(out), n);
  f->position.fetch_add(n, relaxed);
  co_return out;
}

/// A line as read_line() yields it.
task<std::string> read_one_line(shared_file f) {
  must_read(*f);
  position_use here(*f);
  { const file_use open(f); }
  std::size_t looked = 0;
  for (;;) {
    const auto there = ahead_of(*f);
    const auto newline = there.find('\n', std::min(looked, there.size()));
    const std::size_t length = newline == std::string_view::npos ? there.size() : newline + 1;
    const std::uint64_t at = f->position.load(relaxed);
    if (length > f->line_limit)
      throw limit_overrun_error("a line of " + f->path + " is longer than file_options.limit, " +
                                    std::to_string(f->line_limit) + " bytes",
                                length);
    if (newline == std::string_view::npos) {
      looked = there.size();
      const std::uint32_t seen = f->changes.load(acquire);  // pairs with the count of a write
      auto more = read_part(f, at + looked, most_inline);
      const std::string next = co_await more;
      if (ahead_of(*f).size() != looked) {  // something was written meanwhile
        looked = 0;
        continue;
      }
      f->ahead.erase(0, f->ahead.size() - looked);
      f->ahead_at = at;
      if (looked == 0) f->ahead_seen = seen;
      f->ahead += next;
      if (!next.empty()) continue;
    }
    std::string line(ahead_of(*f).substr(0, length));
    f->position.store(at + length, relaxed);
    co_return line;
  }
}

async_generator<std::string> all_lines(shared_file f) {
  for (;;) {
    auto next = read_one_line(f);
    std::string line = co_await next;
    if (line.empty()) co_return;
    if (line.back() == '\n') line.pop_back();
    co_yield std::move(line);
  }
}

task<> write_part(shared_file f, std::uint64_t at, file_bytes bytes) {
  must_write(*f);
  auto job = in_a_job(f, [at, b = std::string(bytes.take())](open_file& o) { o.write(at, b); });
  co_await job;
}

/// A write that was cut off moves the position as well: by what went, or by all of it if it goes on
/// alone.
task<> write_on(shared_file f, file_bytes bytes) {
  must_write(*f);
  position_use here(*f);
  const std::uint64_t at = f->position.load(relaxed);
  std::string text = bytes.take();
  const std::size_t n = text.size();
  auto job = make_job(
      [at](file_use use, const std::string& b) {
        const file_use mine(std::move(use));
        mine->write(at, b);
      },
      file_use(f), std::move(text));
  submit_to_files(*job);
  offload_job::wait_for_end end(*job);
  std::exception_ptr cut;
  try {
    co_await end;
  } catch (...) { cut = std::current_exception(); }
  if (cut) {
    if (!job->was_cancelled()) f->position.store(at + n, relaxed);
    std::rethrow_exception(cut);
  }
  try {
    job->take();
  } catch (const incomplete_write_error& e) {
    f->position.store(at + e.written(), relaxed);
    throw;
  }
  f->position.store(at + n, relaxed);
}

task<std::uint64_t> move_position(shared_file f, std::int64_t offset, seek_from from) {
  position_use here(*f);
  std::uint64_t base = 0;
  if (from == seek_from::here) base = f->position.load(relaxed);
  if (from == seek_from::end) {
    auto job = in_a_job(f, [](open_file& o) { return o.status().size; });
    base = co_await job;
  } else {
    const file_use open(f);
  }
  std::int64_t to = 0;
  if (__builtin_add_overflow(static_cast<std::int64_t>(base), offset, &to) || to < 0)
    throw bad_value("seek in " + f->path + " by " + std::to_string(offset) + " from " +
                    std::to_string(base) + ": no such place");
  f->position.store(static_cast<std::uint64_t>(to), relaxed);
  co_return static_cast<std::uint64_t>(to);
}

/// Gives a lock back that was taken after the wait for it had been cancelled. Job and task agree on
/// `wanted`: the second of the two to take it gives the lock back.
struct lock_leaver {
  shared_file f;
  std::shared_ptr<atomic<bool>> wanted = std::make_shared<atomic<bool>>(true);
  bool done = false;

  explicit lock_leaver(shared_file of) : f(std::move(of)) {}
  lock_leaver(const lock_leaver&) = delete;
  ~lock_leaver() {
    // pairs with the exchange of the job
    if (done || wanted->exchange(false, acq_rel)) return;
    on_file_thread_alone([kept = f] {
      try {
        const file_use use(kept);
        (void)use->lock(LOCK_UN);
      } catch (...) {}  // the file was closed, and the lock went with it
    });
  }
};

task<bool> lock_once(shared_file f, file_lock kind) {
  const int operation = kind == file_lock::shared ? LOCK_SH : LOCK_EX;
  lock_leaver leaving(f);
  auto job = in_a_job(f, [operation, wanted = leaving.wanted](open_file& o) {
    if (!o.lock(operation)) return false;
    // pairs with the exchange of a task that was cancelled
    if (!wanted->exchange(false, acq_rel)) (void)o.lock(LOCK_UN);
    return true;
  });
  const bool locked = co_await job;
  leaving.done = true;
  co_return locked;
}

task<> await_lock(shared_file f, file_lock kind) {
  for (auto pause = std::chrono::milliseconds(1);;
       pause = std::min(pause * 2, std::chrono::milliseconds(50))) {
    auto once = lock_once(f, kind);
    const bool locked = co_await once;
    if (locked) co_return;
    co_await sleep(pause);
  }
}

task<> close_now(shared_file f) {
  f->begin_close();
  auto job = on_file_thread([](const shared_file& o) { o->close(); }, f);
  co_await job;
}

task<file> open_checked(std::string path, file_options options) {
  auto job =
      on_file_thread([](const std::string& p, const file_options& o) { return open_by_path(p, o); },
                     std::move(path), options);
  auto state = co_await job;
  file opened = file_access::make(std::move(state));
  co_return opened;
}

/// A handle goes: its file is closed by a file thread, when the last job that uses it has ended.
void let_go(std::shared_ptr<open_file> f) noexcept {
  if (!f || f->number() < 0) return;
  if (auto* runtime = this_runtime(); runtime && runtime->debug() && f->is_open()) [[unlikely]] {
    try {
      error_context what;
      what.message = "a file was destroyed without close(): " + f->path;
      runtime->report(what);
    } catch (const std::bad_alloc&) {}  // the warning is left out
  }
  on_file_thread_alone([kept = std::move(f)]() mutable { kept.reset(); });
}

}  // namespace
}  // namespace detail

file& file::operator=(file&& other) noexcept {
  if (this != &other) {
    detail::let_go(std::move(state_));
    state_ = std::move(other.state_);
  }
  return *this;
}

file::~file() { detail::let_go(std::move(state_)); }

const std::shared_ptr<detail::open_file>& file::use() const {
  if (!state_) detail::throw_usage("this file is empty: it was moved from, or never opened");
  return state_;
}

task<file> file::open(std::string path, file_options options) {
  detail::check_path(path);
  (void)detail::flags_of(options);
  return detail::open_checked(std::move(path), options);
}
task<file> file::open(std::string path) { return open(std::move(path), file_options()); }

task<std::string> file::read_at(file_offset offset, std::ptrdiff_t n) {
  return detail::read_part(use(), offset, detail::wanted(n));
}
task<std::size_t> file::read_at(file_offset offset, std::span<std::byte> into) {
  return detail::read_into(use(), offset, into);
}
task<> file::write_at(file_offset offset, file_bytes bytes) {
  if (use()->appends)
    throw usage_error("write_at of a file that appends: the kernel would ignore the place, in " +
                      use()->path);
  return detail::write_part(use(), offset, std::move(bytes));
}
task<std::string> file::read() { return detail::read_on(use(), detail::wanted(-1)); }
task<std::string> file::read(std::ptrdiff_t n) { return detail::read_on(use(), detail::wanted(n)); }
task<std::size_t> file::read(std::span<std::byte> into) {
  return detail::read_on_into(use(), into);
}
task<std::string> file::read_exactly(std::ptrdiff_t n) {
  if (n < 0) throw bad_value("read_exactly of a negative number of bytes");
  return detail::read_exact(use(), static_cast<std::size_t>(n));
}
task<std::string> file::read_line() { return detail::read_one_line(use()); }
async_generator<std::string> file::lines() { return detail::all_lines(use()); }
task<> file::write(file_bytes bytes) {
  if (use()->appends) return detail::write_part(use(), 0, std::move(bytes));
  return detail::write_on(use(), std::move(bytes));
}
task<std::uint64_t> file::seek(std::int64_t offset) { return seek(offset, seek_from::start); }
task<std::uint64_t> file::seek(std::int64_t offset, seek_from from) {
  return detail::move_position(use(), offset, from);
}
std::uint64_t file::tell() const { return use()->position.load(detail::relaxed); }

task<> file::truncate(file_offset size) {
  detail::must_write(*use());
  return detail::in_a_job(use(),
                          [n = std::uint64_t(size)](detail::open_file& o) { o.truncate(n); });
}
task<file_status> file::status() {
  return detail::in_a_job(use(), [](detail::open_file& o) { return o.status(); });
}
task<> file::sync() {
  return detail::in_a_job(use(), [](detail::open_file& o) { o.sync(false); });
}
task<> file::sync_data() {
  return detail::in_a_job(use(), [](detail::open_file& o) { o.sync(true); });
}
task<> file::lock(file_lock kind) { return detail::await_lock(use(), kind); }
task<bool> file::try_lock(file_lock kind) { return detail::lock_once(use(), kind); }
task<> file::unlock() {
  return detail::in_a_job(use(), [](detail::open_file& o) { (void)o.lock(LOCK_UN); });
}
task<> file::close() { return detail::close_now(use()); }
bool file::is_open() const noexcept { return state_ && state_->is_open(); }
const std::string& file::path() const { return use()->path; }
int file::native_handle() const noexcept { return state_ ? state_->number() : -1; }

}  // namespace heddle
