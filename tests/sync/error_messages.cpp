// SPDX-License-Identifier: MIT
// Error messages: they name the task that uses a primitive wrongly, and the source line that
// created it.
#include "sync/support.h"

#include <heddle/sync/condition.h>
#include <heddle/sync/mutex.h>
#include <heddle/sync/queue.h>
#include <heddle/sync/semaphore.h>
#include <heddle/sync/shared_mutex.h>

#include <string>

namespace {

using namespace support;

bool says(const std::string& message, const std::string& what) {
  return message.find(what) != std::string::npos;
}

/// Runs `mistake` as a task "the culprit": its `Error` says `what`, and names the task and the line
/// of its creation.
template <class Error, class F>
void expect_blame(const std::string& what, F mistake) {
  std::string message;
  int line = 0;
  h::run([](F& mistake, std::string& message, int& line) -> h::task<> {
    line = __LINE__ + 1;
    auto t = h::create_task({.name = "the culprit"}, std::ref(mistake));
    try {
      co_await t;
    } catch (const Error& e) { message = e.what(); }
  }(mistake, message, line));
  EXPECT_TRUE(says(message, what)) << message;
  EXPECT_TRUE(says(message, "(in task 'the culprit', created at ")) << message;
  EXPECT_TRUE(says(message, "error_messages.cpp:" + std::to_string(line) + ")")) << message;
}

TEST(SyncErrorMessages, ALockReleasedByNobodyNamesTheTaskThatReleasesIt) {
  expect_blame<h::usage_error>("unlock of a mutex that nobody holds", []() -> h::task<> {
    h::mutex m;
    m.unlock();
    co_return;
  });
  expect_blame<h::usage_error>("no writer holds", []() -> h::task<> {
    h::shared_mutex m;
    m.unlock();
    co_return;
  });
  expect_blame<h::usage_error>("no reader holds", []() -> h::task<> {
    h::shared_mutex m;
    m.unlock_shared();
    co_return;
  });
}

TEST(SyncErrorMessages, AConditionWhoseLockIsNotHeldNamesTheTaskThatUsesIt) {
  expect_blame<h::usage_error>("notify of a condition whose lock is not held", []() -> h::task<> {
    h::condition c;
    c.notify(1);
    co_return;
  });
  expect_blame<h::usage_error>("wait of a condition whose lock is not held", []() -> h::task<> {
    h::condition c;
    co_await c.wait();
  });
}

TEST(SyncErrorMessages, ASemaphoreReleasedTooOftenNamesTheTaskThatReleasesIt) {
  expect_blame<h::bad_value>("beyond its bound", []() -> h::task<> {
    h::bounded_semaphore s(1);
    s.release();
    co_return;
  });
}

TEST(SyncErrorMessages, AQueueUsedAfterItsShutdownNamesTheTaskThatUsesIt) {
  expect_blame<h::queue_shut_down>("put: the queue was shut down", []() -> h::task<> {
    h::queue<int> q;
    q.shutdown();
    co_await q.put(1);
  });
  expect_blame<h::queue_shut_down>("put: the queue was shut down", []() -> h::task<> {
    h::queue<int> q;
    q.shutdown();
    q.put_nowait(1);
    co_return;
  });
  expect_blame<h::queue_shut_down>("get: the queue was shut down", []() -> h::task<> {
    h::queue<int> q;
    q.shutdown();
    (void)co_await q.get();
  });
  expect_blame<h::bad_value>("task_done was called more often", []() -> h::task<> {
    h::queue<int> q;
    q.task_done();
    co_return;
  });
}

TEST(SyncErrorMessages, OutsideOfTasksTheErrorsNameNobody) {
  h::mutex m;
  try {
    m.unlock();
    FAIL();
  } catch (const h::usage_error& e) {
    EXPECT_STREQ(e.what(), "unlock of a mutex that nobody holds");
  }
  EXPECT_STREQ(h::queue_shut_down().what(), "the queue was shut down");
}

TEST(SyncErrorMessagesDeathTest, APrimitiveThatIsDestroyedUnderAPendingTaskNamesTheTask) {
  EXPECT_DEATH(h::run([]() -> h::task<> {
                 auto* m = new h::mutex;
                 co_await m->lock();
                 auto t = h::create_task({.name = "the waiting"},
                                         [m]() -> h::task<> { co_await m->lock(); });
                 co_await until_waiting(t);
                 delete m;
               }()),
               "destroyed while tasks wait in it: task 'the waiting', created at "
               ".*sync/error_messages.cpp:[0-9]+, waits in mutex");
}

}  // namespace
