// SPDX-License-Identifier: MIT
// Holds threads where nobody expects it.
//
// Problem   On an idle machine the threads of a test take turns in nearly the same way each time.
//           An order that rests on a duration ("500 us end before 1500 us") holds there for years,
//           and fails in a busy CI. So does one that rests on a thread being quick between two
//           lines.
// Rejected  Hogging the processors. The kernel takes a thread off at the end of its slice, and
//           rarely between two given lines.
// Chosen    A thread of this library wakes every few milliseconds. It chooses one to three threads
//           of the process, and sends each a signal whose handler sleeps. It sleeps for a fraction
//           of a millisecond, and every fourth time for longer. So a thread stands still at any
//           instruction, in or out of a lock, while all others go on.
// Use       env LD_PRELOAD=.../jitter.so JITTER_SEED=7 build/release/tests/heddle_sched_tests
//           Directly before the program: under `env LD_PRELOAD=... timeout ... program` it would
//           hold `timeout`. tools/nightly runs the tests so.
//
//   JITTER_SEED         chooses threads and times (default: from the clock, and printed). The seed
//                       does not choose what the kernel does in between. So a seed that failed
//                       fails again more often than others, not always
//   JITTER_GAP_US       the mean time between two attacks (default 6000)
//   JITTER_LONGEST_US   the longest hold (default 8000)
//
// Processes that the program starts are not held: LD_PRELOAD leaves the environment. A forked child
// that does not exec has no thread that would send a signal.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t state;
static uint64_t longest_us = 8000, gap_us = 6000;

// splitmix64: one atomic addition, so that the handler may draw on any thread.
static uint64_t draw(void) {
  uint64_t z = atomic_fetch_add(&state, 0x9e3779b97f4a7c15ull) + 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// The bare system call. Nothing else is allowed in a handler, and a library that wraps nanosleep
// must not see it.
static void nap(uint64_t us) {
  struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000 * 1000)};
  syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL);
}

static int held_by(void) { return SIGRTMAX - 3; }

static void hold(int signal) {
  (void)signal;
  const int error = errno;
  const uint64_t r = draw();
  nap((r & 3) ? (r >> 8) % 300 : (r >> 8) % longest_us);
  errno = error;
}

// Of getdents64. The C library's readdir would allocate, under locks that a held thread may have.
struct entry {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

static int threads(int* into, int most, int self) {
  const int dir = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return 0;
  _Alignas(8) char buffer[4096];
  int n = 0;
  for (long got; (got = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0;)
    for (long at = 0; at < got;) {
      const struct entry* e = (const struct entry*)(buffer + at);
      const int id = atoi(e->name);
      if (id > 0 && id != self && n < most) into[n++] = id;
      at += e->length;
    }
  close(dir);
  return n;
}

static void* attack(void* unused) {
  (void)unused;
  const int self = (int)syscall(SYS_gettid), process = getpid();
  for (;;) {
    nap(draw() % (2 * gap_us));
    int all[256];
    const int n = threads(all, 256, self);
    const int many = 1 + (int)(draw() % 3);
    for (int i = 0; n > 0 && i < many; ++i)
      syscall(SYS_tgkill, process, all[draw() % (uint64_t)n], held_by());
  }
  return NULL;
}

static uint64_t number(const char* name, uint64_t otherwise) {
  const char* s = getenv(name);
  const uint64_t n = s ? strtoull(s, NULL, 10) : 0;
  return n ? n : otherwise;
}

static int (*real_mask)(int, const sigset_t*, sigset_t*);
static int (*real_process_mask)(int, const sigset_t*, sigset_t*);
static pid_t (*real_fork)(void);

// Threads of a library block signals, to leave them to the program's threads. They still take ours.
static const sigset_t* but_ours(int how, const sigset_t* set, sigset_t* place) {
  if (!set || how == SIG_UNBLOCK) return set;
  *place = *set;
  sigdelset(place, held_by());
  return place;
}
static void find(void) {
  real_mask = (int (*)(int, const sigset_t*, sigset_t*))dlsym(RTLD_NEXT, "pthread_sigmask");
  real_process_mask = (int (*)(int, const sigset_t*, sigset_t*))dlsym(RTLD_NEXT, "sigprocmask");
  real_fork = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
}
int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) {
  sigset_t place;
  if (!real_mask) find();
  return real_mask(how, but_ours(how, set, &place), old);
}
int sigprocmask(int how, const sigset_t* set, sigset_t* old) {
  sigset_t place;
  if (!real_process_mask) find();
  return real_process_mask(how, but_ours(how, set, &place), old);
}

// A signal that arrives while the kernel copies the process makes the copy begin again. With a
// large process and a small gap it would never end. So our signal is blocked meanwhile. Afterwards
// only our bit of the mask is set back, since handlers that ran in the child may have changed the
// rest.
pid_t fork(void) {
  if (!real_fork) find();
  sigset_t mine, before;
  sigemptyset(&mine);
  sigaddset(&mine, held_by());
  real_mask(SIG_BLOCK, &mine, &before);
  const pid_t child = real_fork();
  if (!sigismember(&before, held_by())) real_mask(SIG_UNBLOCK, &mine, NULL);
  return child;
}

__attribute__((constructor)) static void begin(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t seed =
      number("JITTER_SEED", ((uint64_t)now.tv_nsec ^ ((uint64_t)getpid() << 32)) % 1000000000 + 1);
  atomic_store(&state, seed);
  longest_us = number("JITTER_LONGEST_US", longest_us);
  gap_us = number("JITTER_GAP_US", gap_us);
  if (!real_mask) find();
  unsetenv("LD_PRELOAD");
  fprintf(stderr, "jitter: seed %llu\n", (unsigned long long)seed);

  struct sigaction a = {0};
  a.sa_handler = hold;
  a.sa_flags = SA_RESTART;
  sigemptyset(&a.sa_mask);
  sigaction(held_by(), &a, NULL);

  // The attacker itself takes no signal: those of the process are for the program's threads.
  sigset_t all, before;
  sigfillset(&all);
  real_mask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, NULL, attack, NULL) == 0) pthread_detach(thread);
  real_mask(SIG_SETMASK, &before, NULL);
}
