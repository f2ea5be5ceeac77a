// SPDX-License-Identifier: MIT
// Protocol MAGAZINE, by the frame cache and the record slab: blocks freed elsewhere come back, and
// memory stays bounded.
#include <heddle/core/base/thread_state.h>
#include <heddle/core/memory/frame_cache.h>
#include <heddle/core/record/task_record.h>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace heddle::detail;

TEST(FrameCache, ABlockThatWasFreedIsTheNextOneGiven) {
  frame_depot depot;
  frame_cache cache(depot);
  void* a = cache.allocate(100);
  cache.free(a, 100);
  EXPECT_EQ(cache.allocate(100), a);
}

TEST(FrameCache, EverySizeUpToTheLargestIsAlignedAndDoesNotOverlap) {
  frame_depot depot;
  frame_cache cache(depot);
  std::vector<std::pair<unsigned char*, std::size_t>> blocks;
  for (std::size_t size = 1; size <= frame_depot::largest; ++size) {
    auto* b = static_cast<unsigned char*>(cache.allocate(size));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b) % 16, 0u);
    std::memset(b, static_cast<int>(size % 251), size);
    blocks.emplace_back(b, size);
  }
  for (auto [b, size] : blocks)
    for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(b[i], size % 251);
  for (auto [b, size] : blocks) cache.free(b, size);
}

TEST(FrameCache, WhatOneThreadKeepsIdleIsBoundedByTwoBatches) {
  frame_depot depot;
  frame_cache cache(depot);
  constexpr std::size_t size = 128;
  const auto batch = frame_depot::batch_of(frame_depot::index_of(size));
  std::vector<void*> blocks;
  for (unsigned i = 0; i < 10 * batch; ++i) blocks.push_back(cache.allocate(size));
  for (auto* b : blocks) {
    cache.free(b, size);
    EXPECT_LT(cache.idle(size), 2 * batch);
  }
}

TEST(FrameCache, WhatAThreadLeftIsFoundByTheOthers) {
  frame_depot depot;
  constexpr std::size_t size = 64;
  std::vector<void*> blocks;
  {
    frame_cache ended(depot);
    for (int i = 0; i < 77; ++i) blocks.push_back(ended.allocate(size));
    for (auto* b : blocks) ended.free(b, size);
    ended.flush();
    EXPECT_EQ(ended.idle(size), 0u);
  }
  const auto reserved = depot.reserved();
  frame_cache next(depot);
  for (int i = 0; i < 77; ++i) (void)next.allocate(size);
  EXPECT_EQ(depot.reserved(), reserved) << "77 blocks were free, none had to be carved";
}

/// A cache that forgets the depot when it has too much: blocks that consumers free never come back
/// to the producers.
class hoarding_cache {
 public:
  explicit hoarding_cache(frame_depot& depot) noexcept : cache_(depot) {}
  void* allocate(std::size_t bytes) { return cache_.allocate(bytes); }
  void free(void* block, std::size_t bytes) noexcept { hoard_.push_back({block, bytes}); }
  void flush() noexcept {
    for (auto [b, n] : hoard_) cache_.free(b, n);
    cache_.flush();
  }

 private:
  frame_cache cache_;
  std::vector<std::pair<void*, std::size_t>> hoard_;
};

