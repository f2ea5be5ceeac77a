// SPDX-License-Identifier: MIT
// Group FILE: one open file.
#include "file_cases.h"

#include <heddle/io/process.h>
#include <heddle/sched/gather.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <map>

namespace {

using namespace conformance;

REACTOR_CASES(IO_FILE);

TEST_P(IO_FILE, IO_FILE_01_OpenReadAndCloseWithErrorsThatNameCallAndPath) {
  const fresh_directory top;
  put(top / "a", "hello");
  run([&top]() -> h::task<> {
    const auto before = open_descriptors();
    {
      auto f = co_await h::file::open(top / "a");
      EQUAL(co_await f.read(), "hello");
      EQUAL(f.path(), top / "a");
      co_await f.close();
      HOLDS(!f.is_open());
      EQUAL(f.native_handle(), -1);
    }
    auto error = co_await error_of(h::file::open(top / "missing"));
    EQUAL(code_of(error), ENOENT);
    HOLDS(says(error, "open") && says(error, top / "missing"));
    error = co_await error_of(h::file::open(top.path()));
    EQUAL(code_of(error), EISDIR);
    HOLDS(says(error, "open") && says(error, top.path()));
    error = co_await error_of(h::file::open(top / "a/b"));
    EQUAL(code_of(error), ENOTDIR);
    if (::geteuid() != 0) {  // root may read all
      ::chmod((top / "a").c_str(), 0);
      error = co_await error_of(h::file::open(top / "a"));
      ::chmod((top / "a").c_str(), 0600);
      EQUAL(code_of(error), EACCES);
      HOLDS(says(error, "open") && says(error, top / "a"));
    }
    THROWS(h::bad_value, h::file::open(std::string("a\0b", 3)));
    EQUAL(co_await h::read_file(top / "a"), "hello");
    error = co_await error_of(h::read_file(top / "a", 4));
    HOLDS(says(error, top / "a") && says(error, "4"));
    EQUAL(co_await h::read_file(top / "a", 5), "hello");
    co_await until_open(before);
  });
}

TEST_P(IO_FILE, IO_FILE_02_OptionsOpenAsAskedAndSenselessOnesAreRefused) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    const auto path = top / "new";
    std::filesystem::remove(path);
    auto o = read_and_write();
    o.create_new = true;
    o.mode = 0640;
    {
      auto f = co_await h::file::open(path, o);
      co_await f.write("one");
      const auto s = co_await f.status();
      EQUAL(s.mode & 0137u, 0u);  // nothing that was not asked for
    }
    EQUAL(code_of(co_await error_of(h::file::open(path, o))), EEXIST);
    h::file_options cut;
    cut.write = true;
    cut.truncate = true;
    auto f = co_await h::file::open(path, cut);
    EQUAL(co_await f.read(), "");
    auto reader = co_await h::file::open(path);
    EQUAL(co_await ending(reader.write("x")), "Usage");
    auto appender = co_await h::file::open(path, appending());
    EQUAL(co_await ending(appender.read()), "Usage");
    THROWS(h::usage_error, appender.write_at(0, "x"));
    std::filesystem::remove(top / "link");
    std::filesystem::create_symlink(path, top / "link");
    h::file_options direct;
    direct.follow_links = false;
    EQUAL(code_of(co_await error_of(h::file::open(top / "link", direct))), ELOOP);
  });
}

TEST_P(IO_FILE, IO_FILE_02_SenselessOptionsAreBadValues) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    const auto refused = [&top](auto change) {
      h::file_options o;
      change(o);
      THROWS(h::bad_value, h::file::open(top / "x", o));
    };
    refused([](auto& o) { o.read = false; });
    refused([](auto& o) { o.create = true; });
    refused([](auto& o) { o.create_new = true; });
    refused([](auto& o) { o.truncate = true; });
    refused([](auto& o) { o.append = o.truncate = true; });
    refused([](auto& o) { o.mode = 0100000; });
    refused([](auto& o) { o.limit = 0; });
    HOLDS(!std::filesystem::exists(top / "x"));
    co_return;
  });
}

