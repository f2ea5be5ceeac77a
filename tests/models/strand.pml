// SPDX-License-Identifier: MIT
/* STRAND (core/record/task_record.cpp, sched/loop/join_block.cpp): a cancellation and the failure of a join reach every strand below, each once.
 * check_models has spin try every order of its steps.
 *
 * A task T waits in a join J0 of the strands A and B. A may take a record, and then waits in a join J1 of the strands C and D, which run under A's
 * record, or under T's if A has none. Strands end well, fail by themselves, or take a record and wait for ever.
 * CANCEL: somebody cancels T. SCOPE: a scope in A cancels A's record, once there is one. FAILS: so many strands fail by themselves, at most.
 *
 * Sequentially consistent. A step is one operation on one word, or on the list; the list's lock is held over several.
 * Not in it: how a wait is claimed (WAIT), the end of T, and a count of failed joins that is full.
 *
 * Always: a strand is told at most once for each cause: T's cancellation, A's, strands that failed by themselves.
 * At rest, when nobody can take a step: no strand waits that T's cancellation, A's, or the failure of a join around it should have ended.
 *
 * Planted faults, each of which must be noticed: M_LOOK (a strand looks for what stands in the word that it ran under before it sets `strands`
 * there, and not in one step), M_CANCEL (the canceller's look at `strands` and its change are two steps), M_LOCK (the canceller changes the record
 * before it takes the lock), M_KNOWS (a join that fails also tells those that were told), M_TROUBLE (a failed join leaves no trouble
 * for those that are listed later), M_BELOW (who is told by a failed join is told without what is below it).
 */
#ifndef FAILS
#define FAILS 1
#endif

#define T 0
#define A 1
#define B 2
#define C 3
#define D 4
#define N 5

/* the words */
bit must[N], strands[N];
byte troubled[N];
/* the list, under its lock */
bit locked, listed[N], knows[N];
byte under[N];
/* joins: 0 sound, 1 failed, 2 abandoned */
byte join[2];
byte ended[2];           /* children that are over */
bit record[N], waiting[N], forked;
byte told[N];
/* causes */
byte fails_left = FAILS;
bit cancelled, scoped, failed_itself[N];

#define lock() atomic { !locked -> locked = 1 }
#define unlock() locked = 0
#define join_of(r) ((r) <= B -> 0 : 1)
/* Whether a strand's join has failed, or one around it up to the next record. */
#define lost(r) (join[join_of(r)] != 0 || (join_of(r) == 1 && !record[A] && join[0] != 0))

inline mark(r) {   /* is_lost, when it is: the joins on the way are abandoned */
  if :: join_of(r) == 1 && join[1] == 0 -> join[1] = 2 :: else fi
}
inline tell(r) { atomic { knows[r] = 1; must[r] = 1; told[r]++ } }

/* A strand takes a record. */
inline promote(r) {
  lock();
  listed[r] = 1;
#ifdef M_LOOK
  due = must[under[r]] || (troubled[under[r]] != 0 && lost(r));
  strands[under[r]] = 1;
#else
  atomic {
    strands[under[r]] = 1;
    due = must[under[r]] || (troubled[under[r]] != 0)
  }
  if
  :: due && !must[under[r]] -> if :: lost(r) -> mark(r) :: else -> due = 0 fi
  :: else
  fi;
#endif
  if :: due -> tell(r); due = 0 :: else fi;
  atomic { record[r] = 1; unlock() }
}
/* At the end of a strand. */
inline retire(r) {
  if :: record[r] -> lock(); listed[r] = 0; unlock() :: else fi
}

/* A join that has failed, under the lock: tells the strands below `around` that are inside it. */
inline cancel_abandoned(around) {
  k = A;
  do
  :: k < N ->
     if
     :: listed[k] && under[k] == around ->
        tells = 0;
        if
#ifdef M_KNOWS
        :: lost(k) -> mark(k); tells = 1
#else
        :: !knows[k] && lost(k) -> mark(k); tells = 1
#endif
        :: else
        fi;
        if
        :: tells ->
           tell(k);
#ifndef M_BELOW
           if
           :: k == A ->
              if :: listed[C] && under[C] == A && !knows[C] -> tell(C) :: else fi;
              if :: listed[D] && under[D] == A && !knows[D] -> tell(D) :: else fi
           :: else
           fi
#endif
        :: else
        fi
     :: else
     fi;
     k++
  :: else -> break
  od;
  k = 0; tells = 0
}
/* child_failed: `j` is the join, `around` the record that its parent runs under. */
inline fail(j, around) {
  atomic { first = (join[j] == 0); if :: first -> join[j] = 1 :: else fi };
  if
  :: first ->
#ifdef M_TROUBLE
     first = strands[around];
#else
     atomic { troubled[around]++; first = strands[around] };
#endif
     if :: first -> lock(); cancel_abandoned(around); unlock() :: else fi;
     first = 0
  :: else
  fi
}

