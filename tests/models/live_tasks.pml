// SPDX-License-Identifier: MIT
/* The count of live tasks (runtime_state::live_tasks, worker::created, worker::finished): a shutdown that adds up the loops' counters must not find
 * nobody while a task lives. check_models has spin try every order of its steps.
 *
 * P runs on loop 0, creates C, and ends. Loop 1 takes C, which creates D and ends; then D ends. Meanwhile somebody adds up.
 *
 * Memory is weak: a counter is read as any value that it has had, down to the latest that the reader must know of. What a thread must know of it
 * knows by itself, from the hand-over of a task, or from an acquiring read of a `finished` that was bumped with release.
 *
 * Always: who finds as many ends as creations finds that no task lives.
 *
 * Planted faults, each of which must be noticed: M_RELAXED (`finished` is read without acquire), M_ORDER (creations are added up before ends).
 */

/* P was created from outside, and that is known. */
byte created[2], finished[2];
byte alive = 1;
/* What loop w must know of created[c], at [2 * w + c]. */
byte view[4];
/* What was known to whoever made finished[f] the value v, at [6 * f + 2 * v + c]. */
byte released[12];
bit handed_over;

inline create(w) {
  atomic { alive++; created[w]++; view[2 * w + w] = created[w] }
}
inline end_task(w) {
  atomic {
    alive--;
    finished[w]++;
    released[6 * w + 2 * finished[w]] = view[2 * w];
    released[6 * w + 2 * finished[w] + 1] = view[2 * w + 1]
  }
}

proctype loop_0() {
  create(0);
  atomic { view[2] = view[0]; handed_over = 1 }    /* C goes to loop 1 */
  end_task(0)
}
proctype loop_1() {
  handed_over;
  create(1);
  end_task(1);
  end_task(1)
}

inline read_finished(f) {
  atomic {
    select_from(0, finished[f]);
    ends = ends + got;
#ifndef M_RELAXED
    know[0] = (know[0] < released[6 * f + 2 * got] -> released[6 * f + 2 * got] : know[0]);
    know[1] = (know[1] < released[6 * f + 2 * got + 1] -> released[6 * f + 2 * got + 1] : know[1]);
#endif
    got = 0
  }
}
inline read_created(c) {
  atomic { select_from(know[c], created[c]); creations = creations + got; got = 0 }
}
inline select_from(least, most) {
  got = least;
  do
  :: got < most -> got++
  :: break
  od
}

proctype shutdown() {
  byte know[2], got, ends, creations = 1;
#ifdef M_ORDER
  read_created(0); read_created(1);
#endif
  read_finished(0); read_finished(1);
#ifndef M_ORDER
  read_created(0); read_created(1);
#endif
  /* Once no task lives none is created. */
  assert(ends != creations || alive == 0)
}

init {
  atomic { run loop_0(); run loop_1(); run shutdown() }
}
