// SPDX-License-Identifier: MIT
// Numbers at the ends of their types.
#include <heddle/core/checked.h>
#include <heddle/core/clock.h>
#include <heddle/core/errors.h>

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using h::detail::checked;
using h::detail::fits;
using h::detail::narrow;
using h::detail::parse_number;
using h::detail::saturated;
using seconds = std::chrono::duration<double>;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(Checked, ANumberFitsOnlyIfItsValueIsOneOfTheType) {
  EXPECT_TRUE(fits<std::uint16_t>(65535));
  EXPECT_FALSE(fits<std::uint16_t>(65536));
  EXPECT_FALSE(fits<std::size_t>(-1));
  EXPECT_FALSE(fits<std::int64_t>(std::uint64_t{1} << 63));
  EXPECT_TRUE(fits<std::int64_t>((std::uint64_t{1} << 63) - 1));
  EXPECT_TRUE(fits<std::int8_t>(-128));
  EXPECT_FALSE(fits<std::int8_t>(-129));
  EXPECT_FALSE(fits<unsigned>(std::size_t{1} << 32));
}

TEST(Checked, WhatIsRefusedIsNamedWithItsRange) {
  EXPECT_EQ(checked<unsigned>(7, "the size"), 7u);
  try {
    (void)checked<std::uint16_t>(-1, "the port");
    FAIL();
  } catch (const h::bad_value& e) {
    EXPECT_EQ(std::string(e.what()), "the port is -1: it must be from 0 to 65535");
  }
  EXPECT_THROW((void)checked<unsigned>(0, "the size", 1), h::bad_value);
  EXPECT_THROW((void)checked<unsigned>(11, "the size", 1, 10), h::bad_value);
  EXPECT_THROW((void)checked<int>(~std::uint64_t{0}, "the size"), h::bad_value);
  EXPECT_THROW(h::port_number(65536), h::bad_value);
  EXPECT_THROW(h::port_number(-1), h::bad_value);
  EXPECT_EQ(h::port_number(65535), 65535);
}

TEST(Checked, SaturationStopsAtTheNearestEnd) {
  EXPECT_EQ(saturated<int>(~std::uint64_t{0}), std::numeric_limits<int>::max());
  EXPECT_EQ(saturated<unsigned>(-5), 0u);
  EXPECT_EQ(saturated<std::int8_t>(-1000), -128);
  EXPECT_EQ(saturated<std::int64_t>(-5), -5);
}

TEST(CheckedDeathTest, ALengthThatHadBeenBoundedAndIsNotEndsTheProcess) {
  EXPECT_EQ(narrow<unsigned>(std::size_t{4294967295}), 4294967295u);
  EXPECT_DEATH((void)narrow<unsigned>(std::size_t{4294967296}), "does not fit");
}

TEST(Checked, ADurationIsClampedAndANaNRefused) {
  EXPECT_EQ(h::to_duration(std::chrono::hours::max()), h::duration::max());
  EXPECT_EQ(h::to_duration(std::chrono::hours::min()), h::duration::min());
  EXPECT_EQ(h::to_duration(seconds(infinity)), h::duration::max());
  EXPECT_EQ(h::to_duration(seconds(-infinity)), h::duration::min());
  EXPECT_EQ(h::to_duration(seconds(1e300)), h::duration::max());
  EXPECT_EQ(h::to_duration(seconds(9223372036.0)).count(), 9'223'372'036'000'000'000);
  EXPECT_EQ(h::to_duration(seconds(0.5)), 500ms);
  EXPECT_EQ(h::to_duration(std::chrono::duration<float>(-0.5f)), -500ms);
  EXPECT_THROW((void)h::to_duration(seconds(nan)), h::bad_value);
  EXPECT_THROW((void)h::to_duration(seconds(-nan)), h::bad_value);
  EXPECT_THROW((void)h::to_duration(std::chrono::duration<long double>(std::nanl(""))),
               h::bad_value);
  EXPECT_THROW((void)h::any_duration(seconds(nan)), h::bad_value);
  EXPECT_EQ(h::any_duration(std::chrono::years(1000)).get(), h::duration::max());
}

TEST(Checked, FractionsOfANanosecondRoundUp) {
  using picoseconds = std::chrono::duration<std::int64_t, std::pico>;
  EXPECT_EQ(h::to_duration(picoseconds(1)).count(), 1);
  EXPECT_EQ(h::to_duration(picoseconds(1000)).count(), 1);
  EXPECT_EQ(h::to_duration(picoseconds(-1)).count(), 0);
  EXPECT_EQ(h::to_duration(seconds(1e-12)).count(), 1);
}

TEST(Checked, TheTimeThatIsLeftNeverOverflows) {
  constexpr h::time_point now{1h};
  EXPECT_EQ(h::time_left(now + 5ns, now), 5ns);
  EXPECT_EQ(h::time_left(now, now), 0ns);
  EXPECT_EQ(h::time_left(h::time_point::min(), now), 0ns);
  EXPECT_EQ(h::time_left(h::time_point::max(), now), h::duration::max() - 1h);
  EXPECT_EQ(h::time_left(h::time_point::max(), h::time_point(-1h)), h::duration::max());
}

TEST(Checked, ATextIsANumberOnlyIfAllOfItIs) {
  std::uint16_t port = 1;
  EXPECT_TRUE(parse_number("65535", port));
  EXPECT_EQ(port, 65535);
  for (const char* text :
       {"", " 1", "1 ", "+1", "-1", "65536", "1e3", "0x1", "99999999999999999999"})
    EXPECT_FALSE(parse_number(text, port)) << text;
  EXPECT_EQ(port, 65535) << "left alone by what was refused";
  double grace = 1;
  EXPECT_TRUE(parse_number("0.5", grace, 10.0));
  EXPECT_EQ(grace, 0.5);
  for (const char* text : {"nan", "inf", "-1", "-0", "10.1", "1s", ""})
    EXPECT_FALSE(parse_number(text, grace, 10.0)) << text;
}

}  // namespace
