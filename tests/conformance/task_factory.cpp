// SPDX-License-Identifier: MIT
// The task factory: cases of the groups LOOP and XTHR.
#include "conformance.h"

#include <heddle/core/context.h>
#include <heddle/sched/task_group.h>

#include <algorithm>
#include <thread>

namespace {

using namespace conformance;

CASES(FACTORY);

h::context_var<int> number{"number"};

h::task<int> give(int v) {
  co_await h::yield_now();
  co_return v;
}

TEST_P(FACTORY, LOOP_22_TheTaskFactorySeesEveryCreationWithItsNameAndContext) {
  struct seen {
    std::mutex lock;
    std::vector<std::string> names;
    int with_context = 0;
    void note(const h::task_options& o) {
      std::lock_guard hold(lock);
      names.push_back(o.name);
      if (o.context && o.context->get(number) == 5) ++with_context;
    }
    std::size_t count() {
      std::lock_guard hold(lock);
      return names.size();
    }
  } all;
  options.task_factory = [&all](h::task_options& o) { all.note(o); };
  h::runtime rt(with());
  rt.run([](h::runtime& rt, seen& all) -> h::task<> {
    EQUAL(all.count(), 1u);  // the main task
    h::context given;
    given.run([] { number.set(5); });
    auto a = h::create_task(give(1), {.name = "a", .context = given});
    EQUAL(all.count(), 2u);
    EQUAL(all.names.at(1), "a");
    EQUAL(all.with_context, 1);
    EQUAL(co_await a, 1);
    auto both = h::gather(give(2), give(3));
    EQUAL(all.count(), 4u);
    const auto [b, c] = co_await both;
    EQUAL(b + c, 5);
    co_await h::with_task_group([](h::task_group& g) -> h::task<> {
      g.create_task(give(4), {.name = "of a group"});
      co_return;
    });
    EQUAL(all.count(), 5u);
    EQUAL(all.names.at(4), "of a group");
    // What it changes counts.
    rt.set_task_factory([](h::task_options& o) {
      o.name = "named by the factory";
      o.eager = true;
    });
    auto changed =
        h::create_task([]() -> h::task<std::string> { co_return h::current_task().get_name(); });
    HOLDS(changed.done());
    EQUAL(co_await changed, "named by the factory");
    // What it throws comes out of the call, and the body never runs.
    rt.set_task_factory([](h::task_options&) { throw error_e(); });
    auto held = std::make_shared<int>(0);
    bool ran = false;
    auto body = [](std::shared_ptr<int>, bool& ran) -> h::task<> {
      ran = true;
      co_return;
    };
    THROWS(error_e, h::create_task(body(held, ran)));
    HOLDS(!ran);
    EQUAL(held.use_count(), 1);
    // Unset, all is as before.
    rt.set_task_factory({});
    auto plain = h::create_task(give(4));
    EQUAL(co_await plain, 4);
    EQUAL(all.count(), 5u);
  }(rt, all));
  EQUAL(rt.submit(give(6)).get(), 6);
  EQUAL(all.count(), 5u);
  EQUAL(report_count(), 0u);
}

TEST_P(FACTORY, XTHR_07_WhatTheTaskFactoryThrowsComesOutOfTheFutureAndIsReportedOnce) {
  options.task_factory = [](h::task_options&) { throw error_e(); };
  {
    h::runtime rt(with());
    for (int i = 0; i < 3; ++i) {
      std::string end;
      bool ran = false;
      auto body = [](bool& ran) -> h::task<int> {
        ran = true;
        co_return 1;
      };
      try {
        auto f = rt.submit(body(ran));
        (void)f.get();
      } catch (...) { end = name_of(std::current_exception()); }
      EQUAL(end, "E");
      HOLDS(!ran);
      EQUAL(report_count(), static_cast<std::size_t>(i) + 1);
    }
    rt.set_task_factory({});
    EQUAL(rt.submit(give(7)).get(), 7);
  }
  EQUAL(report_count(), 3u);
}

}  // namespace
