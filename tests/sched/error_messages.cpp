// SPDX-License-Identifier: MIT
// Errors that teach: each names the task that made the mistake, and the source line where that task
// was created.
#include <heddle/core/errors.h>
#include <heddle/core/future.h>
#include <heddle/sched/as_completed.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/ensure_future.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/runtime.h>
#include <heddle/sched/shield.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/task_group.h>
#include <heddle/sched/timeout.h>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace h = heddle;
using namespace std::chrono_literals;

namespace {

/// "sched/error_messages.cpp:LINE", as it stands in a message.
std::string at(int line) { return "sched/error_messages.cpp:" + std::to_string(line); }

bool says(const std::string& message, const std::string& what) {
  return message.find(what) != std::string::npos;
}
/// The message names the task and the line of its creation.
#define NAMES(message, name, line)                                                      \
  do {                                                                                  \
    const std::string heard = (message);                                                \
    EXPECT_TRUE(says(heard, "task '" + std::string(name) + "', created at ")) << heard; \
    EXPECT_TRUE(says(heard, at(line))) << heard << ": " << line;                        \
  } while (false)

/// Runs `mistake` as a task "the culprit"; the message of the `Error` that comes out of it, and
/// where it was created.
struct caught {
  std::string message;
  int line = 0;
};
template <class Error, class F>
caught blame(F mistake) {
  caught c;
  h::run([](F& mistake, caught& c) -> h::task<> {
    c.line = __LINE__ + 1;
    auto t = h::create_task({.name = "the culprit"}, std::ref(mistake));
    try {
      co_await t;
    } catch (const Error& e) { c.message = e.what(); }
  }(mistake, c));
  return c;
}

h::task<> nothing() { co_return; }
h::task<> waits_long() { co_await h::sleep(1h); }

TEST(ErrorMessages, ANestedRunNamesTheTaskThatTriedIt) {
  const auto c = blame<h::usage_error>([]() -> h::task<> {
    h::run(nothing());
    co_return;
  });
  EXPECT_TRUE(says(c.message, "run inside a running loop")) << c.message;
  NAMES(c.message, "the culprit", c.line);
}

TEST(ErrorMessages, ATaskAwaitedTwiceNamesTheTaskThatAwaitsIt) {
  auto c = blame<h::usage_error>([]() -> h::task<> {
    auto once = nothing();
    co_await once;
    co_await once;
  });
  EXPECT_TRUE(says(c.message, "awaited before")) << c.message;
  NAMES(c.message, "the culprit", c.line);
  c = blame<h::usage_error>([]() -> h::task<> {
    auto once = nothing();
    auto kept = std::move(once);
    co_await std::move(once);
  });
  EXPECT_TRUE(says(c.message, "empty task")) << c.message;
  NAMES(c.message, "the culprit", c.line);
}

TEST(ErrorMessages, ABrokenPromiseNamesTheTaskThatDroppedIt) {
  std::string message;
  int line = 0;
  h::run([](std::string& message, int& line) -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    auto forgets = [](h::promise<int>) -> h::task<> { co_return; };
    line = __LINE__ + 1;
    auto t = h::create_task({.name = "the forgetful"}, forgets, std::move(p));
    co_await t;
    try {
      (void)co_await f;
    } catch (const h::broken_promise& e) { message = e.what(); }
  }(message, line));
  EXPECT_TRUE(says(message, "broken promise")) << message;
  NAMES(message, "the forgetful", line);
}

TEST(ErrorMessages, APromiseDroppedOutsideOfTasksNamesNobody) {
  std::optional<h::promise<int>> p{std::in_place};
  auto f = p->get_future();
  p.reset();
  try {
    (void)f.get();
    FAIL();
  } catch (const h::broken_promise& e) { EXPECT_STREQ(e.what(), h::broken_promise().what()); }
}

TEST(ErrorMessages, AnObjectOfAnotherRuntimeIsNamedAndSoIsTheTaskThatAwaitsIt) {
  h::runtime other({.loops = 1});
  h::task_handle<> theirs;
  int line = 0;
  other.run([](h::task_handle<>& theirs, int& line) -> h::task<> {
    line = __LINE__ + 1;
    theirs = h::create_task({.name = "the stranger"}, waits_long);
    co_return;
  }(theirs, line));
  auto c = blame<h::usage_error>([&]() -> h::task<> { co_await theirs; });
  EXPECT_TRUE(says(c.message, "of another runtime")) << c.message;
  NAMES(c.message, "the culprit", c.line);
  NAMES(c.message, "the stranger", line);

  c = blame<h::bad_value>([&]() -> h::task<> {
    auto all = h::gather(theirs);
    co_await all;
  });
  EXPECT_TRUE(says(c.message, "another runtime")) << c.message;
  NAMES(c.message, "the culprit", c.line);

  c = blame<h::usage_error>([&]() -> h::task<> {
    h::create_task({.name = "the emigrant", .loop = &other.loop(0)}, nothing);
    co_return;
  });
  EXPECT_TRUE(says(c.message, "another runtime")) << c.message;
  NAMES(c.message, "the culprit", c.line);
  EXPECT_TRUE(says(c.message, "task 'the emigrant', created at ")) << c.message;

  h::promise<int> p;
  h::future<int> unset;
  other.run([](h::promise<int>& p) -> h::task<> {
    p = h::promise<int>();
    co_return;
  }(p));
  unset = p.get_future();
  c = blame<h::usage_error>([&]() -> h::task<> { (void)co_await unset; });
  EXPECT_TRUE(says(c.message, "another runtime")) << c.message;
  NAMES(c.message, "the culprit", c.line);
}