TEST_P(IO_FILE, IO_FILE_03_AChildInheritsNoneOfAHundredFiles) {
  const fresh_directory top;
  put(top / "a", "x");
  run([&top]() -> h::task<> {
    std::vector<h::file> open;
    for (int i = 0; i < 100; ++i) {
      auto f = co_await h::file::open(top / "a");
      open.push_back(std::move(f));
    }
    auto unnamed = co_await h::temporary_file(top.path());
    h::process_options piped;
    piped.stdout = h::stdio::pipe;
    auto p = co_await h::create_subprocess_exec(piped, "ls", "-l", "/proc/self/fd");
    const std::string listed = co_await p.stdout.read();
    EQUAL(co_await p.wait(), 0);
    HOLDS(listed.find(top.path()) == std::string::npos);
  });
}

TEST_P(IO_FILE, IO_FILE_06_ReadingUpToTheEndAndBehindItAndAfterTheFileGrew) {
  const fresh_directory top;
  put(top / "a", "0123456789");
  run([&top]() -> h::task<> {
    put(top / "a", "0123456789");
    auto f = co_await h::file::open(top / "a");
    EQUAL(co_await f.read(4), "0123");
    EQUAL(co_await f.read_exactly(2), "45");
    EQUAL(co_await f.read(0), "");
    EQUAL(co_await ending(f.read_exactly(5)), "Incomplete(6789,5)");
    EQUAL(f.tell(), 6u);
    EQUAL(co_await f.read(), "6789");
    EQUAL(co_await f.read(3), "");
    EQUAL(co_await f.read_line(), "");
    EQUAL(co_await f.read_at(100, 5), "");
    EQUAL(co_await f.read_at(8, 100000), "89");
    EQUAL(co_await f.read_at(8, -1), "89");
    std::ofstream(top / "a", std::ios::app) << "more\nand";
    EQUAL(co_await f.read_line(), "more\n");
    EQUAL(co_await f.read_line(), "and");
    std::ofstream(top / "a", std::ios::app) << " more\n";
    EQUAL(co_await f.read_line(), " more\n");
    THROWS(h::bad_value, f.read_at(-1, 2));
    THROWS(h::bad_value, f.read_exactly(-1));
  });
}

