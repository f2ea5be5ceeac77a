// SPDX-License-Identifier: MIT
// Memory for received bytes, around a fork.
#include <heddle/core/base/config.h>
#include <heddle/io/streams/buffer.h>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

namespace {

using namespace heddle::detail;

/// More blocks than a thread keeps, so that they go to the depot and come back from there.
void take_and_give() {
  std::array<char*, 40> blocks{};
  for (auto& b : blocks) b = take_block();
  for (auto* b : blocks) give_block(b);
}

TEST(Blocks, AForkedChildFindsTheDepotUnlocked) {
  if (HEDDLE_TSAN) GTEST_SKIP() << "ThreadSanitizer has locks of its own around a fork";
  take_and_give();
  std::atomic<bool> over{false};
  std::array<std::thread, 2> others;
  for (auto& t : others)
    t = std::thread([&] {
      while (!over) take_and_give();
    });
  int stuck = 0;
  for (int i = 0; i < 300; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(20);  // its default action ends a child that is stuck
      take_and_give();
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    stuck += WIFEXITED(status) ? 0 : 1;
    if (stuck != 0) break;
  }
  over = true;
  for (auto& t : others) t.join();
  EXPECT_EQ(stuck, 0);
}

}  // namespace
