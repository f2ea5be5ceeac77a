// SPDX-License-Identifier: MIT
// The keys of TLS tickets: how long one seals, and how long it opens.
#include <heddle/core/errors.h>
#include <heddle/io/tls/ticket_keys.h>

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <string>

namespace {

namespace h = heddle;
using namespace std::chrono_literals;
using h::detail::ticket_keys;

bool same(const ticket_keys::key& a, const ticket_keys::key& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

const h::clock::time_point start{1000h};

TEST(TicketKeys, AKeySealsForOneLifeAndOpensForTwo) {
  ticket_keys keys("", 10s, start);
  const auto first = *keys.sealing(start);
  EXPECT_TRUE(same(*keys.sealing(start + 9s), first));
  EXPECT_FALSE(keys.opening(first.name, start + 9s)->is_old);
  const auto second = *keys.sealing(start + 12s);
  EXPECT_FALSE(same(first, second));
  const auto old = keys.opening(first.name, start + 19s);
  ASSERT_TRUE(old);
  EXPECT_TRUE(old->is_old);
  EXPECT_TRUE(same(old->which, first));
  EXPECT_FALSE(keys.opening(first.name, start + 20s));
  EXPECT_TRUE(keys.opening(second.name, start + 20s)->is_old);
  EXPECT_FALSE(keys.opening(second.name, start + 30s));
}

TEST(TicketKeys, AfterALongSilenceNoOldTicketOpens) {
  ticket_keys keys("", 10s, start);
  const auto first = *keys.sealing(start);
  EXPECT_FALSE(keys.opening(first.name, start + 20s));
  const auto second = *keys.sealing(start + 29s);
  EXPECT_FALSE(same(first, second));
  EXPECT_FALSE(keys.opening(second.name, start + 29s)->is_old);
  EXPECT_TRUE(same(*keys.sealing(start + 29s), second));
}

TEST(TicketKeys, GivenOnesStay) {
  const std::string given(ticket_keys::size, 'k');
  ticket_keys keys(given, 10s, start);
  const auto first = *keys.sealing(start + 10h);
  EXPECT_EQ(std::memcmp(&first, given.data(), given.size()), 0);
  EXPECT_FALSE(keys.opening(first.name, start + 20h)->is_old);
  const std::string other(ticket_keys::name_size, 'x');
  EXPECT_FALSE(keys.opening(reinterpret_cast<const unsigned char*>(other.data()), start));
  EXPECT_THROW(ticket_keys("short", 10s, start), h::bad_value);
  EXPECT_THROW(ticket_keys("", 0s, start), h::bad_value);
  EXPECT_THROW(ticket_keys(given, -1s, start), h::bad_value);
}

}  // namespace
