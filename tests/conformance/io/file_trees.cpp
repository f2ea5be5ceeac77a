// SPDX-License-Identifier: MIT
// Group FILE: directories, names, copies, and what is temporary.
#include "file_cases.h"

#include <heddle/sched/gather.h>

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <thread>

namespace {

using namespace conformance;
namespace fs = std::filesystem;

REACTOR_CASES(IO_FILE_TREES);

TEST_P(IO_FILE_TREES, IO_FILE_20_DirectoriesAreMadeWithParentsByManyAtOnce) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    fs::remove_all(top / "a");
    std::vector<h::task<>> all;
    for (int i = 0; i < 8; ++i) all.push_back(h::make_directories(top / "a/b/c/d/e"));
    auto together = h::gather(std::move(all));
    co_await together;
    HOLDS(fs::is_directory(top / "a/b/c/d/e"));
    co_await h::make_directories(top / "a//b/c/");
    EQUAL(code_of(co_await error_of(h::make_directory(top / "a"))), EEXIST);
    EQUAL(code_of(co_await error_of(h::make_directory(top / "no/a"))), ENOENT);
    put(top / "a/file", "x");
    EQUAL(code_of(co_await error_of(h::make_directories(top / "a/file"))), EEXIST);
    EQUAL(code_of(co_await error_of(h::make_directories(top / "a/file/x/y"))), ENOTDIR);
    EQUAL(code_of(co_await error_of(h::remove_directory(top / "a"))), ENOTEMPTY);
    EQUAL(code_of(co_await error_of(h::remove_file(top / "a/b"))), EISDIR);
    co_await h::remove_file(top / "a/file");
    co_await h::remove_directory(top / "a/b/c/d/e");
    EQUAL(co_await h::remove_tree(top / "a"), 4u);
    EQUAL(co_await h::remove_tree(top / "a"), 0u);
  });
}

TEST_P(IO_FILE_TREES, IO_FILE_20_ATreeIsRemovedAndNoLinkOutOfItIsFollowed) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    fs::create_directories(top / "outside/deep");
    put(top / "outside/deep/kept", "kept");
    fs::create_directories(top / "tree/sub");
    for (int i = 0; i < 50; ++i) put(top / ("tree/sub/" + std::to_string(i)), "x");
    fs::create_directory_symlink(top / "outside", top / "tree/out");
    fs::create_symlink(top / "outside/deep/kept", top / "tree/sub/file");
    fs::create_symlink("nowhere", top / "tree/broken");
    std::string deep = top / "tree/sub";
    for (int i = 0; i < 150; ++i) deep += "/d";
    fs::create_directories(deep);
    HOLDS((co_await h::remove_tree(top / "tree/")) >= 205u);
    HOLDS(!fs::exists(top / "tree"));
    EQUAL(get(top / "outside/deep/kept"), "kept");
    fs::create_directory_symlink(top / "outside", top / "link");
    EQUAL(co_await h::remove_tree(top / "link"), 1u);
    EQUAL(get(top / "outside/deep/kept"), "kept");
  });
}

TEST_P(IO_FILE_TREES, IO_FILE_20_AWriterThatRacesLosesNothingOutside) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    fs::create_directories(top / "outside");
    put(top / "outside/kept", "kept");
    fs::create_directories(top / "tree");
    std::atomic<bool> over{false};
    std::thread racer([&] {
      std::error_code e;
      for (int i = 0; !over && i < 2000; ++i) {
        const auto d = top / ("tree/" + std::to_string(i % 7));
        fs::create_directory(d, e);
        fs::rename(d, d + "x", e);
        fs::create_directory_symlink(top / "outside", d, e);
        fs::remove(d + "x", e);
      }
    });
    for (int i = 0; i < 30; ++i) {
      const int code = code_of(co_await error_of(h::remove_tree(top / "tree")));
      HOLDS(code == 0 || code == ENOTEMPTY);
      std::error_code e;
      fs::create_directory(top / "tree", e);
    }
    over = true;
    racer.join();
    (void)co_await h::remove_tree(top / "tree");
    EQUAL(get(top / "outside/kept"), "kept");
  });
}

