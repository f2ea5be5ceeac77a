// SPDX-License-Identifier: MIT
// The fork deque, alone and in one thread. What several threads do to it is in queue_stress.cpp.
#include "sched/numbers_to.h"

#include <heddle/sched/loop/deque.h>

#include <gtest/gtest.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <vector>

namespace {

using namespace heddle;
using namespace heddle::detail;

/// One that has thieves, and publishes half of what is private when it is told to.
struct shared_deque : deque<int*> {
  explicit shared_deque(std::size_t capacity) : deque(capacity) { share(sharing::half); }
  void push_all(std::vector<int>& items) {
    for (auto& i : items) push(&i);
  }
};

TEST(Deque, TheOwnerTakesTheYoungestAndThievesTheOldest) {
  shared_deque d(4);
  auto item = numbers_to(3);
  d.push_all(item);
  d.publish(true);
  deque<int*>::thief thief(d);
  int* got = nullptr;
  EXPECT_EQ(thief.steal(got), steal_result::got);
  EXPECT_EQ(*got, 1);
  EXPECT_EQ(*d.pop(), 3);
  EXPECT_EQ(*d.pop(), 2);
  EXPECT_EQ(d.pop(), nullptr);
  EXPECT_EQ(thief.steal(got), steal_result::empty);
}

TEST(Deque, ThievesTakeWhatIsPublicAndNothingElse) {
  shared_deque d(8);
  deque<int*>::thief thief(d);
  int* got = nullptr;
  auto item = numbers_to(5);
  EXPECT_TRUE(d.wants_publishing());
  d.push_all(item);
  EXPECT_EQ(thief.steal(got), steal_result::empty);
  EXPECT_TRUE(thief.looks_private());
  EXPECT_FALSE(thief.looks_empty());
  d.publish(false);  // the older half
  EXPECT_FALSE(d.wants_publishing());
  EXPECT_FALSE(thief.looks_private());
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(thief.steal(got), steal_result::got);
    EXPECT_EQ(*got, i);
  }
  EXPECT_EQ(thief.steal(got), steal_result::empty);
  EXPECT_TRUE(d.wants_publishing());
  EXPECT_EQ(d.size(), 2u);
  EXPECT_EQ(*d.pop(), 5);
  EXPECT_EQ(*d.pop(), 4);
  EXPECT_EQ(d.pop(), nullptr);
}

TEST(Deque, PublishingAgainAddsNothingWhileSomethingIsPublic) {
  shared_deque d(8);
  auto item = numbers_to(4);
  d.push_all(item);
  d.publish(false);
  d.publish(false);
  deque<int*>::thief thief(d);
  int* got = nullptr;
  EXPECT_EQ(thief.steal(got), steal_result::got);
  EXPECT_EQ(thief.steal(got), steal_result::got);
  EXPECT_EQ(thief.steal(got), steal_result::empty);
  EXPECT_TRUE(thief.looks_private());
}

TEST(Deque, AThiefExposesWhatAnOwnerKeepsToItself) {
  if (!heavy_fence_available()) GTEST_SKIP() << "the kernel has no membarrier";
  shared_deque d(8);
  deque<int*>::thief thief(d);
  EXPECT_FALSE(thief.expose());  // there is nothing
  auto item = numbers_to(4);
  d.push_all(item);
  EXPECT_TRUE(thief.expose());
  EXPECT_FALSE(thief.expose());
  int* got = nullptr;
  ASSERT_EQ(thief.steal(got), steal_result::got);
  EXPECT_EQ(*got, 1);
  EXPECT_EQ(*d.pop(), 4);
  EXPECT_EQ(*d.pop(), 3);
  ASSERT_EQ(thief.steal(got), steal_result::got);
  EXPECT_EQ(*got, 2);
  EXPECT_EQ(d.pop(), nullptr);
  EXPECT_TRUE(thief.looks_empty());
}

TEST(Deque, TheOwnerTakesHalfBackAndThievesKeepTheRest) {
  shared_deque d(8);
  auto item = numbers_to(6);
  d.push_all(item);
  d.publish(true);
  EXPECT_EQ(*d.pop(), 6);  // and 4 and 5 are private again
  deque<int*>::thief thief(d);
  int* got = nullptr;
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(thief.steal(got), steal_result::got);
    EXPECT_EQ(*got, i);
  }
  EXPECT_EQ(thief.steal(got), steal_result::empty);
  EXPECT_EQ(*d.pop(), 5);
  EXPECT_EQ(*d.pop(), 4);
  EXPECT_EQ(d.pop(), nullptr);
}

TEST(Deque, OneThatNobodyCanExposePublishesAll) {
  deque<int*> d(4);
  d.share(sharing::all);
  auto item = numbers_to(3);
  deque<int*>::thief thief(d);
  for (auto& i : item) {
    d.push(&i);
    EXPECT_TRUE(d.wants_publishing());
    d.publish(false);
  }
  int* got = nullptr;
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(thief.steal(got), steal_result::got);
    EXPECT_EQ(*got, i);
  }
  EXPECT_EQ(d.pop(), nullptr);
}

