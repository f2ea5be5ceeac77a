// SPDX-License-Identifier: MIT
/* LOOK-TWICE and TREE (sched/loop/idle.h): who sleeps, who searches, whom to wake, as idle.cpp, search.cpp and worker::take_turns do it. check_models
 * has spin try every order of its steps.
 *
 * N loops; an outside sender of SENDS items, pinned (1), movable (2) or injected (4), as SENDKINDS adds up; FORKS pushes by running tasks to
 * their loop's own queue; SPONT wake-ups that nobody sent (timers, wake_to_watch). A task ends at once, or never, and then its loop is hogged:
 * HOGS loops at most, at least one is free. PREHOG: one is from the beginning, with PREREADY tasks in its queue.
 *
 * Sequentially consistent. What the code reads relaxed is chosen freely where STALE is set: refusals as a searcher, whether somebody sleeps, the
 * numbers that decide between no wake-up, one and two (TREE). FINE and WORDS make steps smaller: wanted_ is computed in two, and a scan
 * of sleepers may pass one that falls asleep behind it.
 * Not in it: a task that is alone and left to its owner, and the watch, which would mend late what is lost here.
 *
 * At rest, when nobody can take a step: nothing lies anywhere but pinned to a hogged loop, and all counts are what they should be.
 *
 * Planted faults, each of which must be noticed: M_LOOK (who was refused does not look whether anybody searches), M_ANY (a sender that finds no
 * sleeper does not look again), M_BIT (the bit before the count), M_WANTED (who has written wanted_ does not look
 * again), M_UNCOUNTED (what an uncounted look finds is passed on to nobody), M_STAND (who does its housekeeping between two tasks goes on counting).
 */
#ifndef N
#define N 2
#endif
#ifndef SENDS
#define SENDS 2
#endif
#ifndef FORKS
#define FORKS 0
#endif
#ifndef SPONT
#define SPONT 0
#endif
#ifndef SENDKINDS
#define SENDKINDS 3
#endif
#ifndef STALE
#define STALE 1
#endif
#ifndef HOGS
#define HOGS (N-1)
#endif
#define NOBODY N

byte searching, count;
bit wanted;
bit bits[N];
byte sl[N];              /* 0 awake, 1 parked, 2 notified */
bit tok[N];              /* the driver's: poll returns */
byte pinned[N], loc[N], ready[N], mov[N];
byte inj;
byte hogs, forks = FORKS, spont = SPONT;
bit hogged[N], sending = 1;

inline update_wanted() {
  do
  ::
#ifdef FINE
     t_is = (count != 0);
     t_is = (t_is && searching == 0);
#else
     t_is = (count != 0 && searching == 0);
#endif
#ifdef FINE
     if
     :: atomic { wanted == t_is -> t_is = 0; break }
     :: else -> wanted = t_is
     fi
#else
     atomic { if :: wanted == t_is -> t_is = 0; break :: else -> wanted = t_is fi }
#endif
#ifdef M_WANTED
     ; t_is = 0; break
#endif
  od
}
inline stop_searching() {   /* -> last */
  atomic { assert(searching > 0); searching--; last = (searching == 0) };
  if :: last -> update_wanted() :: else fi
}
inline take(res) {
#ifdef WORDS
  atomic { res = NOBODY; k = 0 };
  do
  :: atomic { k < N && res == NOBODY ->
       w = (near + k) % N;
       if :: bits[w] -> bits[w] = 0; res = w :: else fi;
       k++; w = 0 }
  :: atomic { !(k < N && res == NOBODY) -> k = 0; break }
  od;
#else
  atomic {
    res = NOBODY; k = 0;
    do
    :: k < N && res == NOBODY ->
       w = (near + k) % N;
       if :: bits[w] -> bits[w] = 0; res = w :: else fi;
       k++; w = 0
    :: else -> k = 0; break
    od
  };
#endif
  if
  :: res != NOBODY ->
     atomic { assert(count > 0); count--; gone = (count == 0) };
     if :: gone -> gone = 0; update_wanted() :: else fi
  :: else
  fi
}
inline any() {   /* -> gone */
#ifdef WORDS
  atomic { gone = 0; k = 0 };
  do
  :: atomic { k < N && !gone -> gone = bits[k]; k++ }
  :: atomic { !(k < N && !gone) -> k = 0; break }
  od
#else
  atomic {
    gone = 0; k = 0;
    do
    :: k < N && !gone -> gone = bits[k]; k++
    :: else -> k = 0; break
    od
  }
#endif
}
inline take_for_search(res) {
  do
  :: atomic { if :: count == 0 -> res = NOBODY; break :: else fi };
     atomic { if :: searching != 0 -> res = NOBODY; break :: else searching = 1 fi };
     take(res);
     if :: res != NOBODY -> update_wanted(); break :: else fi;
     stop_searching();
     if :: atomic { !last -> break } :: else fi;
     last = 0;
#ifdef M_ANY
     break;
#endif
     any();
     if :: atomic { !gone -> break } :: else gone = 0 fi
  od;
  last = 0
}
inline wake(x) {
  if
  :: x != NOBODY ->
     atomic { if :: sl[x] == 1 -> sl[x] = 2; tok[x] = 1 :: else fi }
  :: else
  fi
}
inline wake_searcher() { take_for_search(r1); wake(r1); r1 = NOBODY }