TEST(ErrorMessages, EnteringAGroupTwiceAndAnEmptyHandleNameTheTask) {
  auto c = blame<h::usage_error>([]() -> h::task<> {
    h::task_group g;
    auto body = [](h::task_group&) {};
    auto once = h::with_task_group(g, body);
    co_await std::move(once);
    auto again = h::with_task_group(g, body);
    co_await std::move(again);
  });
  EXPECT_TRUE(says(c.message, "entered before")) << c.message;
  NAMES(c.message, "the culprit", c.line);
  c = blame<h::usage_error>([]() -> h::task<> {
    h::task_handle<> none;
    co_await none;
  });
  EXPECT_TRUE(says(c.message, "empty task handle")) << c.message;
  NAMES(c.message, "the culprit", c.line);
  c = blame<h::usage_error>([]() -> h::task<> {
    h::timeout_scope* kept = nullptr;
    auto body = [&](h::timeout_scope& s) { kept = &s; };
    auto block = h::timeout(1h, body);
    co_await block;
    kept->reschedule(std::nullopt);
  });
  EXPECT_TRUE(says(c.message, "after the block was left")) << c.message;
  NAMES(c.message, "the culprit", c.line);
}

TEST(ErrorMessages, AnUnretrievedExceptionIsReportedWithItsTaskWhetherNamedOrNot) {
  for (const bool named : {true, false}) {
    std::vector<h::error_context> seen;
    std::mutex lock;
    h::options o;
    o.exception_handler = [&](const h::error_context& what) {
      std::lock_guard hold(lock);
      seen.push_back(what);
    };
    int line = 0;
    h::run(
        [](bool named, int& line) -> h::task<> {
          auto fails = []() -> h::task<> {
            co_await h::yield_now();
            throw std::runtime_error("nobody looks");
          };
          h::task_options o;
          if (named) o.name = "the lost";
          line = __LINE__ + 1;
          (void)h::create_task(o, fails);
          while (h::all_tasks().size() > 1) co_await h::yield_now();
        }(named, line),
        o);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].made.line(), static_cast<unsigned>(line));
    EXPECT_TRUE(says(seen[0].made.file_name(), "sched/error_messages.cpp"));
    EXPECT_EQ(seen[0].task, seen[0].origin.get_name());
    if (named) EXPECT_EQ(seen[0].task, "the lost");
  }
}

TEST(ErrorMessages, TheLineThatTheDefaultHandlerPrintsHoldsAllOfIt) {
  testing::internal::CaptureStderr();
  int line = 0;
  h::run([](int& line) -> h::task<> {
    auto fails = []() -> h::task<> {
      throw std::runtime_error("nobody looks");
      co_return;
    };
    line = __LINE__ + 1;
    (void)h::create_task({.name = "the lost"}, fails);
    while (h::all_tasks().size() > 1) co_await h::yield_now();
  }(line));
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(says(said, "an exception was never retrieved")) << said;
  EXPECT_TRUE(says(said, "nobody looks")) << said;
  NAMES(said, "the lost", line);
}

TEST(ErrorMessages, ATaskThatIsDestroyedPendingSinceItsRuntimeHasEndedIsNamed) {
  h::runtime rt;
  rt.close();
  int line = 0;
  try {
    line = __LINE__ + 1;
    (void)rt.submit(nothing());
    FAIL();
  } catch (const h::usage_error& e) {
    const std::string said = e.what();
    EXPECT_TRUE(says(said, "destroyed before its first step")) << said;
    EXPECT_TRUE(says(said, "task 'task-")) << said;
    EXPECT_TRUE(says(said, at(line))) << said;
  }
}

TEST(ErrorMessagesDeathTest, AGroupThatIsDestroyedWithAPendingChildNamesIt) {
  EXPECT_DEATH(h::run([]() -> h::task<> {
                 auto* g = new h::task_group;
                 auto body = [g](h::task_group&) -> h::task<> {
                   g->create_task({.name = "the orphan"}, waits_long);
                   delete g;
                   co_return;
                 };
                 auto block = h::with_task_group(*g, body);
                 co_await std::move(block);
               }()),
               "destroyed before its task 'the orphan', created at "
               ".*sched/error_messages.cpp:[0-9]+, had ended");
}

struct line_of {
  h::any_task t;
  [[nodiscard]] std::string text() const {
    const auto made = t.record()->made();
    const std::string file = made.file_name();  // empty: the verb was not told
    return file.substr(file.empty() ? 0 : file.rfind("sched/")) + ":" + std::to_string(made.line());
  }
};

