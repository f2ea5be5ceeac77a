// SPDX-License-Identifier: MIT
// Internal to sched.
// Probes for tracers of the system (USDT): `bpftrace -l 'usdt:./program:heddle:*'` lists them,
// `perf probe` and gdb know them too.
//
// They stand where the counters of runtime::stats are raised, so a tracer that counts them gets the
// same numbers. They are there if the library was compiled where <sys/sdt.h> is (the package
// systemtap-sdt-dev); else each is an empty function.
// Cost      one nop, while no tracer is attached. The arguments stay in registers: the build says
//           so by STAP_SDT_ARG_CONSTRAINT, since clang would put them on the stack.
#pragma once

#include <heddle/core/base/config.h>

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#endif

namespace heddle::detail::probes {

#ifdef STAP_PROBE2
/// loop_stats::run: a step of a task or strand, or a callback (nullptr). The loop is the thread.
HEDDLE_INLINE void step(const void* task) noexcept { STAP_PROBE1(heddle, step, task); }
/// loop_stats::created.
HEDDLE_INLINE void created(const void* task) noexcept { STAP_PROBE1(heddle, created, task); }
/// loop_stats::parked: the loop is about to sleep.
HEDDLE_INLINE void parked(unsigned loop) noexcept { STAP_PROBE1(heddle, parked, loop); }
/// loop_stats::polls, with the events that the poll brought.
HEDDLE_INLINE void polled(unsigned loop, unsigned events) noexcept {
  STAP_PROBE2(heddle, polled, loop, events);
}
/// loop_stats::stolen grows by `count`.
HEDDLE_INLINE void stole(unsigned loop, unsigned from, unsigned long count) noexcept {
  STAP_PROBE3(heddle, stole, loop, from, count);
}
/// loop_stats::rescues: `loop` serves `hogged`.
HEDDLE_INLINE void rescued(unsigned loop, unsigned hogged) noexcept {
  STAP_PROBE2(heddle, rescued, loop, hogged);
}
/// A job begins and ends on a thread of a pool.
HEDDLE_INLINE void job_begins(const void* job) noexcept { STAP_PROBE1(heddle, job__begins, job); }
HEDDLE_INLINE void job_ends(const void* job) noexcept { STAP_PROBE1(heddle, job__ends, job); }
#else
HEDDLE_INLINE void step(const void*) noexcept {}
HEDDLE_INLINE void created(const void*) noexcept {}
HEDDLE_INLINE void parked(unsigned) noexcept {}
HEDDLE_INLINE void polled(unsigned, unsigned) noexcept {}
HEDDLE_INLINE void stole(unsigned, unsigned, unsigned long) noexcept {}
HEDDLE_INLINE void rescued(unsigned, unsigned) noexcept {}
HEDDLE_INLINE void job_begins(const void*) noexcept {}
HEDDLE_INLINE void job_ends(const void*) noexcept {}
#endif

}  // namespace heddle::detail::probes
