// SPDX-License-Identifier: MIT
// The parts of the reader that need no program: names, patterns, escapes, memory.
#include <heddle/core/seeing/function_names.h>
#include <heddle/core/seeing/output.h>
#include <heddle/core/seeing/sight.h>
#include <heddle/core/seeing/waits.h>
#include <heddle/core/task.h>

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>

namespace {

namespace seeing = heddle::detail::seeing;

std::string name_of(const char* symbol) {
  char text[300];
  seeing::short_writer to(text);
  seeing::put_function_name(to, symbol);
  return text;
}

TEST(FunctionNames, AreThoseThatPeopleWrote) {
  EXPECT_EQ(name_of("_Z4bodyi.resume"), "body");
  EXPECT_EQ(name_of("_ZN4chat9copy_lineEiRKSs.resume"), "chat::copy_line");
  EXPECT_EQ(name_of("_ZN4chat12_GLOBAL__N_19copy_lineEi.resume"), "chat::copy_line");
  EXPECT_EQ(name_of("_Z4bodyPZ4bodyiE13_Z4bodyi.Frame.actor"), "body");
  EXPECT_EQ(name_of("_ZN6heddle5queueIiLi3EE3getEv"), "heddle::queue::get");
  EXPECT_EQ(name_of("_ZSt4sortIiEvT_"), "std::sort");
  EXPECT_EQ(name_of("_ZZ4mainENK3$_0clEv.resume"), "main::{lambda}::operator()");
  EXPECT_EQ(name_of("_ZZN3foo3barEvENKUliE_clEi"), "foo::bar::{lambda}::operator()");
  EXPECT_EQ(name_of("_ZN1AC2Ev"), "A::{constructor}");
}

TEST(FunctionNames, AreLeftAsTheyAreIfTheyAreNotUnderstood) {
  for (const char* symbol : {"main", "", "_Z", "_ZN", "_ZN9", "_Z99999999999999999999x",
                             "_ZNK1AcvbEv", "_ZZZZZZZZZZZZZZZZZZZZZZZZZZ", "_ZN1AIL", "_ZNS_"})
    EXPECT_EQ(name_of(symbol), symbol);
}

TEST(Patterns, StandForWhatTheySay) {
  EXPECT_TRUE(seeing::fits("N1AE", "N1AE"));
  EXPECT_FALSE(seeing::fits("N1AE", "N1AEE"));
  EXPECT_FALSE(seeing::fits("N1AEE", "N1AE"));
  EXPECT_TRUE(seeing::fits("N1AI*7gettingE", "N1AIiSt6vectorIiEE7gettingE"));
  EXPECT_FALSE(seeing::fits("N1AI*7gettingE", "N1AIiE7puttingE"));
  EXPECT_TRUE(seeing::fits("*", ""));
}

/// What `write` puts out.
template <class F>
std::string put_out(F write) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  {
    seeing::output to(ends[1]);
    write(to);
  }
  ::close(ends[1]);
  std::string all;
  char bytes[512];
  for (ssize_t n; (n = ::read(ends[0], bytes, sizeof bytes)) > 0;)
    all.append(bytes, static_cast<std::size_t>(n));
  ::close(ends[0]);
  return all;
}

TEST(Output, EscapesWhatIsNoLetterAndCutsWhatIsLong) {
  EXPECT_EQ(put_out([](auto& to) { to.escaped("a\n\x1b[1m\\\xff\xc2\x80", 100); }),
            "a\\n\\x1b[1m\\\\\\xff\\xc2\\x80");
  EXPECT_EQ(put_out([](auto& to) { to.escaped("gr\xc3\xbc\xc3\x9f", 100); }), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(put_out([](auto& to) { to.escaped("abcdef", 3); }), "abc...");
}

TEST(Output, WritesStringsOfJson) {
  EXPECT_EQ(put_out([](auto& to) { to.json("a\"b\\c\n\xff\xc3\xbc"); }),
            "\"a\\\"b\\\\c\\u000a\\u00ff\xc3\xbc\"");
}

TEST(Memory, OfThisProcessIsReadAndWhatIsNoneIsRefused) {
  seeing::process_memory own(::getpid());
  const int value = 4711;
  int copy = 0;
  EXPECT_TRUE(own.get(reinterpret_cast<seeing::address>(&value), copy));
  EXPECT_EQ(copy, value);
  EXPECT_FALSE(own.get(0, copy));
  EXPECT_FALSE(own.get(8, copy));
  EXPECT_FALSE(own.get(~seeing::address{0} - 1, copy));
  char text[8];
  EXPECT_TRUE(own.text(reinterpret_cast<seeing::address>("a long text"), text, sizeof text));
  EXPECT_STREQ(text, "a long ");
}

TEST(Memory, ThatIsKeptAnswersFromThePagesUntilItForgets) {
  seeing::process_memory own(::getpid());
  const auto cache = std::make_unique<seeing::cached_memory>();
  cache->over(own);
  volatile int value = 1;
  const auto at = reinterpret_cast<seeing::address>(&value);
  int copy = 0;
  EXPECT_TRUE(cache->get(at, copy));
  value = 2;
  EXPECT_TRUE(cache->get(at, copy));
  EXPECT_EQ(copy, 1);
  cache->forget();
  EXPECT_TRUE(cache->get(at, copy));
  EXPECT_EQ(copy, 2);
}

heddle::task<> nothing() { co_return; }

TEST(Sight, FindsTheLayoutOfThisProgram) {
  heddle::detail::task_record::scan([](heddle::detail::task_record&) {});
  const auto made = nothing();  // so the linker takes what a program with tasks has
  EXPECT_TRUE(made.valid());
  const auto s = std::make_unique<seeing::sight>(0);
  EXPECT_EQ(s->open(), seeing::opening::good);
  EXPECT_EQ(s->what().major(), seeing::layout_head::major_version);
}

}  // namespace
