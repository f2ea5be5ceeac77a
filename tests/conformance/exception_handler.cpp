// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

namespace {

using namespace conformance;

CASES(EXCH);

struct stop_now : h::fatal_error {
  stop_now() : fatal_error("stop now") {}
};

TEST_P(EXCH, EXCH_01_TheHandlerIsToldOnceOfLoopErrorAndHandle) {
  h::callback_handle bad;
  h::runtime rt(with());
  rt.run([](h::callback_handle& handle) -> h::task<> {
    std::atomic<bool> after{false};
    handle = h::current_loop().call_soon([] { throw error_e(); });
    h::current_loop().call_soon([&] { after = true; });
    co_await until([&] { return after.load(); });
  }(bad));
  EQUAL(report_count(), 1u);
  for (const auto& r : reports()) {
    HOLDS(!r.message.empty());
    EQUAL(name_of(r.error), "E");
    HOLDS(r.callback == bad);
    HOLDS(r.loop != nullptr && &r.loop->owner() == &rt);
  }
  // A task whose error nobody asks for, and a future's.
  rt.run([]() -> h::task<> {
    auto lost = h::create_task({.name = "lost"}, []() -> h::task<> {
      co_await h::yield_now();
      throw error_f();
    });
    co_await until_done(lost);
  }());
  EQUAL(report_count(), 2u);
  if (report_count() == 2) {
    const auto r = reports()[1];
    EQUAL(name_of(r.error), "F");
    EQUAL(r.task, "lost");
    HOLDS(r.origin.valid() && r.origin.done());
    EQUAL(r.origin.get_name(), "lost");
    HOLDS(r.loop != nullptr && &r.loop->owner() == &rt);
  }
  rt.run([]() -> h::task<> {
    h::promise<int> p;
    auto f = p.get_future();
    p.set_exception(error_e());
    co_return;
  }());
  EQUAL(report_count(), 3u);
  if (report_count() == 3) {
    HOLDS(reports()[2].future.valid() && reports()[2].future.done());
    HOLDS(!reports()[2].origin.valid());
  }
}

TEST_P(EXCH, EXCH_02_WithoutAHandlerTheDefaultOneSaysIt) {
  testing::internal::CaptureStderr();
  auto o = with();
  h::runtime rt(o);
  rt.set_exception_handler({});
  rt.run([]() -> h::task<> {
    std::atomic<bool> after{false};
    h::current_loop().call_soon([] { throw error_e(); });
    h::current_loop().call_soon([&] { after = true; });
    co_await until([&] { return after.load(); });
  }());
  rt.close();
  const auto said = testing::internal::GetCapturedStderr();
  HOLDS(said.find("exception in a callback") != std::string::npos) << said;
  HOLDS(said.find("error_e") != std::string::npos) << said;
  EQUAL(report_count(), 0u);
}

TEST_P(EXCH, EXCH_04_AHandlerThatThrowsIsSaidLastResortAndTheLoopGoesOn) {
  testing::internal::CaptureStderr();
  options.exception_handler = [](const h::error_context&) { throw error_f(); };
  run([]() -> h::task<> {
    std::atomic<bool> after{false};
    h::current_loop().call_soon([] { throw error_e(); });
    h::current_loop().call_soon([&] { after = true; });
    co_await until([&] { return after.load(); });
    HOLDS(after);
  });
  const auto said = testing::internal::GetCapturedStderr();
  HOLDS(said.find("error_f") != std::string::npos) << said;
  HOLDS(said.find("error_e") != std::string::npos) << said;
}

TEST_P(EXCH, EXCH_05_AFatalErrorIsNotRoutedToTheHandlerButLeavesRun) {
  THROWS(stop_now, run([]() -> h::task<> {
           h::current_loop().call_soon([] { throw stop_now(); });
           co_await h::sleep(1h);
         }));
  THROWS(stop_now, run([]() -> h::task<> {
           (void)h::create_task([]() -> h::task<> {
             co_await h::yield_now();
             throw stop_now();
           });
           co_await h::sleep(1h);
         }));
  EQUAL(report_count(), 0u);
}

TEST_P(EXCH, EXCH_06_ASignalHandlerThatThrowsIsReported) {
  run([]() -> h::task<> {
    auto& l = h::current_loop();
    std::atomic<int> calls{0};
    l.add_signal_handler(SIGUSR1, [&] {
      if (++calls == 1) throw error_e();
    });
    ::kill(::getpid(), SIGUSR1);
    co_await until([&] { return calls == 1; });
    ::kill(::getpid(), SIGUSR1);  // it is still there
    co_await until([&] { return calls == 2; });
    HOLDS(l.remove_signal_handler(SIGUSR1));
  });
  EQUAL(report_count(), 1u);
  for (const auto& r : reports()) EQUAL(name_of(r.error), "E");
}

TEST_P(EXCH, EXCH_07_CallsOfTheHandlerAreSerialisedAndNoneIsLost) {
  int inside = 0, overlapped = 0;  // no lock: the runtime serialises
  std::vector<int> told;
  options.exception_handler = [&](const h::error_context& what) {
    if (++inside != 1) ++overlapped;
    try {
      std::rethrow_exception(what.error);
    } catch (const std::runtime_error& e) { told.push_back(std::stoi(e.what())); }
    --inside;
  };
  const int n = rounds(4'000);
  h::runtime rt(with());
  rt.run([](h::runtime& r, int many) -> h::task<> {
    std::atomic<int> left{many};
    for (int i = 0; i < many; ++i)
      r.loop(static_cast<unsigned>(i) % r.loop_count()).call_soon([i, &left] {
        --left;
        throw std::runtime_error(std::to_string(i));
      });
    co_await until([&] { return left == 0; });
  }(rt, n));
  rt.close();
  EQUAL(overlapped, 0);
  std::sort(told.begin(), told.end());
  int wrong = static_cast<int>(told.size()) != n ? 1 : 0;
  for (std::size_t i = 0; i < told.size(); ++i) wrong += told[i] != static_cast<int>(i) ? 1 : 0;
  EQUAL(wrong, 0);
}

}  // namespace