inline pass_on() {       /* r1, r2; caller counted */
  assert(searching > 0); /* others = searching - 1 */
  atomic { r1 = NOBODY; r2 = NOBODY };
  if
  :: take(r1)            /* others == 0 or tree */
#if STALE
  :: skip                /* asleep == 0, or others != 0 and no tree; also if stale */
#else
  :: searching != 1 || count == 0 -> skip
#endif
  fi;
  if
  :: r1 != NOBODY ->
     if
     :: goto_end = 1
     :: atomic { searching++ };
        take(r2);
        if
        :: r2 != NOBODY ->
           update_wanted();
           goto_end = 1
        :: else
        fi
     fi
  :: else
  fi;
  if
  :: goto_end -> goto_end = 0
  :: else ->
     stop_searching();
     if
     :: last ->
        last = 0;
        if :: r1 == NOBODY -> take_for_search(r1) :: else take_for_search(r2) fi
     :: else
     fi
  fi;
  wake(r1); wake(r2);
  atomic { r1 = NOBODY; r2 = NOBODY }
}

inline try_search() {    /* -> srch */
#if STALE
  if
  :: srch = 0            /* refused: the half of those awake, perhaps stale */
  :: atomic { searching++; srch = 1; last = (searching == 1) };
#else
  if
  :: atomic { 2 * searching >= N - count -> srch = 0 }
  :: atomic { 2 * searching <  N - count -> searching++; srch = 1; last = (searching == 1) };
#endif
     if :: last -> last = 0; update_wanted() :: else fi
  fi
}

inline drain() {         /* -> found */
  atomic { found = 0; if :: pinned[me] > 0 -> loc[me] = loc[me] + pinned[me]; pinned[me] = 0; found = 1 :: else fi };
  do
  :: atomic { mov[me] > 0 -> mov[me]--; found = 1 }; ready[me]++
  :: atomic { mov[me] == 0 -> break }
  od;
#if (SENDKINDS & 4)
  do
  :: atomic { inj > 0 -> inj--; found = 1 }; ready[me]++
  :: atomic { inj == 0 -> break }
  od;
#endif
  if
  :: found && ready[me] > 0 && wanted -> wake_searcher()
  :: else
  fi
}
inline more_to_find() {  /* -> more */
  more = (loc[me] + ready[me] > 1 || mov[me] != 0 || inj != 0);
  if :: !more -> others_have_work() :: else fi
}
inline others_have_work() {  /* -> more */
  k = 0;
  do
  :: k < N && !more ->
#ifdef FINE
     if :: k != me -> more = (ready[k] != 0); if :: !more -> more = (mov[k] != 0) :: else fi :: else fi;
#else
     if :: k != me -> more = (ready[k] != 0 || mov[k] != 0) :: else fi;
#endif
     k++
  :: else -> k = 0; break
  od
}
inline stand_down() {
  if
  :: srch && (loc[me] + ready[me] != 0) ->
     srch = 0;
     stop_searching();
     if
     :: last -> last = 0; more_to_find(); if :: more -> more = 0; wake_searcher() :: else fi
     :: else
     fi
  :: else
  fi
}
inline steal_from(v) {   /* -> found */
  atomic { n = ready[v] - ready[v] / 2; ready[v] = ready[v] - n };
  if
  :: n > 1 -> ready[me] = ready[me] + n - 1; n = 1
  :: else
  fi;
  if
  :: n == 1 -> atomic { n = 0; ready[me]++; found = 1 }
  :: else ->
     atomic { found = (mov[v] > 0); if :: found -> mov[v]-- :: else fi };
     if :: found -> ready[me]++ :: else fi
  fi
}
/* -> ran */
inline run_next() {
  if                                     /* its 61st step: housekeep */
#ifdef M_STAND
  :: drain(); found = 0
#else
  :: drain(); found = 0; stand_down()
#endif
  :: skip
  fi;
  atomic { ran = 0; if
  :: loc[me] > 0 -> loc[me]--; ran = 1
  :: loc[me] == 0 && ready[me] > 0 -> ready[me]--; ran = 1
  :: else fi };
  if
  :: ran ->
#if FORKS
     if
     :: atomic { forks > 0 -> forks--; ready[me]++ };
        if :: wanted -> wake_searcher() :: else fi
     :: skip
     fi;
#endif
     if
     :: skip
     :: atomic { hogs < HOGS -> hogs++; hogged[me] = 1 }; false
     fi
  :: else
  fi
}

