// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/dump.h>

#include <heddle/core/base/atomic.h>
#include <heddle/core/dump.h>
#include <heddle/core/seeing/report.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>

namespace heddle {

using detail::seeing::opening;
using detail::seeing::output;
using detail::seeing::sight;

namespace {

constinit detail::plain_atomic<bool> dump_runs{false};

bool write_dump(int descriptor) noexcept {
  // In pages of its own: the heap may be locked, and a signal's stack is small.
  void* room =
      ::mmap(nullptr, sizeof(sight), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return false;
  auto* s = ::new (room) sight(0);
  bool good = false;
  {
    output to(descriptor);
    if (s->open() == opening::good)
      good = put_everything(to, *s);
    else
      to.put("heddle: this process cannot read its own memory\n");
    to.flush();
    good = good && to.good();
  }
  s->~sight();
  ::munmap(room, sizeof(sight));
  return good;
}

void on_signal(int) {
  const int before = errno;
  (void)dump(STDERR_FILENO);
  errno = before;
}

int signal_named(const char* name) noexcept {
  constexpr struct {
    const char* name;
    int number;
  } known[] = {{"QUIT", SIGQUIT}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"HUP", SIGHUP}};
  if (std::strncmp(name, "SIG", 3) == 0) name += 3;
  for (const auto& k : known)
    if (std::strcmp(k.name, name) == 0) return k.number;
  return 0;
}

}  // namespace

bool dump(int descriptor) noexcept {
  // pairs with the store below
  if (dump_runs.exchange(true, detail::acquire)) return false;
  const bool good = write_dump(descriptor);
  // pairs with the exchange above
  dump_runs.store(false, detail::release);
  return good;
}

namespace detail::seeing {

void arrange_dumps() noexcept {
  static const bool once = [] {
    const char* said = std::getenv("HEDDLE_DUMP");
    const int number = said ? signal_named(said) : 0;
    if (number == 0) return false;
    struct sigaction action{};
    action.sa_handler = &on_signal;
    action.sa_flags = SA_RESTART;
    return ::sigaction(number, &action, nullptr) == 0;
  }();
  (void)once;
}

}  // namespace detail::seeing
}  // namespace heddle