TEST_P(IO_FILE_TREES, IO_FILE_21_RenamingReplacesAndLinksAreMadeAndRead) {
  const fresh_directory top;
  fs::create_directory(top / "other");
  const bool mounted = ::mount("tmpfs", (top / "other").c_str(), "tmpfs", 0, "size=64k") == 0;
  run([&]() -> h::task<> {
    put(top / "a", "new");
    put(top / "b", "old");
    co_await h::rename(top / "a", top / "b");
    EQUAL(get(top / "b"), "new");
    fs::create_directories(top / "full/x");
    fs::create_directories(top / "empty");
    EQUAL(code_of(co_await error_of(h::rename(top / "empty", top / "full"))), ENOTEMPTY);
    co_await h::rename(top / "full", top / "empty");
    HOLDS(fs::exists(top / "empty/x"));
    if (mounted) {
      const auto error = co_await error_of(h::rename(top / "b", top / "other/b"));
      EQUAL(code_of(error), EXDEV);
      HOLDS(says(error, "another file system"));
      EQUAL(co_await h::copy_file(top / "b", top / "other/b"), 3u);
    }
    co_await h::make_link(top / "b", top / "hard");
    EQUAL((co_await h::status(top / "hard")).links, 2u);
    const std::string target = "b/" + std::string(1000, 'x');
    co_await h::make_symlink(target, top / "soft");
    EQUAL(co_await h::read_link(top / "soft"), target);
    EQUAL(code_of(co_await error_of(h::read_link(top / "b"))), EINVAL);
    EQUAL(code_of(co_await error_of(h::make_symlink("x", top / "soft"))), EEXIST);
    (void)co_await h::remove_tree(top / "empty");
    for (const char* n : {"soft", "hard", "b"}) co_await h::remove_file(top / n);
  });
  if (mounted) ::umount2((top / "other").c_str(), MNT_DETACH);
}

TEST_P(IO_FILE_TREES, IO_FILE_22_AListingComesInBatchesAndStopsEarly) {
  const fresh_directory top;
  const auto count = sized(3000, 100'000);
  for (std::size_t i = 0; i < count; ++i) ::symlink("x", (top / ("n" + std::to_string(i))).c_str());
  fs::create_directory(top / "dir");
  put(top / "file", "x");
  run([&]() -> h::task<> {
    const auto before = open_descriptors();
    std::set<std::string> names;
    std::size_t links = 0;
    auto entries = h::list_directory(top.path());
    for (;;) {
      auto* e = co_await entries.next();
      if (!e) break;
      names.insert(e->name);
      if (e->kind == h::file_kind::symlink) ++links;
      if (e->name == "dir") HOLDS(e->kind == h::file_kind::directory);
      if (e->name == "file") HOLDS(e->kind == h::file_kind::regular);
    }
    EQUAL(names.size(), count + 2);
    EQUAL(links, count);
    {
      auto early = h::list_directory(top.path());
      HOLDS(co_await early.next());
      co_await early.aclose();
    }
    co_await until_open(before);
    auto missing = h::list_directory(top / "no");
    int code = 0;
    try {
      (void)co_await missing.next();
    } catch (const std::system_error& e) { code = e.code().value(); }
    EQUAL(code, ENOENT);
  });
}

TEST_P(IO_FILE_TREES, IO_FILE_23_ACopyHasTheBytesTheModeAndTheHoles) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    const std::string bytes = pattern(1'000'003);
    put(top / "a", bytes);
    ::chmod((top / "a").c_str(), 0751);
    put(top / "b", std::string(2'000'000, 'o'));
    EQUAL(co_await h::copy_file(top / "a", top / "b"), bytes.size());
    HOLDS(get(top / "b") == bytes);
    EQUAL((co_await h::status(top / "b")).mode, 0751u);
    h::copy_options keep;
    keep.replace = false;
    EQUAL(code_of(co_await error_of(h::copy_file(top / "a", top / "b", keep))), EEXIST);
    EQUAL(co_await ending(h::copy_file(top / "a", top / "a")), "BadValue");
    HOLDS(get(top / "a") == bytes);
    auto f = co_await h::file::open(top / "holes", read_and_write());
    co_await f.write_at(100 << 20, "middle");
    co_await f.truncate(300 << 20);
    EQUAL(co_await h::copy_file(top / "holes", top / "copy"), 300u << 20);
    const auto s = co_await h::status(top / "copy");
    EQUAL(s.size, 300u << 20);
    HOLDS(s.blocks * 512 < 1 << 20);
    auto g = co_await h::file::open(top / "copy");
    EQUAL(co_await g.read_at((100 << 20) - 1, 8), std::string("\0middle\0", 8));
    const auto n = co_await h::copy_file("/proc/self/status", top / "status");
    HOLDS(n > 100);
    EQUAL(get(top / "status").size(), n);
  });
}

