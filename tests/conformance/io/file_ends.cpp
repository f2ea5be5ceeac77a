// SPDX-License-Identifier: MIT
// Group FILE: full disks, slow disks, cancellation, and the ends of handles and runtimes.
#include "file_cases.h"
#include "slow_disk.h"

#include <heddle/io/resolve.h>
#include <heddle/sched/to_thread.h>

#include <support/small_disk.h>
#include <support/threads.h>

#include <sys/resource.h>

#include <array>
#include <thread>

namespace {

using namespace conformance;

REACTOR_CASES(IO_FILE_ENDS);

/// How much of a write went, or -1 if it did not end with an incomplete_write_error.
std::int64_t written(const std::exception_ptr& e) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const h::incomplete_write_error& x) {
    return static_cast<std::int64_t>(x.written());
  } catch (...) {}
  return -1;
}

TEST_P(IO_FILE_ENDS, IO_FILE_12_AFullDiskTellsHowMuchWentAndARetryContinues) {
  const fresh_directory top;
  const support::small_disk disk(top / "small", "512k");
  if (!disk.mounted()) GTEST_SKIP() << "this user may mount nothing";
  run([&top]() -> h::task<> {
    std::filesystem::remove(top / "small/a");
    // The ballast leaves too little room for a file that would fit without it.
    put(top / "small/a.ballast", std::string(200 * 1024, 'b'));
    auto f = co_await h::file::open(top / "small/a", read_and_write());
    const std::string bytes = pattern(400 * 1024);
    const auto error = co_await error_of(f.write(bytes));
    EQUAL(code_of(error), ENOSPC);
    const auto went = written(error);
    HOLDS(went > 0 && went <= 312 * 1024);
    HOLDS(says(error, top / "small/a") && says(error, std::to_string(went)));
    EQUAL(f.tell(), static_cast<std::uint64_t>(went));
    EQUAL(code_of(co_await error_of(f.write("x"))), ENOSPC);
    co_await h::remove_file(top / "small/a.ballast");
    co_await f.write(bytes.substr(static_cast<std::size_t>(went)));
    const std::string back = co_await f.read_at(0, -1);
    HOLDS(back == bytes);
    const auto whole = co_await error_of(h::write_file(top / "small/b", pattern(600 * 1024)));
    EQUAL(code_of(whole), ENOSPC);
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_12_ASizeLimitIsAnErrorAndNoSignalEndsTheProcess) {
  const fresh_directory top;
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 8 << 20;  // above all that other tests' reports need
  ::setrlimit(RLIMIT_FSIZE, &small);
  run([&top]() -> h::task<> {
    auto f = co_await h::file::open(top / "a", read_and_write());
    const std::uint64_t near = (8 << 20) - 10;
    const auto error = co_await error_of(f.write_at(near, "0123456789abcdef"));
    EQUAL(code_of(error), EFBIG);
    EQUAL(written(error), 10);
    EQUAL(written(co_await error_of(f.write_at(9 << 20, "x"))), 0);
    EQUAL(code_of(co_await error_of(f.truncate(9 << 20))), EFBIG);
    EQUAL(co_await f.read_at(near, 100), "0123456789");
    co_await f.write_at(0, "fine");
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
}

TEST_P(IO_FILE_ENDS, IO_FILE_12_AQuotaAndABadDiskAreToldByTheirWrite) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    auto f = co_await h::file::open(top / "a", read_and_write());
    co_await f.write("good");
    for (const int code : {EDQUOT, EIO}) {
      slow_disk::fail_next_write(code);
      const auto error = co_await error_of(f.write("bad"));
      EQUAL(code_of(error), code);
      EQUAL(written(error), 0);
      HOLDS(says(error, "pwrite") && says(error, top / "a"));
      EQUAL(f.tell(), 4u);
    }
    co_await f.write(", again");
    EQUAL(co_await f.read_at(0, 100), "good, again");
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_13_TheErrorOfACloseIsToldAndTheFileIsClosed) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    const auto before = open_descriptors();
    auto f = co_await h::file::open(top / "a", read_and_write());
    slow_disk::fail_close_of(f.native_handle(), EIO);
    const auto error = co_await error_of(f.close());
    EQUAL(code_of(error), EIO);
    HOLDS(says(error, "close") && says(error, top / "a"));
    HOLDS(!f.is_open());
    EQUAL(co_await ending(f.close()), "Usage");
    co_await until_open(before);
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_13_AHandleIsClosedOnceAndUseAfterThatIsAnError) {
  const fresh_directory top;
  put(top / "a", "text");
  run([&top]() -> h::task<> {
    const auto before = open_descriptors();
    auto f = co_await h::file::open(top / "a");
    co_await f.close();
    EQUAL(co_await ending(f.close()), "Usage");
    EQUAL(co_await ending(f.read()), "Usage");
    EQUAL(co_await ending(f.read_at(0, 1)), "Usage");
    EQUAL(co_await ending(f.status()), "Usage");
    EQUAL(co_await ending(f.seek(0)), "Usage");
    h::file empty;
    THROWS(h::usage_error, empty.read());
    THROWS(h::usage_error, empty.close());
    {
      auto dropped = co_await h::file::open(top / "a");
      auto moved = std::move(dropped);
      THROWS(h::usage_error, dropped.tell());
      EQUAL(co_await moved.read(2), "te");
      moved = co_await h::file::open(top / "a");
      EQUAL(co_await moved.read(2), "te");
    }
    co_await until_open(before);
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_15_AFailedSyncIsToldAgainToLaterOnes) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    auto f = co_await h::file::open(top / "a", read_and_write());
    co_await f.write("data");
    co_await f.sync();
    co_await f.sync_data();
    slow_disk::fail_next_sync(EIO);
    auto error = co_await error_of(f.sync_data());
    EQUAL(code_of(error), EIO);
    HOLDS(says(error, "fdatasync") && says(error, top / "a"));
    EQUAL(code_of(co_await error_of(f.sync())), EIO);
    EQUAL(code_of(co_await error_of(f.sync_data())), EIO);
    auto g = co_await h::file::open(top / "a");
    co_await g.sync();
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_15_LocksAreHeldByOneHandleAndGivenBack) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    auto a = co_await h::file::open(top / "a", read_and_write());
    auto b = co_await h::file::open(top / "a", read_and_write());
    co_await a.lock(h::file_lock::exclusive);
    HOLDS(!co_await b.try_lock(h::file_lock::shared));
    auto waiting = h::create_task(b.lock(h::file_lock::exclusive));
    co_await until_waiting(waiting);
    waiting.cancel();
    EQUAL(co_await ending(std::move(waiting)), "Cancelled");
    auto next = h::create_task(b.lock(h::file_lock::shared));
    co_await until_waiting(next);
    HOLDS(!next.done());
    co_await a.unlock();
    co_await next;
    HOLDS(co_await a.try_lock(h::file_lock::shared));
    HOLDS(!co_await a.try_lock(h::file_lock::exclusive));
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_04_ASlowDiskMakesNoTimerLate) {
  const fresh_directory top;
  const std::string path = top / slow_disk::marker;
  put(path, pattern(1000));
  run([&path]() -> h::task<> {
    auto f = co_await h::file::open(path);
    slow_disk::stopped disk;
    auto opens = h::create_task(h::file::open(path));
    auto reads = h::create_task(f.read_at(0, 1000));
    auto looks = h::create_task(h::status(path));
    co_await until([] { return slow_disk::waiting() == 3; });
    for (int i = 0; i < 20; ++i) co_await h::sleep(1ms);
    HOLDS(!opens.done() && !reads.done() && !looks.done());
    slow_disk::stopped::go();
    EQUAL((co_await reads).size(), 1000u);
    EQUAL((co_await looks).size, 1000u);
    (void)co_await opens;
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_09_TwoTasksAtOnePositionAreAUsageError) {
  const fresh_directory top;
  put(top / "a", pattern(1000));
  run([&top]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    slow_disk::stopped disk;
    auto first = h::create_task(f.read(10));
    co_await until([] { return slow_disk::waiting() == 1; });
    EQUAL(co_await ending(f.read(10)), "Usage");
    EQUAL(co_await ending(f.read_line()), "Usage");
    EQUAL(co_await ending(f.seek(0)), "Usage");
    slow_disk::stopped::go();
    EQUAL(co_await first, pattern(1000).substr(0, 10));
    EQUAL(co_await f.read(10), pattern(1000).substr(10, 10));
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_26_ACancelledReadNeverWritesIntoTheCallersMemory) {
  const fresh_directory top;
  put(top / "a", pattern(200'000));
  run([&top]() -> h::task<> {
    const auto before = open_descriptors();
    {
      auto f = co_await h::file::open(top / "a");
      slow_disk::stopped disk;
      auto memory = std::make_unique<std::array<std::byte, 200'000>>();
      auto read = h::create_task(f.read_at(0, std::span<std::byte>(*memory)));
      auto small = h::create_task(f.read_at(0, std::span<std::byte>(*memory).first(100)));
      co_await until([] { return slow_disk::waiting() == 2; });
      read.cancel();
      small.cancel();
      EQUAL(co_await ending(std::move(read)), "Cancelled");
      EQUAL(co_await ending(std::move(small)), "Cancelled");
      for (const auto b : *memory) HOLDS(b == std::byte{0});
      memory.reset();
      EQUAL(slow_disk::waiting(), 2u);
      // The handle goes before the disk answers; the close waits for the disk, and nothing else.
    }
    co_await until([] { return slow_disk::waiting() == 0; });
    co_await until_open(before);
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_26_AnOpenThatEndsLateClosesItsDescriptor) {
  const fresh_directory top;
  const std::string path = top / slow_disk::marker;
  put(path, "x");
  run([&path]() -> h::task<> {
    const auto before = open_descriptors();
    slow_disk::stopped disk;
    auto opens = h::create_task(h::file::open(path));
    co_await until([] { return slow_disk::waiting() == 1; });
    opens.cancel();
    EQUAL(co_await ending(std::move(opens)), "Cancelled");
    slow_disk::stopped::go();
    co_await until([] { return slow_disk::waiting() == 0; });
    co_await until_open(before);
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_28_ACancelledWriteIsDoneWholeOrNotAtAll) {
  const fresh_directory top;
  options.file_threads = 1;
  run([&top]() -> h::task<> {
    auto f = co_await h::file::open(top / "a", read_and_write());
    co_await f.truncate(0);
    slow_disk::stopped disk;
    auto begun = h::create_task(f.write("begun"));
    co_await until([] { return slow_disk::waiting() == 1; });
    auto queued = h::create_task(f.write_at(100, "queued"));
    auto removes = h::create_task(h::remove_file(top / "a"));
    co_await until_waiting(queued);
    co_await until_waiting(removes);
    begun.cancel();
    queued.cancel();
    removes.cancel();
    EQUAL(co_await ending(std::move(begun)), "Cancelled");
    EQUAL(co_await ending(std::move(queued)), "Cancelled");
    EQUAL(co_await ending(std::move(removes)), "Cancelled");
    EQUAL(f.tell(), 5u);
    slow_disk::stopped::go();
    co_await f.write(", next");
    EQUAL(co_await f.read_at(0, 1000), "begun, next");
    HOLDS(co_await h::exists(top / "a"));
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_28_ACancelledCallThatHasBegunEndsItsWaitAtOnceAndIsMadeWhole) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    const std::string renamed = top / "slow-disk-renamed";
    const std::string removed = top / "slow-disk-removed";
    put(renamed, "x");
    put(removed, "x");
    slow_disk::stopped disk;
    auto renames = h::create_task(h::rename(renamed, top / "new"));
    auto removes = h::create_task(h::remove_file(removed));
    co_await until([] { return slow_disk::waiting() == 2; });
    renames.cancel();
    removes.cancel();
    EQUAL(co_await ending(std::move(renames)), "Cancelled");
    EQUAL(co_await ending(std::move(removes)), "Cancelled");
    EQUAL(slow_disk::waiting(), 2u);
    slow_disk::stopped::go();
    co_await until([&] { return std::filesystem::exists(top / "new"); });
    co_await until([&] { return !std::filesystem::exists(removed); });
    HOLDS(!std::filesystem::exists(renamed));
    std::filesystem::remove(top / "new");
  });
}

TEST_P(IO_FILE_ENDS, IO_FILE_29_ARuntimeEndsWithAThousandCallsInFlight) {
  const fresh_directory top;
  put(top / "a", pattern(100'000));
  for (const auto kind : reactors()) {
    slow_disk::stopped disk;
    std::thread answers;
    options.reactor = kind;
    options.file_end_limit = 1h;  // the disk answers, if late
    cases::run([&]() -> h::task<> {
      slow_disk::stopped::go();
      auto f = co_await h::file::open(top / "a");
      slow_disk::stop();
      for (int n = 0; n < 1000; ++n) (void)h::create_task(f.read_at(n, 90'000));
      co_await until([] { return slow_disk::waiting() == 16; });
      answers = std::thread([] { slow_disk::go(); });
    });
    answers.join();
    EQUAL(slow_disk::waiting(), 0u);
    EQUAL(report_count(), 0u);
  }
}

TEST_P(IO_FILE_ENDS, IO_FILE_29_ADiskThatNeverAnswersHoldsTheEndOfARuntimeForItsLimitAlone) {
  const fresh_directory top;
  put(top / "a", pattern(100'000));
  const auto before = open_descriptors();
  for (const auto kind : reactors()) {
    const auto reported = report_count();
    slow_disk::stopped disk;
    options.reactor = kind;
    options.file_end_limit = 0s;
    cases::run([&]() -> h::task<> {
      slow_disk::stopped::go();
      auto f = co_await h::file::open(top / "a");
      slow_disk::stop();
      for (int n = 0; n < 100; ++n) (void)h::create_task(f.read_at(n, 90'000));
      co_await until([] { return slow_disk::waiting() == 16; });
    });
    // The disk is silent still: the jobs own all that they touch, and end after the runtime.
    EQUAL(slow_disk::waiting(), 16u);
    EQUAL(report_count(), reported + 1);
    HOLDS(reports().back().message.find("file_end_limit") != std::string::npos);
    slow_disk::stopped::go();
    HOLDS(support::comes([] { return slow_disk::waiting() == 0; }));
    HOLDS(support::comes([&] { return open_descriptors() <= before; }));
  }
}

TEST_P(IO_FILE_ENDS, IO_FILE_30_ManyReadsOfASlowDiskHoldOnlyTheirOwnThreads) {
  const fresh_directory top;
  put(top / "a", pattern(1000));
  const auto count = sized(1000, 10'000);
  options.file_threads = 3;
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    slow_disk::stopped disk;
    std::vector<h::task_handle<std::string>> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(h::create_task(f.read_at(i % 900, 10)));
    co_await until([] { return slow_disk::waiting() == 3; });
    const auto answer = [] { return 42; };
    for (int i = 0; i < 10; ++i) EQUAL(co_await h::to_thread(answer), 42);
    const auto names = co_await h::resolve("127.0.0.1", 80);
    HOLDS(!names.empty());
    EQUAL(slow_disk::most_waiting(), 3u);
    slow_disk::stopped::go();
    for (std::size_t i = 0; i < count; ++i)
      HOLDS((co_await all[i]) == pattern(1000).substr(i % 900, 10));
  });
}

}  // namespace