/* B, C and D. */
proctype leaf(byte r) {
  byte k; bit due, first, tells;
  if
  :: join[join_of(r)] != 0                       /* skipped: it has not begun */
  :: join[join_of(r)] == 0 ->
     if
     :: skip                                     /* ends well */
     :: atomic { fails_left > 0 -> fails_left--; failed_itself[r] = 1 };
        fail(join_of(r), under[r])
     :: promote(r);
        waiting[r] = 1;
        atomic { must[r] -> must[r] = 0; waiting[r] = 0 };
        retire(r);
        fail(join_of(r), under[r])
     fi
  fi;
  ended[join_of(r)]++
}

proctype first_strand() {
  byte k; bit due, first, tells, stops;
  if :: promote(A) :: skip fi;                   /* a wait, before the fork */
  /* the fork looks at the word that it runs under */
  if
  :: record[A] -> atomic { stops = must[A]; must[A] = 0 }
  :: !record[A] ->
     if
     :: must[T] || troubled[T] != 0 -> promote(A); atomic { stops = must[A]; must[A] = 0 }
     :: else
     fi
  fi;
  if
  :: !stops ->
     atomic {
       under[C] = (record[A] -> A : T);
       under[D] = under[C];
       forked = 1
     };
     run leaf(C);
     run leaf(D);
     ended[1] == 2;
     /* over, and what is thrown */
     if
     :: record[A] -> troubled[A] = 0
     :: !record[A] ->
        if :: join[1] == 1 -> atomic { if :: troubled[T] > 0 -> troubled[T]-- :: else fi } :: else fi
     fi;
     stops = (join[1] != 0)
  :: else
  fi;
  retire(A);
  if :: stops -> fail(0, T) :: else fi;
  ended[0]++
}

proctype canceller() {
  bit seen;
  byte k;
#ifdef M_CANCEL
  seen = strands[T];
  if :: !seen -> cancelled = 1; must[T] = 1 :: else fi;
#else
  atomic { seen = strands[T]; if :: !seen -> cancelled = 1; must[T] = 1 :: else fi };
#endif
  if
  :: seen ->
#ifdef M_LOCK
     atomic { cancelled = 1; must[T] = 1 };
     lock();
#else
     lock();
     atomic { cancelled = 1; must[T] = 1 };
#endif
     k = A;
     do
     :: k < N -> if :: listed[k] -> tell(k) :: else fi; k++
     :: else -> break
     od;
     unlock()
  :: else
  fi
}

/* A time-out, or a group, inside of A: whoever it is knows A's record, and A is not over. */
proctype scope() {
  bit seen;
  record[A] && listed[A];
  atomic {
    seen = strands[A];
    if :: !seen -> scoped = 1; must[A] = 1; told[A]++ :: else fi
  };
  if
  :: seen ->
     lock();
     atomic { scoped = 1; must[A] = 1; told[A]++ };
     if :: listed[C] && under[C] == A -> tell(C) :: else fi;
     if :: listed[D] && under[D] == A -> tell(D) :: else fi;
     unlock()
  :: else
  fi
}

#define causes (cancelled + scoped + FAILS - fails_left)  /* what the scope makes A throw is B's cause, too */
#define should_end(r) (cancelled || (r >= C && under[r] == A && scoped) || join[join_of(r)] != 0 || (r >= C && join[0] != 0))

init {
  atomic {
    run first_strand();
    run leaf(B);
#ifdef CANCEL
    run canceller();
#endif
#ifdef SCOPE
    run scope();
#endif
  }
  do
  :: atomic {
       told[A] > causes || told[B] > causes || told[C] > causes || told[D] > causes ->
       assert(false)
     }
  :: atomic {
       timeout ->
       assert(!(waiting[B] && should_end(B)));
       assert(!(waiting[C] && should_end(C)));
       assert(!(waiting[D] && should_end(D)));
       break
     }
  od
}
