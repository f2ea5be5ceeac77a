// SPDX-License-Identifier: MIT
// Group FILE: files, directories and trees that are watched.
#include "file_cases.h"
#include "slow_disk.h"

#include <heddle/io/watch.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <thread>

namespace {

using namespace conformance;
namespace fs = std::filesystem;

REACTOR_CASES(IO_FILE_WATCH);

using changes = h::async_generator<h::file_event>;

h::watch_options whole_tree() {
  h::watch_options o;
  o.tree = true;
  return o;
}

/// "moved a -> b", without what all paths of a case begin with; "end" at the end.
std::string in_words(const h::file_event* e, const std::string& top) {
  if (!e) return "end";
  const auto shorter = [&top](const std::string& path) {
    return path.starts_with(top + "/") ? path.substr(top.size() + 1) : path == top ? "." : path;
  };
  std::string text(to_string(e->change));
  if (!e->from.empty()) text += " " + shorter(e->from) + " ->";
  return text + " " + shorter(e->path) + (e->is_directory ? "/" : "");
}

h::task<std::string> ask(changes& events, const std::string& top) {
  const auto* e = co_await events.next();
  co_return in_words(e, top);
}

/// The next change. A change that never comes is an error, and no hang.
h::task<std::string> next(changes& events, const std::string& top) {
  auto limited = h::wait_for(ask(events, top), 30s);
  std::string text = co_await std::move(limited);
  co_return text;
}

void append(const std::string& path) { std::ofstream(path, std::ios::app) << "more"; }

TEST_P(IO_FILE_WATCH, IO_FILE_33_ADirectoryTellsItsChangesInTheirOrderAndNoneAfterTheClose) {
  const fresh_directory place;
  run([&place]() -> h::task<> {
    const std::string top = place / "top";
    fs::create_directory(top);
    fs::create_directory(place / "outside");
    const auto before = open_descriptors();
    {
      auto events = co_await h::watch(top);
      put(top + "/a", "x");
      EQUAL(co_await next(events, top), "created a");
      EQUAL(co_await next(events, top), "modified a");
      ::chmod((top + "/a").c_str(), 0604);
      fs::rename(top + "/a", top + "/b");
      fs::create_directory(top + "/d");
      put(top + "/d/unseen", "x");
      fs::remove_all(top + "/d");
      fs::remove(top + "/b");
      for (const char* all :
           {"attributes a", "moved a -> b", "created d/", "removed d/", "removed b"})
        EQUAL(co_await next(events, top), all);
      put(place / "outside/c", "x");
      fs::rename(place / "outside/c", top + "/c");
      fs::rename(top + "/c", place / "outside/c");
      EQUAL(co_await next(events, top), "created c");
      EQUAL(co_await next(events, top), "removed c");
      put(top + "/late", "x");
      co_await events.aclose();
      EQUAL(co_await next(events, top), "end");
      auto dropped = co_await h::watch(top);  // never asked
    }
    co_await until_open(before);
    auto last = co_await h::watch(top);
    fs::remove_all(top);
    EQUAL(co_await next(last, top), "removed late");
    EQUAL(co_await next(last, top), "removed ./");
    EQUAL(co_await next(last, top), "end");
    fs::remove_all(place / "outside");
  });
}

TEST_P(IO_FILE_WATCH, IO_FILE_33_AFileIsWatchedByItsNameAlsoWhenAnotherTakesItsPlace) {
  const fresh_directory place;
  run([&place]() -> h::task<> {
    const std::string top = fs::canonical(place.path()).string() + "/top";
    fs::create_directory(top);
    const std::string path = top + "/f";
    put(path, "1");
    put(top + "/other", "1");
    auto events = co_await h::watch(path);
    append(top + "/other");
    append(path);
    fs::rename(top + "/other", path);
    append(path);
    fs::remove(path);
    put(path, "2");
    for (const char* all :
         {"modified f", "created f", "modified f", "removed f", "created f", "modified f"})
      EQUAL(co_await next(events, top), all);
    fs::rename(path, top + "/g");
    put(top + "/unseen", "x");
    EQUAL(co_await next(events, top), "moved f -> g");
    put(path, "3");
    EQUAL(co_await next(events, top), "created f");
    EQUAL(co_await next(events, top), "modified f");
    fs::remove_all(top);
    EQUAL(co_await next(events, top), "removed f");
    EQUAL(co_await next(events, top), "end");
  });
}

TEST_P(IO_FILE_WATCH, IO_FILE_33_ATreeFollowsDirectoriesThatComeMoveAndGo) {
  const fresh_directory place;
  run([&place]() -> h::task<> {
    const std::string top = place / "top";
    fs::create_directories(top + "/a/b");
    fs::create_directory_symlink(place.path(), top + "/link");
    auto events = co_await h::watch(top, whole_tree());
    put(top + "/a/b/f", "x");
    EQUAL(co_await next(events, top), "created a/b/f");
    EQUAL(co_await next(events, top), "modified a/b/f");
    fs::create_directories(top + "/new/deep");
    put(top + "/new/deep/g", "x");
    for (const char* all : {"created new/", "created new/deep/", "created new/deep/g"})
      EQUAL(co_await next(events, top), all);
    append(top + "/new/deep/g");
    fs::rename(top + "/new", top + "/a/m");
    append(top + "/a/m/deep/g");
    for (const char* all : {"modified new/deep/g", "moved new -> a/m/", "modified a/m/deep/g"})
      EQUAL(co_await next(events, top), all);
    fs::create_directory(top + "/early");
    fs::rename(top + "/early", top + "/later");  // before it is watched
    EQUAL(co_await next(events, top), "created early/");
    EQUAL(co_await next(events, top), "moved early -> later/");
    put(top + "/later/h", "x");
    EQUAL(co_await next(events, top), "created later/h");
    EQUAL(co_await next(events, top), "modified later/h");
    fs::rename(top + "/a/m", place / "gone");
    EQUAL(co_await next(events, top), "removed a/m/");
    append(place / "gone/deep/g");
    fs::remove_all(top + "/a");
    for (const char* all : {"removed a/b/f", "removed a/b/", "removed a/"})
      EQUAL(co_await next(events, top), all);
    co_await events.aclose();
    fs::remove_all(top);
    fs::remove_all(place / "gone");
  });
}

TEST_P(IO_FILE_WATCH, IO_FILE_33_NothingInANewDirectoryIsMissedHoweverItRaces) {
  const fresh_directory place;
  run([&place]() -> h::task<> {
    const std::string top = place / "top";
    fs::create_directory(top);
    auto events = co_await h::watch(top, whole_tree());
    std::thread writer([&top] {
      for (int i = 0; i < 50; ++i) {
        const std::string d = top + "/" + std::to_string(i);
        fs::create_directories(d + "/x");
        put(d + "/x/y", "y");
      }
    });
    std::set<std::string> seen;
    while (seen.size() < 150) {
      const std::string text = co_await next(events, top);
      if (text.starts_with("created ")) HOLDS(seen.insert(text).second);
    }
    writer.join();
    fs::remove_all(top);
  });
}

TEST_P(IO_FILE_WATCH, IO_FILE_33_AFullQueueIsToldAndDirectoriesThatCameMeanwhileAreWatched) {
  std::size_t most = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> most;
  if (most == 0 || most > 200'000) GTEST_SKIP() << "the kernel's queue is too long to fill";
  const fresh_directory place;
  run([&place, most]() -> h::task<> {
    const std::string top = place / "top";
    fs::create_directory(top);
    put(top + "/a", "x");
    put(top + "/b", "x");
    auto events = co_await h::watch(top, whole_tree());
    const int both[2] = {::open((top + "/a").c_str(), O_WRONLY | O_CLOEXEC),
                         ::open((top + "/b").c_str(), O_WRONLY | O_CLOEXEC)};
    for (std::size_t i = 0; i < most + 10; ++i)
      if (::write(both[i % 2], "x", 1) != 1) break;
    for (const int f : both) ::close(f);
    fs::create_directory(top + "/lost");
    std::size_t told = 0;
    for (;; ++told) {
      const std::string text = co_await next(events, top);
      if (text == "overflow .") break;
      if (text != "modified a" && text != "modified b") HOLDS(text == "");
    }
    HOLDS(told > 0 && told <= most);
    put(top + "/lost/f", "x");
    EQUAL(co_await next(events, top), "created lost/f");
    co_await events.aclose();
    fs::remove_all(top);
  });
}

TEST_P(IO_FILE_WATCH, IO_FILE_33_ErrorsNameThePathAndTheKernelsLimit) {
  const fresh_directory place;
  run([&place]() -> h::task<> {
    const auto before = open_descriptors();
    auto error = co_await error_of(h::watch(place / "no"));
    EQUAL(code_of(error), ENOENT);
    HOLDS(says(error, place / "no"));
    THROWS(h::bad_value, h::watch(std::string("a\0b", 3)));
    slow_disk::fail_next_watch(ENOSPC);
    error = co_await error_of(h::watch(place.path()));
    EQUAL(code_of(error), ENOSPC);
    HOLDS(says(error, place.path()) && says(error, "fs.inotify.max_user_watches"));
    {
      auto events = co_await h::watch(place.path(), whole_tree());
      fs::create_directory(place / "d");
      slow_disk::fail_next_watch(ENOSPC);
      std::exception_ptr later;
      try {
        (void)co_await events.next();
      } catch (...) { later = std::current_exception(); }
      EQUAL(code_of(later), ENOSPC);
      HOLDS(says(later, place / "d") && says(later, "fs.inotify.max_user_watches"));
    }
    fs::remove(place / "d");
    co_await until_open(before);
  });
}

TEST_P(IO_FILE_WATCH, IO_FILE_33_ACancelledWaitEndsTheWatch) {
  const fresh_directory place;
  run([&place]() -> h::task<> {
    const auto before = open_descriptors();
    const auto body = [&place]() -> h::task<> {
      auto events = co_await h::watch(place.path());
      (void)co_await events.next();
    };
    auto waits = h::create_task(body());
    co_await until_waiting(waits);
    waits.cancel();
    EQUAL(co_await ending(std::move(waits)), "Cancelled");
    co_await until_open(before);
  });
}

}  // namespace
