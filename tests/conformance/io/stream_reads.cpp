// SPDX-License-Identifier: MIT
#include "../io_cases.h"

#include <heddle/io/byte_order.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace {

using namespace conformance;

STREAM_CASES(IO_STREAM_READS);

h::task<> read_all_into(h::stream_reader& r, std::ptrdiff_t most, std::string& to) {
  to = co_await r.read_all(most);
}

TEST_P(IO_STREAM_READS, IO_STREAM_06_AReadIntoASpanYieldsWhatIsThereAndZeroAtTheEnd) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto& in = e.server.reader;
    co_await feed(e.client, in, words("hello"));
    std::array<char, 4> place{};
    const std::size_t none = co_await in.read_into(std::span<char>());
    EQUAL(none, 0u);
    const std::size_t first = co_await in.read_into(std::span<char>(place));
    EQUAL(std::string_view(place.data(), first), "hell");
    std::array<std::byte, 4> bytes{};
    const std::size_t second = co_await in.read_into(std::span<std::byte>(bytes));
    EQUAL(second, 1u);
    HOLDS(bytes[0] == std::byte{'o'});
    const std::size_t end = co_await in.read_into(std::span<char>(place));
    EQUAL(end, 0u);
  });
}

TEST_P(IO_STREAM_READS, IO_STREAM_06_PeekedAndPushedBackBytesAreReadAgain) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto& in = e.server.reader;
    co_await feed(e.client, in, words("ab", "cd"));
    const std::string_view seen = co_await in.peek(3);
    EQUAL(seen, "abc");
    const std::string two = co_await in.read_exactly(2);
    EQUAL(two, "ab");
    in.push_back("ab");
    in.push_back("in front of ");
    const std::string whole = co_await in.read_all(16);
    EQUAL(whole, "in front of abcd");
    HOLDS(in.at_eof());
    const std::string big(50'000, 'x');
    in.push_back("tail");
    in.push_back(big);
    HOLDS(!in.at_eof());
    const std::string_view more = co_await in.peek(1'000'000);
    EQUAL(more.size(), big.size() + 4);
    const std::string rest = co_await in.read();
    HOLDS(rest == big + "tail");
    THROWS(h::bad_value, in.peek(-1));
  });
}

TEST_P(IO_STREAM_READS, IO_STREAM_09_AStreamBeyondTheMostIsRefusedByNameAndNothingIsLost) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto& in = e.server.reader;
    co_await feed(e.client, in, words("seven77"));
    const auto error = co_await error_of(in.read_all(6));
    HOLDS(h::describe(error).find("6 bytes") != std::string::npos);
    THROWS(h::bad_value, in.read_all(-1));
    const std::string all = co_await in.read_all(7);
    EQUAL(all, "seven77");
    const std::string none = co_await in.read_all(0);
    EQUAL(none, "");
  });
}

TEST_P(IO_STREAM_READS, IO_STREAM_09_ACancelledReadToTheEndHasTakenNothing) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto& in = e.server.reader;
    co_await feed(e.client, in, words("one "), false);
    std::string got;
    auto reads = h::create_task(read_all_into, std::ref(in), 100, std::ref(got));
    co_await until_waiting(reads);
    reads.cancel();
    const std::string how = co_await ending(reads);
    EQUAL(how, "Cancelled");
    e.client.writer.write("two");
    e.client.writer.write_eof();
    const std::string all = co_await in.read_all(100);
    EQUAL(all, "one two");
  });
}

TEST_P(IO_STREAM_READS, IO_STREAM_21_NumbersOfEachWidthInBothOrdersComeAsTheyWereWritten) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto& out = e.client.writer;
    auto& in = e.server.reader;
    const std::uint64_t all = 0x8182838485868788;
    for (std::size_t n = 1; n <= 8; ++n) {
      const std::uint64_t value = all >> (64 - 8 * n);
      out.write_uint(value, n);
      out.write_uint(value, n, h::byte_order::little);
      const std::string_view seen = co_await in.peek(1);
      HOLDS(seen == "\x81");
      const std::uint64_t big = co_await in.read_uint(n);
      EQUAL(big, value);
      const std::uint64_t little = co_await in.read_uint(n, h::byte_order::little);
      EQUAL(little, value);
    }
    out.write_uint(std::uint32_t{0x01020304}, h::byte_order::little);
    const std::string_view four = co_await in.peek(4);
    HOLDS(four == "\4\3\2\1");
    const std::uint16_t low = co_await in.read_uint<std::uint16_t>(h::byte_order::little);
    EQUAL(low, 0x0304);
    const std::uint8_t byte = co_await in.read_uint<std::uint8_t>();
    EQUAL(byte, 2);
  });
}

TEST_P(IO_STREAM_READS, IO_STREAM_21_AnEndInsideANumberIsAnErrorWithWhatCame) {
  run([]() -> h::task<> {
    auto e = co_await connect_ends();
    auto& out = e.client.writer;
    THROWS(h::bad_value, out.write_uint(256, 1));
    THROWS(h::bad_value, out.write_uint(0, 0));
    THROWS(h::bad_value, out.write_uint(0, 9));
    THROWS(h::bad_value, e.server.reader.read_uint(9));
    co_await feed(e.client, e.server.reader, words("abc"));
    std::string left;
    std::size_t expected = 0;
    try {
      (void)co_await e.server.reader.read_uint<std::uint32_t>();
    } catch (const h::incomplete_read_error& error) {
      left = error.partial();
      expected = error.expected();
    }
    EQUAL(left, "abc");
    EQUAL(expected, 4u);
  });
}

}  // namespace