TEST_P(IO_FILE_TREES, IO_FILE_24_TemporaryFilesAndDirectoriesGoWithTheirOwner) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    const auto before = open_descriptors();
    {
      auto f = co_await h::temporary_file(top.path());
      co_await f.write("secret");
      EQUAL(co_await f.read_at(0, 6), "secret");
      EQUAL((co_await f.status()).mode, 0600u);
      EQUAL((co_await f.status()).links, 0u);
      HOLDS(fs::is_empty(top.path()));
    }
    // `path` is written before `made`, and read after it or after the task.
    struct attempt {
      std::string path;
      std::atomic<bool> made{false};
    };
    const auto work = [&top](int how, attempt& of) -> h::task<> {
      auto d = co_await h::temporary_directory::make(top.path());
      of.path = d.path();
      const std::string& path = of.path;
      EQUAL((co_await h::status(path)).mode, 0700u);
      co_await h::write_file(path + "/file", "x");
      of.made = true;
      if (how == 1) throw error_e();
      if (how == 2) co_await h::sleep(1h);
      if (how == 3) co_await d.remove();
      if (how == 3) EQUAL(fs::exists(path), false);
    };
    for (int how = 0; how < 4; ++how) {
      attempt of;
      auto t = h::create_task(work(how, of));
      if (how == 2) {
        co_await until([&] { return of.made.load(); });
        t.cancel();
      }
      const std::string end = co_await ending(std::move(t));
      EQUAL(end, how == 1 ? "E" : how == 2 ? "Cancelled" : "value");
      HOLDS(of.made);
      co_await until([&] { return !fs::exists(of.path); });
    }
    co_await until_open(before);
  });
}

TEST_P(IO_FILE_TREES, IO_FILE_24_AWholeFileIsReplacedAtOnce) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    const auto path = top / "a";
    co_await h::write_file(path, "first");
    ::chmod(path.c_str(), 0604);
    h::write_file_options whole;
    whole.atomic = true;
    whole.durable = true;
    co_await h::write_file(path, "second", whole);
    EQUAL(get(path), "second");
    EQUAL((co_await h::status(path)).mode, 0604u);
    h::write_file_options more;
    more.append = true;
    co_await h::write_file(path, ", third", more);
    EQUAL(co_await h::read_file(path), "second, third");
    EQUAL(std::distance(fs::directory_iterator(top.path()), fs::directory_iterator()), 1);
    const auto missing = co_await error_of(h::write_file(top / "no/a", "x", whole));
    EQUAL(code_of(missing), ENOENT);
    whole.append = true;
    THROWS(h::bad_value, h::write_file(path, "x", whole));
  });
}

}  // namespace
