// SPDX-License-Identifier: MIT
// What a runtime says when nothing can happen in it any more: runtime_state::came_to_rest().
//
// Problem   Two tasks that lock each other, or a task that waits for an event that nobody sets,
//           leave a program that hangs in silence.
// Rejected  A thread that watches: idle programs would wake for it. A count of all that can wake a
//           task: a locked operation for each timer and descriptor.
// Chosen    The loop that falls asleep last sleeps for a second only, once after each step, and
//           then looks (worker::plan_sleep). The look reads the program's own memory, as `heddle`
//           does from outside, and takes nothing for granted: what it does not know can wake a
//           task.
// Cost      Nothing while a loop has work or a timer; else a wake-up and some microseconds, a
//           second after the last step. With descriptors, handlers or jobs no task is looked at.
// Limit     Programs with more than 100,000 tasks are not looked at.
#include <heddle/core/seeing/stillness.h>
#include <heddle/sched/runtime/runtime_state.h>
#include <heddle/sched/runtime/trace_on.h>
#include <heddle/sched/simulation/errors.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>

namespace heddle::detail {

using namespace seeing;

namespace {

constexpr std::size_t most_threads = 16;  // that are told

constinit atomic<bool> look_runs{false};
constinit atomic<bool> was_told{false};

/// 0: the entry is no thread.
pid_t number_of(const char* entry) noexcept {
  pid_t value = 0;
  for (; *entry >= '0' && *entry <= '9'; ++entry) value = value * 10 + (*entry - '0');
  return value;
}

void read_name(pid_t number, char (&name)[16]) noexcept {
  char path[64];
  short_writer file(path);
  file.put("/proc/self/task/");
  file.number(static_cast<std::uint64_t>(number));
  file.put("/comm");
  name[0] = 0;
  const int descriptor = ::open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  const auto n = ::read(descriptor, name, sizeof name - 1);
  ::close(descriptor);
  name[n > 0 ? n - 1 : 0] = 0;  // without the line's end
}

/// The threads that are no loops, and of no pool of the library. `callers` of them wait in run: the
/// main thread is taken for one, and of others the first.
std::size_t foreign_threads(const loops_view& loops, std::size_t callers,
                            foreign_thread (&to)[most_threads]) noexcept {
  DIR* folder = ::opendir("/proc/self/task");
  if (!folder) return 0;
  std::size_t count = 0;
  while (const dirent* entry = ::readdir(folder)) {
    const pid_t number = number_of(entry->d_name);
    bool is_loop = number <= 0;
    for (std::size_t i = 0; i < loops.size(); ++i) is_loop = is_loop || loops[i].thread == number;
    if (is_loop || count == most_threads) continue;
    if (callers != 0 && number == ::getpid()) {
      --callers;
      continue;
    }
    foreign_thread& t = to[count];
    t.number = number;
    read_name(number, t.name);
    if (std::strncmp(t.name, "heddle-", 7) != 0) ++count;
  }
  ::closedir(folder);
  return count > callers ? count - callers : 0;
}

/// Something beside tasks and threads may act.
bool has_sources(runtime_state& s) noexcept {
  for (worker* w : s.workers)
    if (w->own_driver().watches() || w->own_timers().first() != time_point::max()) return true;
  return s.pool.is_busy();
}

void tell(runtime_state& s, sight& from, std::uint64_t tasks) noexcept {
  write_trace_on(trace_trigger::rest);
  foreign_thread threads[most_threads];
  const auto n = foreign_threads(from.loops(), s.standstill.callers(), threads);
  if (s.opts.when_at_rest == at_rest::report) {
    output to(STDERR_FILENO);
    return put_stillness(to, from, tasks, threads, n);
  }
  std::string text;
  {
    output to(
        [](void* all, std::string_view some) noexcept {
          try {
            static_cast<std::string*>(all)->append(some);
            return true;
          } catch (const std::bad_alloc&) {
            return false;  // as much of it as there is memory for
          }
        },
        &text);
    put_stillness(to, from, tasks, threads, n);
  }
  try {
    s.fatal.came(std::make_exception_ptr(testing::stuck_error(text)));
  } catch (const std::bad_alloc&) {}  // then it is not told
}

}  // namespace

// A loop calls it when all loops have slept for a second. Tells what stands still, on stderr or by
// run(), if nothing can happen any more; on stderr once in a process.
void runtime_state::came_to_rest() noexcept {
  runtime_state& s = *this;
  s.note_look();
  if (was_told.load(relaxed) && s.opts.when_at_rest == at_rest::report)
    return s.looks_at_rest.store(false, relaxed);
  if (has_sources(s)) return;
  // pairs with the store below
  if (look_runs.exchange(true, acquire)) return s.look_again();  // another runtime looks
  void* room =
      ::mmap(nullptr, sizeof(sight), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room != MAP_FAILED) {
    auto* from = ::new (room) sight(0);
    std::uint64_t tasks = 0;
    const auto how = from->open() == opening::good ? how_still(*from, tasks) : stillness::moves;
    if (how == stillness::unclear || s.has_stepped_since_look()) {
      s.look_again();
    } else if (how == stillness::still && !has_sources(s) && !s.is_stopping()) {
      s.looks_at_rest.store(false, relaxed);
      if (s.opts.when_at_rest == at_rest::fails || !was_told.exchange(true, relaxed))
        tell(s, *from, tasks);
    }
    from->~sight();
    ::munmap(room, sizeof(sight));
  }
  // pairs with the exchange above
  look_runs.store(false, release);
}

}  // namespace heddle::detail
