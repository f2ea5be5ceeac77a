// SPDX-License-Identifier: MIT
// Memory for received bytes, around a fork.
#include <heddle/core/base/config.h>
#include <heddle/core/memory/magazine.h>
#include <heddle/io/streams/buffer.h>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

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

// A burst of 16 KiB for each of many connections must not stay: a depot keeps what it is told to.
TEST(Blocks, ADepotThatIsFullLeavesABatchToItsCaller) {
  std::array<raw_links::block, 12> memory{};
  const auto list_of = [&memory](std::size_t from, std::uint32_t n) {
    for (std::uint32_t i = 0; i < n; ++i)
      memory[from + i].next = i + 1 < n ? &memory[from + i + 1] : nullptr;
    return &memory[from];
  };
  magazine_depot<raw_links> depot;
  EXPECT_TRUE(depot.put_below(list_of(0, 4), 2));
  EXPECT_TRUE(depot.put_below(list_of(4, 4), 2));
  EXPECT_FALSE(depot.put_below(list_of(8, 4), 2));
  std::uint32_t count = 0;
  EXPECT_EQ(depot.take(4, count), &memory[4]);
  EXPECT_EQ(count, 4u);
  EXPECT_TRUE(depot.put_below(list_of(8, 4), 2));
}

// More blocks than the depot keeps: what is beyond goes to the allocator, and none is given twice.
TEST(Blocks, ABurstLargerThanTheDepotComesBack) {
  std::vector<char*> burst(2000);
  for (int round = 0; round < 2; ++round) {
    for (auto& b : burst) b = take_block();
    for (auto* b : burst) b[0] = b[block_size - 1] = 'x';
    EXPECT_EQ(std::set<char*>(burst.begin(), burst.end()).size(), burst.size());
    for (auto* b : burst) give_block(b);
  }
}

}  // namespace