/// Blocks are made by one thread of a pair and freed by the other, `rounds` times `live` of them.
/// Returns the bytes that were reserved; a block given out twice at once ends the test.
template <class Cache>
std::size_t made_here_freed_there(unsigned pairs, int rounds, int live, std::uint64_t seed) {
  frame_depot depot;
  std::vector<std::thread> threads;
  std::atomic<int> corrupted{0};
  struct mailbox {
    std::mutex lock;
    std::vector<std::pair<unsigned char*, std::size_t>> blocks;
    std::atomic<bool> full{false};
  };
  std::vector<mailbox> boxes(pairs);
  for (unsigned i = 0; i < pairs; ++i) {
    threads.emplace_back([&, i] {
      Cache cache(depot);
      std::mt19937_64 random(seed + i);
      for (int r = 0; r < rounds; ++r) {
        while (boxes[i].full.load()) std::this_thread::yield();
        for (int k = 0; k < live; ++k) {
          const std::size_t size = 16 + random() % 200;
          auto* b = static_cast<unsigned char*>(cache.allocate(size));
          std::memset(b, static_cast<int>(i + 1), size);
          boxes[i].blocks.emplace_back(b, size);
        }
        boxes[i].full.store(true);
      }
      cache.flush();
    });
    threads.emplace_back([&, i] {
      Cache cache(depot);
      for (int r = 0; r < rounds; ++r) {
        while (!boxes[i].full.load()) std::this_thread::yield();
        for (auto [b, size] : boxes[i].blocks) {
          for (std::size_t k = 0; k < size; ++k)
            if (b[k] != i + 1) ++corrupted;
          cache.free(b, size);
        }
        boxes[i].blocks.clear();
        boxes[i].full.store(false);
      }
      cache.flush();
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(corrupted, 0);
  return depot.reserved();
}

class FrameCacheStress : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Pairs, FrameCacheStress, testing::Values(1u, 2u, 8u));

// 100 live blocks a pair in 13 sizes, and two batches of each size in each of two threads: 2 * 2 *
// 64 * 13 * 216 bytes and the live ones.
constexpr std::size_t bound_a_pair = std::size_t{2} * 2 * 64 * 13 * 216 + std::size_t{100} * 216;

TEST_P(FrameCacheStress, BlocksFreedElsewhereComeBackAndGrowthIsBounded) {
  EXPECT_LT(made_here_freed_there<frame_cache>(GetParam(), 300, 100, 7), GetParam() * bound_a_pair);
}

TEST_P(FrameCacheStress, TheBoundNoticesACacheThatHoards) {
  EXPECT_GT(made_here_freed_there<hoarding_cache>(GetParam(), 300, 100, 7),
            GetParam() * bound_a_pair);
}

TEST(FrameCache, LargeBlocksGoToTheHeap) {
  void* b = frame_allocate(frame_depot::largest + 1);
  std::memset(b, 1, frame_depot::largest + 1);
  frame_free(b, frame_depot::largest + 1);
}

/// Frees a block of `bytes` in a thread that does nothing else, `times` times. Returns by how much
/// the process's frames grew.
template <class Free>
std::size_t growth_by_short_threads(std::size_t bytes, int times, Free free) {
  const auto before = process_frames().reserved();
  for (int i = 0; i < times; ++i) {
    void* block = frame_allocate(bytes);
    std::thread([&] { free(block, bytes); }).join();
  }
  return process_frames().reserved() - before;
}

TEST(FrameCache, AThreadThatOnlyFreesGivesItsBlocksBack) {
  constexpr std::size_t bytes = 1000;  // in batches of 16
  EXPECT_LE(growth_by_short_threads(bytes, 200, [](void* b, std::size_t n) { frame_free(b, n); }),
            std::size_t{3} * 16 * 1024)
      << "200 blocks were made, one at a time";
}

TEST(FrameCache, WhatTheDestructorsOfThreadLocalsFreeIsGivenBackToo) {
  struct late {
    void* block = nullptr;
    ~late() { frame_free(block, 900); }
  };
  EXPECT_LE(growth_by_short_threads(900, 200,
                                    [](void* b, std::size_t n) {
                                      thread_local late mine;
                                      mine.block = b;
                                      frame_free(frame_allocate(n), n);
                                    }),
            std::size_t{6} * 16 * 1024);
}

// --- records ---

constexpr eventual_ops plain_ops{
    [](eventual& self) noexcept { static_cast<task_record&>(self).recycle(); }, nullptr, nullptr};

TEST(Frames, AProgramAndALibraryBuiltWithAndWithoutAddressSanitizerFreeWhatTheOtherMade) {
  // Who is built with it calls the `any` functions for all sizes.
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{40}, frame_depot::largest, frame_depot::largest + 1}) {
    frame_free(frame_allocate_any(bytes), bytes);
    frame_free_any(frame_allocate(bytes), bytes);
    if (HEDDLE_ASAN || bytes > frame_depot::largest) continue;
    void* const block = frame_allocate(bytes);
    frame_free_any(block, bytes);
    EXPECT_EQ(frame_allocate_any(bytes), block) << bytes;
    frame_free(block, bytes);
  }
}