TEST(Deque, OneThatNobodyCanExposeTakesNothingBack) {
  deque<int*> d(8);
  d.share(sharing::all);
  auto item = numbers_to(6);
  for (auto& i : item) d.push(&i);
  d.publish(false);
  EXPECT_EQ(*d.pop(), 6);
  deque<int*>::thief thief(d);
  EXPECT_FALSE(thief.looks_private());
  int* got = nullptr;
  for (int i = 1; i <= 5; ++i) {
    ASSERT_EQ(thief.steal(got), steal_result::got);
    EXPECT_EQ(*got, i);
  }
  EXPECT_EQ(d.pop(), nullptr);
}

/// From now on the kernel refuses membarrier to the calling process.
bool refuse_heavy_fences() {
  sock_filter refuse[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_membarrier, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{4, refuse};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(Deque, OneThatNobodyCanExposeAnyMorePublishesAll) {
  if (!heavy_fence_available()) GTEST_SKIP() << "the kernel has no membarrier";
  constexpr int cannot = 77;
  const pid_t child = ::fork();
  if (child == 0) {
    if (!refuse_heavy_fences()) ::_exit(cannot);
    shared_deque d(8);
    deque<int*>::thief thief(d);
    auto item = numbers_to(4);
    d.push_all(item);
    int step = 1;
    const auto must = [&step](bool right) {
      if (!right) ::_exit(step);
      ++step;
    };
    must(thief.looks_private() && !thief.looks_empty());
    must(!thief.expose());
    must(!thief.looks_private() && thief.looks_empty());  // a loop that looks for work may sleep
    d.publish(false);                                     // the owner hears of it
    must(!thief.looks_empty() && d.wants_publishing());
    must(d.pop() == &item[3]);
    int* got = nullptr;
    for (std::size_t i = 0; i < 3; ++i)
      must(thief.steal(got) == steal_result::got && got == &item[i]);
    must(d.pop() == nullptr);
    ::_exit(0);
  }
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == cannot) GTEST_SKIP() << "the kernel filters no system calls";
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the step that went wrong";
}

TEST(Deque, OneWithoutThievesPublishesNothing) {
  deque<int*> d(4);
  d.share(sharing::never);
  auto item = numbers_to(3);
  for (auto& i : item) d.push(&i);
  EXPECT_FALSE(d.wants_publishing());
  d.publish(true);
  int* got = nullptr;
  EXPECT_EQ(deque<int*>::thief(d).steal(got), steal_result::empty);
  for (int i = 3; i >= 1; --i) EXPECT_EQ(*d.pop(), i);
  EXPECT_EQ(d.pop(), nullptr);
}

TEST(Deque, GrowsPastItsCapacityWithoutLosingAnything) {
  shared_deque d(2);
  auto item = numbers_to(1000);
  d.push_all(item);
  EXPECT_EQ(d.size(), 1000u);
  d.publish(false);
  deque<int*>::thief thief(d);
  int* got = nullptr;
  for (int i = 1; i <= 500; ++i) {
    ASSERT_EQ(thief.steal(got), steal_result::got);
    ASSERT_EQ(*got, i);
  }
  for (int i = 1000; i > 500; --i) ASSERT_EQ(*d.pop(), i);
  EXPECT_EQ(d.pop(), nullptr);
}

TEST(Deque, MakesRoomForManyAtOnce) {
  shared_deque d(4);
  auto item = numbers_to(50);
  EXPECT_FALSE(d.has_room(50));
  d.make_room(50);
  EXPECT_TRUE(d.has_room(50));
  for (int i = 0; i < 50; ++i) d.put(i, &item[static_cast<std::size_t>(i)]);
  d.put_down(50);
  for (int i = 50; i >= 1; --i) ASSERT_EQ(*d.pop(), i);
  EXPECT_EQ(d.pop(), nullptr);
}

TEST(Deque, GoesRoundItsBufferManyTimesWithoutGrowing) {
  shared_deque d(4);
  auto item = numbers_to(3);
  deque<int*>::thief thief(d);
  for (int round = 0; round < 100; ++round) {
    d.push_all(item);
    d.publish(false);
    int* got = nullptr;
    ASSERT_EQ(thief.steal(got), steal_result::got);
    ASSERT_EQ(*got, 1);
    ASSERT_EQ(*d.pop(), 3);
    ASSERT_EQ(*d.pop(), 2);
    ASSERT_EQ(d.pop(), nullptr);
  }
  EXPECT_EQ(d.size(), 0u);
}

TEST(Deque, PoppingAnEmptyOneYieldsNothingAndLeavesItUsable) {
  shared_deque d(4);
  EXPECT_EQ(d.pop(), nullptr);
  EXPECT_EQ(d.pop(), nullptr);
  int one = 1;
  d.push(&one);
  EXPECT_FALSE(d.looks_empty());
  EXPECT_EQ(d.pop(), &one);
  EXPECT_TRUE(d.looks_empty());
  EXPECT_TRUE(deque<int*>::thief(d).looks_empty());
}

}  // namespace
