// SPDX-License-Identifier: MIT
// Names, files and processes beside what blocks: a dead name server, long jobs, tasks that cannot
// begin.
#include "io/runtime.h"

#include <heddle/io/http/server.h>
#include <heddle/io/http/session.h>
#include <heddle/io/process.h>
#include <heddle/io/resolve.h>
#include <heddle/io/resolving/resolve_category.h>
#include <heddle/sched/to_thread.h>

#include <dlfcn.h>
#include <netdb.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <new>
#include <string>
#include <string_view>

#include <unistd.h>

namespace {

/// Names that end in ".dead" are not answered before the gate is open, and then with an error;
/// those in ".live" are 127.0.0.1. Both are counted.
struct name_server {
  std::mutex lock;
  std::condition_variable changed;
  bool open = false;
  std::atomic<int> asked{0};
  std::atomic<int> answered{0};

  void answer_the_dead(bool now) {
    const std::lock_guard hold(lock);
    open = now;
    changed.notify_all();
  }
};
name_server server_of_names;

/// Names that end in ".fails" fail at once, each in its way.
int failure_of(std::string_view host) {
  if (host == "nothing.fails") return EAI_NONAME;
  if (host == "none.fails") return EAI_NODATA;
  if (host == "broken.fails") return EAI_FAIL;
  errno = host == "slow.fails" ? ETIMEDOUT : EMFILE;
  return host == "slow.fails" ? EAI_AGAIN : EAI_SYSTEM;
}

}  // namespace

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** list) {
  static const auto real =
      reinterpret_cast<int (*)(const char*, const char*, const addrinfo*, addrinfo**)>(
          ::dlsym(RTLD_NEXT, "getaddrinfo"));
  const std::string_view host = name ? name : "";
  const bool numeric = hints && (hints->ai_flags & AI_NUMERICHOST) != 0;
  if (!numeric && host.ends_with(".fails")) return failure_of(host);
  if (numeric || (!host.ends_with(".dead") && !host.ends_with(".live")))
    return real(name, service, hints, list);
  auto& s = server_of_names;
  ++s.asked;
  int result = EAI_AGAIN;
  if (host.ends_with(".live")) {
    result = real("127.0.0.1", service, hints, list);
  } else {
    std::unique_lock hold(s.lock);
    s.changed.wait(hold, [&] { return s.open; });
  }
  ++s.answered;
  return result;
}

/// 192.0.2.7 has no name.
extern "C" int getnameinfo(const sockaddr* of, socklen_t size, char* host, socklen_t host_size,
                           char* service, socklen_t service_size, int flags) {
  static const auto real =
      reinterpret_cast<decltype(&getnameinfo)>(::dlsym(RTLD_NEXT, "getnameinfo"));
  const bool unnamed = heddle::address(of, size).host() == "192.0.2.7";
  if (unnamed && (flags & NI_NAMEREQD) != 0) return EAI_NONAME;
  if (unnamed) flags |= NI_NUMERICHOST;
  return real(of, size, host, host_size, service, service_size, flags);
}

namespace {

using namespace io_test;

class Resolver : public on_each_reactor {
 protected:
  void SetUp() override {
    server_of_names.answer_the_dead(false);
    server_of_names.asked = server_of_names.answered = 0;
  }
  void TearDown() override {
    server_of_names.answer_the_dead(true);
    // The look-ups that were given up have left the gate before the next test closes it. Threads
    // without a loop count them, so this thread polls; the sleep only leaves the processor to them.
    while (server_of_names.answered.load() != server_of_names.asked.load()) ::usleep(1000);
  }
};
INSTANTIATE_TEST_SUITE_P(, Resolver, testing::ValuesIn(all_setups()), name_of);

h::task<std::size_t> count_of(std::string name) {
  h::resolve_options how;
  auto looking = h::resolve(std::move(name), 80, how);
  const std::vector<h::address> found = co_await looking;
  co_return found.size();
}

h::task<std::exception_ptr> error_of_name(std::string name) {
  std::exception_ptr e;
  try {
    (void)co_await count_of(std::move(name));
  } catch (...) { e = std::current_exception(); }
  co_return e;
}

/// A folder with a page.txt, as long as it lives.
struct one_page {
  one_page() {
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/page.txt") << "page";
  }
  one_page(const one_page&) = delete;
  ~one_page() { std::filesystem::remove_all(folder); }