proctype Loop(byte me) {
  bit srch, t_is, last, gone, found, came, more, ran, first, searched, goto_end;
  byte k, w, n, r1 = NOBODY, r2 = NOBODY, v, near = me;
top:
  stand_down();
  run_next();
  if :: ran -> ran = 0; goto top :: else fi;
  if
  :: !srch ->
     if
#if STALE
     :: skip
     :: try_search()
#else
     :: atomic { count == 0 -> skip }
     :: count != 0 -> try_search()
#endif
     fi
  :: else
  fi;
  drain(); found = 0;                    /* housekeep */
  stand_down();
  run_next();
  if :: ran -> ran = 0; goto top :: else fi;
  /* search() */
  if
  :: !srch ->
     v = 0;
     do
     :: v < N && !found ->
        if
        :: count != 0 -> break
        :: count == 0 -> skip
        fi;
        if :: v != me && ready[v] != 1 -> steal_from(v) :: else fi;
        v++
     :: else -> break
     od;
     v = 0;
     if
     :: found -> found = 0;
#ifndef M_UNCOUNTED
        if :: wanted -> wake_searcher() :: else fi;
#endif
        goto top
     :: else
     fi
  :: else
  fi;
  searched = 1;
  if
  :: !srch -> try_search(); if :: !srch -> searched = 0; goto park :: else fi
  :: else
  fi;
  atomic { v = 0; found = 0 };
  do
  :: v < N && !found ->
     n = 0; came = (((me + 1 + v) % N) == me);
     if
     :: came -> drain()
     :: else -> w = (me + 1 + v) % N; steal_from(w); w = 0
     fi;
     v++
  :: else -> break
  od;
  atomic { v = 0; srch = 0 };
  if
  :: found && !came -> atomic { found = 0 }; pass_on(); goto top
  :: else ->
     came = 0;
     stop_searching();
     if
     :: found ->
        found = 0;
        if
        :: last -> last = 0; more_to_find(); if :: more -> more = 0; wake_searcher() :: else fi
        :: else
        fi;
        goto top
     :: else -> last = 0
     fi
  fi;
park:
  sl[me] = 1;
#ifdef M_BIT
  bits[me] = 1;
  atomic { count++; first = (count == 1) };
#else
  atomic { count++; first = (count == 1) };
  bits[me] = 1;
#endif
  if :: first -> first = 0; update_wanted() :: else fi;
#ifndef M_LOOK
  if :: !searched -> searched = (searching == 0) :: else fi;
#endif
  more = (pinned[me] != 0 || mov[me] != 0 || inj != 0);
  if :: !more && searched -> others_have_work() :: else fi;
  searched = 0;
  if
  :: !more ->
     if
     :: atomic { tok[me] -> tok[me] = 0 }
#if SPONT
     :: atomic { spont > 0 -> spont-- }
#endif
     fi;
     sl[me] = 0
  :: else -> more = 0; sl[me] = 0
  fi;
  /* unpark */
  atomic { srch = !bits[me]; bits[me] = 0 };
  if
  :: !srch ->
     atomic { assert(count > 0); count--; last = (count == 0) };
     if :: last -> last = 0; update_wanted() :: else fi
  :: else
  fi;
  goto top
}

proctype Sender() {
  bit t_is, last, gone;
  byte k, w, i, sent, r1 = NOBODY, near;
  do
  :: sent < SENDS ->
     if
     :: i = 0
     :: i = N - 1
#if N > 2
     :: i = 1
#endif
     fi;
     if
#if (SENDKINDS & 1)
     :: pinned[i]++; wake(i)
#endif
#if (SENDKINDS & 2)
     :: mov[i]++;
        if
        :: sl[i] == 1 -> wake(i)
        :: else -> wake_searcher()
        fi
#endif
#if (SENDKINDS & 4)
     :: inj++;
        take_for_search(r1);
        if
        :: r1 != NOBODY -> wake(r1)
        :: else -> i = 0; do :: i < N -> wake(i); i++ :: else -> break od
        fi;
        r1 = NOBODY
#endif
     fi;
     sent++; i = 0
  :: else -> break
  od;
  sending = 0
}

proctype Monitor() {
  byte i, b, a;
  timeout ->
  atomic {
    assert(!sending);
    do
    :: i < N ->
       b = b + bits[i]; a = a + !hogged[i];   /* who is not hogged is in poll */
       assert(bits[i] == !hogged[i] && sl[i] == bits[i]);
       assert(hogs == N || mov[i] == 0);
       assert(hogs == N || ready[i] == 0);
       assert(hogged[i] || (pinned[i] == 0 && loc[i] == 0));
       i++
    :: else -> break
    od;
    assert(hogs == N || inj == 0);
    assert(searching == 0);
    assert(b == a && count == b);
    assert(wanted == (count != 0))
  }
}

init {
  byte i;
  atomic {
    i = 0;
#ifdef PREHOG          /* loop 0 is hogged from the beginning */
    hogged[0] = 1; hogs = 1; i = 1;
#ifdef PREREADY        /* ... and so many tasks stand in its queue */
    ready[0] = PREREADY;
#endif
#endif
    do :: i < N -> run Loop(i); i++ :: else -> break od;
    run Sender(); run Monitor()
  }
}