h::task<h::any_task> self() { co_return h::current_task(); }
h::task<h::any_task> self_with(int, int, int, int) { co_return h::current_task(); }
h::task<h::any_task> self_with_five(int, int, int, int, int) { co_return h::current_task(); }
/// The creation of the task that yields itself.
std::string place(const h::any_task& t) { return line_of{t}.text(); }

TEST(ErrorMessages, EveryVerbThatCreatesATaskRemembersWhereItStands) {
  h::runtime rt;
  // clang-format off
  const auto main = rt.run(self()); const auto main_at = at(__LINE__);
  EXPECT_EQ(place(main), main_at);
  EXPECT_EQ(place(rt.submit(self()).get()), at(__LINE__));
  EXPECT_EQ(place(rt.submit(self).get()), at(__LINE__));
  EXPECT_EQ(place(rt.submit(self_with, 1, 2, 3, 4).get()), at(__LINE__));
  EXPECT_EQ(place(h::run(self())), at(__LINE__));
  rt.run([]() -> h::task<> {
    const h::task_options o{.name = "named"};
    const int one = 1;
    auto a = h::create_task(self()); EXPECT_EQ(place(a), at(__LINE__));
    auto b = h::create_task(self(), o); EXPECT_EQ(place(b), at(__LINE__));
    auto c = h::create_task(self); EXPECT_EQ(place(c), at(__LINE__));
    auto d = h::create_task(o, self); EXPECT_EQ(place(d), at(__LINE__));
    auto e = h::create_task(self_with, 1, one, 3, std::cref(one)); EXPECT_EQ(place(e), at(__LINE__));
    auto f = h::create_task(o, self_with, 1, one, 3, 4); EXPECT_EQ(place(f), at(__LINE__));
    auto g = h::create_task([](int) { return self(); }, 1); EXPECT_EQ(place(g), at(__LINE__));
    auto i = h::create_task([](int, int) { return self(); }, 1, 2); EXPECT_EQ(place(i), at(__LINE__));
    auto j = h::create_task({.name = "braces"}, [](int, int, int) { return self(); }, 1, 2, 3); EXPECT_EQ(place(j), at(__LINE__));
    auto k = h::create_task(self_with_five, 1, 2, 3, 4, 5); EXPECT_EQ(place(k), ":0");
    auto l = h::ensure_future(self()); EXPECT_EQ(place(l), at(__LINE__));
    auto m = co_await h::gather(self()); EXPECT_EQ(place(std::get<0>(m)), at(__LINE__));
    auto n = co_await h::gather(self(), self()); EXPECT_EQ(place(std::get<1>(n)), at(__LINE__));
    auto p = co_await h::gather(self(), self(), self()); EXPECT_EQ(place(std::get<2>(p)), at(__LINE__));
    std::vector<h::task<h::any_task>> some;
    some.push_back(self());
    auto q = co_await h::gather(std::move(some)); EXPECT_EQ(place(q[0]), at(__LINE__));
    auto r = co_await h::gather_settled(self(), self()); EXPECT_EQ(place(std::get<1>(r).value()), at(__LINE__));
    auto s = co_await h::shield(self()); EXPECT_EQ(place(s), at(__LINE__));
    auto body = [&](h::task_group& group) {
      auto a = group.create_task(self()); EXPECT_EQ(place(a), at(__LINE__));
      auto b = group.create_task(self(), o); EXPECT_EQ(place(b), at(__LINE__));
      auto c = group.create_task(self); EXPECT_EQ(place(c), at(__LINE__));
      auto d = group.create_task(o, self); EXPECT_EQ(place(d), at(__LINE__));
      auto e = group.create_task(self_with, 1, one, 3, 4); EXPECT_EQ(place(e), at(__LINE__));
      auto f = group.create_task(o, self_with, 1, one, 3, 4); EXPECT_EQ(place(f), at(__LINE__));
      auto g = group.create_task(self_with_five, 1, 2, 3, 4, 5); EXPECT_EQ(place(g), ":0");
    };
    auto block = h::with_task_group(body);
    co_await std::move(block);
    std::vector<h::task<h::any_task>> more;
    more.push_back(self());
    auto ends = h::as_completed(std::move(more)); const auto ends_at = at(__LINE__);
    auto first = co_await ends.next();
    EXPECT_EQ(place(*first), ends_at);
  }());
  // clang-format on
}

TEST(ErrorMessages, ATaskKeepsItsPlaceWhenItIsNamedLater) {
  h::run([]() -> h::task<> {
    auto t = h::create_task(nothing());
    const auto before = place(t);
    t.set_name("later");
    EXPECT_EQ(place(t), before);
    co_await t;
    EXPECT_EQ(place(t), before);
  }());
}

TEST(ErrorMessages, WhatAUserThrowsIsLeftAsItIs) {
  EXPECT_STREQ(h::usage_error("mine").what(), "mine");
  const auto c = blame<h::usage_error>([]() -> h::task<> {
    throw h::usage_error("mine");
    co_return;
  });
  EXPECT_EQ(c.message, "mine");
}

}  // namespace
