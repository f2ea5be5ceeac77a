// SPDX-License-Identifier: MIT
// The ends of a connection: what is left of it when its peer leaves, resets, or does not read.
#include "io_runtime.h"

#include <support/streams.h>

#include <cstddef>
#include <string>

namespace {

using namespace io_test;
using support::fill_up;

class StreamEnds : public on_each_reactor {};
INSTANTIATE_TEST_SUITE_P(, StreamEnds, testing::ValuesIn(all_setups()), name_of);

TEST_P(StreamEnds, AResetWhileClosingWithPendingOutputLeaksNoDescriptor) {
  run([]() -> h::task<> {
    auto first = co_await connect_ends();  // what a loop opens once is open from here on
    const auto before = open_descriptors();
    for (int round = 0; round < 4; ++round) {
      auto e = co_await connect_ends();
      co_await fill_up(e.server.writer);
      e.client.writer.write_eof();
      while (co_await e.server.reader.fill()) {}
      e.server.writer.close();
      EXPECT_NE(e.server.writer.native_handle(), -1);
      e.client.writer.abort();
      co_await until([&] { return e.server.writer.native_handle() == -1; });
      const int code = code_of(co_await error_of(closed(e.server.writer)));
      EXPECT_TRUE(code == ECONNRESET || code == EPIPE) << code;  // found by an event, or by a send
    }
    co_await until([&] { return open_descriptors() <= before; });
  });
}

}  // namespace
