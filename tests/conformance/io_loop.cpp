// SPDX-License-Identifier: MIT
// The cases of LOOP that are about descriptors.
#include "io_cases.h"

#include <sys/resource.h>

namespace {

using namespace conformance;

class LOOP_IO : public cases {
 public:
  using cases::report_count;
};
// One group has one suite; a second one for the same group has its own name and the same ids.
HEDDLE_AT_LOOPS(LOOP_IO);

TEST_P(LOOP_IO, LOOP_15_ReadersAndWritersAreCalledWhileTheirDescriptorIsReady) {
  run([]() -> h::task<> {
    socket_pair s;
    auto& loop = h::current_loop();
    std::atomic<int> calls{0}, writable{0};
    std::atomic<bool> ended{false};
    std::atomic<int> gone[2]{};
    std::mutex lock;
    std::string got;
    // One byte at a time: it is called again as long as there is more.
    loop.add_reader(s[0], [&, own = counts_when_gone(gone[0]), fd = s[0]] {
      char c;
      const auto n = ::read(fd, &c, 1);
      ++calls;
      if (n == 1) {
        std::lock_guard hold(lock);
        got += c;
      } else if (n == 0) {
        ended = true;
      }
    });
    loop.add_writer(s[1], [&, own = counts_when_gone(gone[1])] { ++writable; });
    co_await until([&] { return writable.load() >= 2; });
    HOLDS(loop.remove_writer(s[1]));
    HOLDS(!loop.remove_writer(s[1]));
    co_await until([&] { return gone[1] == 1; });  // a call may have been under way
    EQUAL(::write(s[1], "abc", 3), 3);
    co_await until([&] { return calls.load() >= 3; });
    EQUAL(::write(s[1], "def", 3), 3);
    co_await until([&] { return calls.load() >= 6; });
    s.close_one(1);
    co_await until([&] { return ended.load(); });
    // From another loop than the one that added it, perhaps.
    HOLDS(h::current_loop().remove_reader(s[0]));
    HOLDS(!h::current_loop().remove_reader(s[0]));
    co_await until([&] { return gone[0] == 1; });
    const int then = calls.load();
    co_await settle();
    EQUAL(calls.load(), then);
    std::lock_guard hold(lock);
    EQUAL(got, "abcdef");
  });
}

TEST_P(LOOP_IO, LOOP_15_AHandlerRunsAsACallbackOfItsLoop) {
  run(
      [](LOOP_IO& self) -> h::task<> {
        socket_pair s;
        const unsigned last = h::current_runtime().loop_count() - 1;
        auto& loop = h::current_runtime().loop(last);
        std::atomic<int> wrong{0}, calls{0};
        std::atomic<int> gone{0};
        loop.add_reader(s[0], [&, last, own = counts_when_gone(gone), fd = s[0]] {
          char c;
          (void)!::read(fd, &c, 1);
          if (h::current_loop().index() != last) ++wrong;
          ++calls;
          throw error_e();
        });
        EQUAL(::write(s[1], "xy", 2), 2);
        co_await until([&] { return calls.load() == 2 && self.report_count() == 2; });
        EQUAL(wrong.load(), 0);
        HOLDS(loop.remove_reader(s[0]));
        co_await until([&] { return gone == 1; });
        // A descriptor may be closed and its number used again after its reader was removed.
        for (int i = 0; i < 20; ++i) {
          socket_pair t;
          std::atomic<bool> told{false};
          std::atomic<int> gone_too{0};
          loop.add_reader(t[0], [&, own = counts_when_gone(gone_too), fd = t[0]] {
            char c;
            (void)!::read(fd, &c, 1);
            told = true;
          });
          EQUAL(::write(t[1], "z", 1), 1);
          co_await until([&] { return told.load(); });
          HOLDS(loop.remove_reader(t[0]));
          co_await until([&] { return gone_too == 1; });
        }
      },
      std::ref(*this));
}

TEST_P(LOOP_IO, LOOP_15_AReaderThatIsLeftEndsWithTheRuntime) {
  auto kept = std::make_shared<int>(1);
  socket_pair s;
  const auto before = open_descriptors();
  run(
      [](std::shared_ptr<int> own, socket_pair& s) -> h::task<> {
        h::current_loop().add_reader(s[0], [own] {});
        h::current_loop().add_writer(s[0], [own] {});
        co_await settle();
      },
      kept, std::ref(s));
  EQUAL(kept.use_count(), 1);
  EQUAL(open_descriptors(), before);
}

TEST_P(LOOP_IO, LOOP_17_ASecondReaderTakesThePlaceOfTheFirst) {
  run([]() -> h::task<> {
    socket_pair s;
    auto& loop = h::current_loop();
    std::atomic<int> first{0}, second{0}, writer{0};
    std::atomic<std::size_t> bytes{0};
    std::atomic<int> gone[3]{};
    loop.add_writer(s[0], [&, own = counts_when_gone(gone[0])] { ++writer; });
    loop.add_reader(s[0], [&, own = counts_when_gone(gone[1])] { ++first; });
    EQUAL(gone[1].load(), 0);
    loop.add_reader(s[0], [&, own = counts_when_gone(gone[2]), fd = s[0]] {
      char text[16];
      const auto n = ::read(fd, text, sizeof text);
      if (n > 0) bytes += static_cast<std::size_t>(n);
      ++second;
    });
    co_await until([&] { return gone[1] == 1; });
    EQUAL(::write(s[1], "hello", 5), 5);
    co_await until([&] { return bytes.load() == 5; });
    EQUAL(first.load(), 0);
    const int then = writer.load();
    co_await until([&] { return writer.load() > then; });
    HOLDS(loop.remove_reader(s[0]));
    HOLDS(loop.remove_writer(s[0]));
    HOLDS(!loop.remove_reader(s[0]));
    co_await until([&] { return gone[0] == 1 && gone[2] == 1; });
  });
}

}  // namespace