  const std::string folder =
      std::filesystem::temp_directory_path() / ("heddle-page-" + std::to_string(::getpid()));
};

using looking = std::vector<h::task_handle<std::exception_ptr>>;

looking look_up_the_dead(int n) {
  looking all;
  for (int i = 0; i < n; ++i)
    all.push_back(h::create_task(error_of_name("n" + std::to_string(i) + ".dead")));
  return all;
}

TEST_P(Resolver, DeadNamesStopNeitherJobsNorFilesNorConnectionsNorOtherNames) {
  const one_page site;
  run([&site]() -> h::task<> {
    h::http::server s;
    s.files("/files/", site.folder);
    co_await s.start("127.0.0.1", 0);
    looking dead = look_up_the_dead(20);
    co_await until([] { return server_of_names.asked.load() == 20; });
    auto job = h::to_thread([] { return 7; });
    const int seven = co_await job;
    EXPECT_EQ(seven, 7);
    h::http::session client;
    const std::string port = std::to_string(s.port());
    for (const char* host : {"127.0.0.1", "localhost", "a.live"}) {
      const auto page =
          co_await client.get("http://" + std::string(host) + ":" + port + "/files/page.txt");
      EXPECT_EQ(page.text(), "page") << host;
    }
    server_of_names.answer_the_dead(true);
    for (auto& d : dead) {
      const auto& error = co_await d;
      EXPECT_EQ(code_of(error), EAI_AGAIN);
    }
    co_await s.stop(1s);
  });
}

TEST_P(Resolver, LongJobsStopNeitherNamesNorFiles) {
  const one_page site;
  run([&site]() -> h::task<> {
    h::http::server s;
    s.files("/files/", site.folder);
    co_await s.start("127.0.0.1", 0);
    auto gate = std::make_shared<name_server>();
    std::vector<h::task_handle<void>> jobs;
    for (int i = 0; i < 40; ++i) {  // more than there are threads
      auto job = h::to_thread([gate] {
        std::unique_lock hold(gate->lock);
        gate->changed.wait(hold, [&] { return gate->open; });
      });
      jobs.push_back(h::create_task(std::move(job)));
    }
    h::http::session client;
    const std::string url = "http://a.live:" + std::to_string(s.port()) + "/files/page.txt";
    const auto page = co_await client.get(url);
    EXPECT_EQ(page.text(), "page");
    gate->answer_the_dead(true);
    for (auto& j : jobs) co_await j;
    co_await s.stop(1s);
  });
}

TEST_P(Resolver, EqualQuestionsAtOneTimeAreAskedOnce) {
  run([]() -> h::task<> {
    looking all;
    for (int i = 0; i < 50; ++i) all.push_back(h::create_task(error_of_name("one.dead")));
    for (auto& t : all) co_await until([&t] { return waits(t); });
    co_await until([] { return server_of_names.asked.load() != 0; });
    EXPECT_EQ(server_of_names.asked.load(), 1);
    // One that stops waiting takes nothing from the others.
    all.front().cancel();
    co_await until([&] { return all.front().done(); });
    EXPECT_FALSE(all.back().done());
    server_of_names.answer_the_dead(true);
    for (std::size_t i = 1; i < all.size(); ++i) {
      const auto& error = co_await all[i];
      EXPECT_EQ(code_of(error), EAI_AGAIN);
    }
    EXPECT_EQ(server_of_names.asked.load(), 1);
    // An answer is not kept.
    const auto again = co_await error_of_name("one.dead");
    EXPECT_EQ(code_of(again), EAI_AGAIN);
    EXPECT_EQ(server_of_names.asked.load(), 2);
  });
}

TEST_P(Resolver, ACancelledWaitEndsAtOnceAndWhatNobodyWaitsForNeverBegins) {
  run([]() -> h::task<> {
    looking running = look_up_the_dead(32);  // as many as there are threads
    co_await until([] { return server_of_names.asked.load() == 32; });
    std::vector<h::task_handle<std::size_t>> queued;
    for (int i = 0; i < 10; ++i)
      queued.push_back(h::create_task(count_of("q" + std::to_string(i) + ".dead")));
    for (auto& t : queued) co_await until([&t] { return waits(t); });
    for (auto& t : queued) t.cancel();
    for (auto& t : queued) co_await until([&t] { return t.cancelled(); });
    server_of_names.answer_the_dead(true);
    for (auto& t : running) (void)co_await t;
    EXPECT_EQ(server_of_names.asked.load(), 32);
  });
}

TEST_P(Resolver, TheEndOfTheRuntimeDoesNotWaitForADeadName) {
  run([]() -> h::task<> {
    (void)look_up_the_dead(3);
    co_await until([] { return server_of_names.asked.load() == 3; });
  });
  EXPECT_EQ(server_of_names.answered.load(), 0);
}

TEST_P(Resolver, LiteralAddressesAreNotLookedUp) {
  run([]() -> h::task<> {
    h::resolve_options how;
    auto four = h::resolve("127.0.0.1", 80, how);
    const std::vector<h::address> v4 = co_await four;
    EXPECT_EQ(v4, std::vector<h::address>{h::address::ip("127.0.0.1", 80)});
    auto six = h::resolve("::1", 81, how);
    const std::vector<h::address> v6 = co_await six;
    EXPECT_EQ(v6, std::vector<h::address>{h::address::ip("::1", 81)});
    how.family = AF_INET6;
    auto wrong = h::resolve("127.0.0.1", 80, how);
    const auto error = co_await error_of(std::move(wrong));
    EXPECT_TRUE(is<std::system_error>(error));
  });
}

TEST_P(Resolver, EachFailureHasItsCodeAndKeepsErrno) {
  run([]() -> h::task<> {
    const auto expect = [](const std::exception_ptr& error, int code, const std::string& text) {
      EXPECT_EQ(code_of(error), code);
      EXPECT_NE(h::describe(error).find(text), std::string::npos) << h::describe(error);
    };
    expect(co_await error_of_name("nothing.fails"), EAI_NONAME, "getaddrinfo nothing.fails:80");
    expect(co_await error_of_name("none.fails"), EAI_NODATA, "none.fails");
    expect(co_await error_of_name("broken.fails"), EAI_FAIL, "broken.fails");
    expect(co_await error_of_name("slow.fails"), EAI_AGAIN, "(Connection timed out)");
    expect(co_await error_of_name("full.fails"), EMFILE, "getaddrinfo full.fails:80");
  });
}

TEST_P(Resolver, AnAddressWithoutANameIsANumberOrAnErrorAsAsked) {
  run([]() -> h::task<> {
    const auto unnamed = h::address::ip("192.0.2.7", 4711);
    h::reverse_options o;
    o.numeric_service = true;
    auto asking = h::resolve_address(unnamed, o);
    const h::host_and_service found = co_await asking;
    EXPECT_EQ(found.host, "192.0.2.7");
    EXPECT_EQ(found.service, "4711");
    o.name_required = true;
    auto again = h::resolve_address(unnamed, o);
    std::exception_ptr error;
    try {
      (void)co_await again;
    } catch (...) { error = std::current_exception(); }
    EXPECT_EQ(code_of(error), static_cast<int>(h::name_error::no_such_name));
    EXPECT_NE(h::describe(error).find("getnameinfo 192.0.2.7:4711"), std::string::npos);
  });
}

// --- a task that cannot begin ---

TEST_P(Resolver, ACommunicateWhoseTasksCannotBeginLeavesNoneOfThemBehind) {
  run([]() -> h::task<> {
    for (int fails = 1; fails <= 3; ++fails) {
      h::process_options piped;
      piped.stdin = h::stdio::pipe;
      piped.stdout = h::stdio::pipe;
      piped.stderr = h::stdio::pipe;
      const auto before = h::all_tasks().size();
      {
        auto starting = h::create_subprocess_exec(piped, "cat");
        h::process p = co_await starting;
        auto left = std::make_shared<std::atomic<int>>(fails);
        h::current_runtime().set_task_factory([left](h::task_options&) {
          if (--*left == 0) throw std::bad_alloc();
        });
        const auto error = co_await error_of(p.communicate(std::string(1 << 20, 'x')));
        h::current_runtime().set_task_factory(nullptr);
        EXPECT_TRUE(is<std::bad_alloc>(error)) << fails;
        EXPECT_EQ(h::all_tasks().size(), before) << fails;
      }
    }
  });
  EXPECT_TRUE(reports.empty()) << reports.front();
}

}  // namespace