TEST(Record, IsNoLargerThanPromised) {
  EXPECT_EQ(sizeof(task_record), 96u);
  EXPECT_EQ(sizeof(eventual), 40u);
}

TEST(Record, AFreedRecordIsReusedWithANewGeneration) {
  auto* r = task_record::make(kind::task, plain_ops, 1);
  const auto generation = word::generation(r->state().load());
  r->unref();
  auto* again = task_record::make(kind::task, plain_ops, 1);
  EXPECT_EQ(again, r);
  EXPECT_EQ(word::generation(again->state().load()), generation + 1);
  again->unref();
}

TEST(Record, AThreadThatOnlyDropsRecordsGivesThemBack) {
  std::set<task_record*> distinct;
  for (int i = 0; i < 500; ++i) {
    auto* r = task_record::make(kind::task, plain_ops, 1);
    distinct.insert(r);
    std::thread([&] { r->unref(); }).join();
  }
  EXPECT_LT(distinct.size(), 250u) << "500 were made, one at a time";
}

TEST(Record, ALateLookAtTheWordOfAFreedRecordMeetsARecord) {
  auto* r = task_record::make(kind::task, plain_ops, 1);
  (void)r->state().finish(outcome::value);
  r->unref();
  EXPECT_TRUE(r->done());
  EXPECT_FALSE(r->try_ref()) << "nobody may take a reference to a record that has none";
}

TEST(Record, AScanSeesWhatLivesAndNothingElse) {
  std::set<task_record*> live;
  for (int i = 0; i < 200; ++i) live.insert(task_record::make(kind::task, plain_ops, 1));
  auto* dead = *live.begin();
  live.erase(live.begin());
  dead->unref();
  std::set<task_record*> seen;
  task_record::scan([&](task_record& r) { seen.insert(&r); });
  for (auto* r : live) EXPECT_TRUE(seen.contains(r));
  EXPECT_FALSE(seen.contains(dead));
  for (auto* r : live) r->unref();
}

TEST(Record, WhatIsRarelyUsedIsMadeOnceByWhoeverAsksFirst) {
  auto* r = task_record::make(kind::task, plain_ops, 1);
  EXPECT_EQ(r->extra_if_any(), nullptr);
  std::vector<std::thread> threads;
  std::vector<task_extra*> got(8);
  for (std::size_t i = 0; i < got.size(); ++i)
    threads.emplace_back([&, i] { got[i] = &r->extra(); });
  for (auto& t : threads) t.join();
  for (auto* e : got) EXPECT_EQ(e, r->extra_if_any());
  r->unref();
}

TEST(Record, RecordsMadeHereAndDroppedThereAreReusedWhileScannersLook) {
  std::atomic<bool> over{false};
  std::atomic<std::size_t> peak{0};
  std::thread scanner([&] {
    while (!over.load()) {
      std::size_t n = 0;
      task_record::scan([&](task_record& r) { n += r.done() ? 0 : 1; });
      peak = std::max(peak.load(), n);
    }
  });
  constexpr int rounds = 300, live = 100;
  std::vector<task_record*> box;
  std::atomic<bool> full{false};
  std::set<task_record*> distinct;
  std::thread maker([&] {
    for (int i = 0; i < rounds; ++i) {
      while (full.load()) std::this_thread::yield();
      for (int k = 0; k < live; ++k) {
        box.push_back(task_record::make(kind::task, plain_ops, 1));
        distinct.insert(box.back());
      }
      full = true;
    }
  });
  for (int i = 0; i < rounds; ++i) {
    while (!full.load()) std::this_thread::yield();
    for (auto* r : box) {
      (void)r->state().finish(outcome::value);
      r->unref();
    }
    box.clear();
    full = false;
  }
  maker.join();
  over = true;
  scanner.join();
  EXPECT_LT(distinct.size(), 1'000u) << "of " << rounds * live << " made";
}

}  // namespace