TEST_P(IO_FILE, IO_FILE_06_LinesComeOneByOneAndALongOneIsRefused) {
  const fresh_directory top;
  put(top / "lines", "one\n\n" + std::string(100'000, 'x') + "\nlast");
  run([&top]() -> h::task<> {
    auto f = co_await h::file::open(top / "lines");
    std::vector<std::size_t> lengths;
    auto lines = f.lines();
    for (;;) {
      auto* line = co_await lines.next();
      if (!line) break;
      lengths.push_back(line->size());
    }
    HOLDS(lengths == std::vector<std::size_t>{3, 0, 100'000, 4});
    h::file_options narrow;
    narrow.limit = 1000;
    auto g = co_await h::file::open(top / "lines", narrow);
    EQUAL(co_await g.read_line(), "one\n");
    EQUAL(co_await g.read_line(), "\n");
    const auto error = co_await error_of(g.read_line());
    HOLDS(says(error, "limit") && says(error, "1000"));
    EQUAL(g.tell(), 5u);
    EQUAL(co_await g.read(3), "xxx");
  });
}

TEST_P(IO_FILE, IO_FILE_07_ReadingIntoASpanCountsAndIsShortAtTheEndAlone) {
  const fresh_directory top;
  const std::string all = pattern(300'000);
  put(top / "a", all);
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    for (const std::size_t n : {std::size_t{1}, std::size_t{65536}, std::size_t{200'000}}) {
      std::string room(n, '?');
      const auto bytes = std::as_writable_bytes(std::span(room));
      EQUAL(co_await f.read_at(7, bytes), n);
      HOLDS(room == all.substr(7, n));
    }
    std::string room(250'000, '?');
    const auto bytes = std::as_writable_bytes(std::span(room));
    EQUAL(co_await f.read(bytes), 250'000u);
    EQUAL(co_await f.read(bytes), 50'000u);
    HOLDS(room.substr(0, 50'000) == all.substr(250'000));
    EQUAL(co_await f.read(bytes), 0u);
  });
}

TEST_P(IO_FILE, IO_FILE_08_SixtyFourTasksReadAndWriteTheirOwnPlaces) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    auto f = co_await h::file::open(top / "a", read_and_write());
    const auto work = [&f](unsigned i) -> h::task<> {
      for (unsigned round = 0; round < 5; ++round) {
        const std::string mine(1000, static_cast<char>('A' + (i + round) % 26));
        co_await f.write_at(i * 1000, mine);
        const std::string back = co_await f.read_at(i * 1000, 1000);
        HOLDS(back == mine);
      }
    };
    std::vector<h::task<>> all;
    for (unsigned i = 0; i < 64; ++i) all.push_back(work(i));
    auto together = h::gather(std::move(all));
    co_await together;
    EQUAL(f.tell(), 0u);
    const auto s = co_await f.status();
    EQUAL(s.size, 64'000u);
  });
}

TEST_P(IO_FILE, IO_FILE_10_SeekingCountsFromStartHereAndEndAlsoWithBytesReadAhead) {
  const fresh_directory top;
  put(top / "a", "one\ntwo\nthree\n");
  run([&top]() -> h::task<> {
    auto f = co_await h::file::open(top / "a");
    EQUAL(co_await f.read_line(), "one\n");
    EQUAL(f.tell(), 4u);
    EQUAL(co_await f.seek(4, h::seek_from::here), 8u);
    EQUAL(co_await f.read(5), "three");
    EQUAL(co_await f.seek(-6, h::seek_from::end), 8u);
    EQUAL(co_await f.read_line(), "three\n");
    EQUAL(co_await f.seek(2), 2u);
    EQUAL(co_await f.read_line(), "e\n");
    EQUAL(co_await ending(f.seek(-1)), "BadValue");
    EQUAL(co_await ending(f.seek(-5, h::seek_from::here)), "BadValue");
    EQUAL(co_await ending(f.seek(-15, h::seek_from::end)), "BadValue");
    EQUAL(co_await ending(f.seek(INT64_MAX, h::seek_from::here)), "BadValue");
    EQUAL(f.tell(), 4u);
    EQUAL(co_await f.seek(100), 100u);
    EQUAL(co_await f.read(), "");
  });
}

TEST_P(IO_FILE, IO_FILE_10_AWriteMakesWhatWasReadAheadStale) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    put(top / "b", "one\ntwo\nthree\n");
    h::file_options both;
    both.write = true;
    auto f = co_await h::file::open(top / "b", both);
    EQUAL(co_await f.read_line(), "one\n");
    co_await f.write_at(8, "THREE");
    co_await f.write("TWO");
    EQUAL(f.tell(), 7u);
    EQUAL(co_await f.read_line(), "\n");
    EQUAL(co_await f.read_line(), "THREE\n");
    co_await f.truncate(2);
    co_await f.seek(0);
    EQUAL(co_await f.read_line(), "on");
    EQUAL(get(top / "b"), "on");
  });
}

TEST_P(IO_FILE, IO_FILE_14_LinesThatFourTasksAppendStayWhole) {
  const fresh_directory top;
  run([&top]() -> h::task<> {
    std::filesystem::remove(top / "log");
    auto shared = co_await h::file::open(top / "log", appending());
    const auto write_lines = [&](h::file& f, char mark) -> h::task<> {
      for (int i = 0; i < 50; ++i) co_await f.write(std::string(100 + i, mark) + "\n");
    };
    std::vector<h::file> own;
    for (int i = 0; i < 4; ++i) {
      auto f = co_await h::file::open(top / "log", appending());
      own.push_back(std::move(f));
    }
    std::vector<h::task<>> all;
    for (int i = 0; i < 4; ++i) all.push_back(write_lines(own[static_cast<std::size_t>(i)], 'a'));
    for (int i = 0; i < 4; ++i) all.push_back(write_lines(shared, 'b'));
    auto together = h::gather(std::move(all));
    co_await together;
    std::map<std::string, int> seen;
    std::istringstream lines(get(top / "log"));
    for (std::string line; std::getline(lines, line);) ++seen[line];
    EQUAL(seen.size(), 100u);
    for (const auto& [line, n] : seen) EQUAL(n, 4);
  });
}

TEST_P(IO_FILE, IO_FILE_18_PlacesBeyondFourGigabytesAndAWriteLargerThanOneCall) {
  const fresh_directory top;
  const auto huge = sized(std::size_t{3} << 20, (std::size_t{1} << 31) + 4096);
  run([&]() -> h::task<> {
    auto f = co_await h::file::open(top / "far", read_and_write());
    co_await f.truncate(0);  // the reactor before has left its bytes
    constexpr std::uint64_t far = (std::uint64_t{5} << 30) + 17;
    co_await f.write_at(far, "there");
    EQUAL(co_await f.read_at(far, 100), "there");
    const auto s = co_await f.status();
    EQUAL(s.size, far + 5);
    HOLDS(s.blocks * 512 < 1'000'000);
    co_await f.truncate(0);
    std::string bytes(huge, 'x');
    bytes.back() = 'z';
    co_await f.write_at(0, std::move(bytes));
    const std::string back = co_await f.read_at(0, -1);
    EQUAL(back.size(), huge);
    EQUAL(back.back(), 'z');
  });
}

TEST_P(IO_FILE, IO_FILE_19_AStatusTellsSizeModeKindAndTimes) {
  const fresh_directory top;
  put(top / "a", "12345");
  ::chmod((top / "a").c_str(), 0640);
  const timespec times[2] = {{1'000'000'000, 123}, {1'500'000'000, 987'654'321}};
  ::utimensat(AT_FDCWD, (top / "a").c_str(), times, 0);
  std::filesystem::create_symlink("a", top / "link");
  std::filesystem::create_symlink("loop", top / "loop");
  run([&top]() -> h::task<> {
    const auto s = co_await h::status(top / "link");
    EQUAL(s.size, 5u);
    EQUAL(s.mode, 0640u);
    HOLDS(s.is_file());
    EQUAL(s.modified.time_since_epoch().count(), 1'500'000'000'987'654'321);
    const auto l = co_await h::link_status(top / "link");
    HOLDS(l.is_symlink());
    auto f = co_await h::file::open(top / "a");
    const auto same = co_await f.status();
    HOLDS(same.inode == s.inode && same.device == s.device);
    HOLDS(co_await h::exists(top / "a"));
    HOLDS(!co_await h::exists(top / "no"));
    HOLDS(!co_await h::exists(top / "a/b"));
    EQUAL(code_of(co_await error_of(h::exists(top / "loop"))), ELOOP);
    EQUAL(code_of(co_await error_of(h::exists(top / std::string(300, 'n')))), ENAMETOOLONG);
    const auto error = co_await error_of(h::status(top / "no"));
    EQUAL(code_of(error), ENOENT);
    HOLDS(says(error, "stat") && says(error, top / "no"));
  });
}

TEST_P(IO_FILE, IO_FILE_32_FilesOfProcAreReadToTheirEndAndFifosAreRefused) {
  const fresh_directory top;
  ::mkfifo((top / "fifo").c_str(), 0600);
  run([&top]() -> h::task<> {
    const std::string status = co_await h::read_file("/proc/self/status");
    HOLDS(status.find("\nThreads:") != std::string::npos);
    auto maps = co_await h::file::open("/proc/self/maps");
    const std::string all = co_await maps.read();
    HOLDS(all.size() > 4096 && all.back() == '\n');
    auto zero = co_await h::file::open("/dev/zero");
    EQUAL(co_await zero.read(3), std::string(3, '\0'));
    auto error = co_await error_of(h::file::open(top / "fifo"));
    HOLDS(says(error, "FIFO") && says(error, "pipe"));
    h::file_options out;
    out.read = false;
    out.write = true;
    error = co_await error_of(h::file::open(top / "fifo", out));
    HOLDS(says(error, "FIFO") && says(error, "pipe"));
    error = co_await error_of(h::copy_file(top / "fifo", top / "copy"));
    HOLDS(says(error, "FIFO"));
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) co_return;
    ::grantpt(master);
    ::unlockpt(master);
    const std::string terminal = ::ptsname(master);
    error = co_await error_of(h::file::open(terminal));
    HOLDS(says(error, "terminal") && says(error, "pipe"));
    ::close(master);
  });
}

}  // namespace
