// SPDX-License-Identifier: MIT
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "memory/problem.h"

namespace {

namespace asio = boost::asio;

asio::awaitable<void> sleeper(long& asleep) {
  asio::steady_timer timer(co_await asio::this_coro::executor, bench::memory::nap);
  ++asleep;
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"memory", "asio"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::memory::default_size, bench::memory::size_means);
  if (with.shape != "sleep") bench::give_up(who, "Asio has nothing but timers to wait for");
  bench::report out(who, with);
  long asleep = 0;  // outlives the context, whose destructor ends the sleepers
  asio::io_context context(1);
  const long before_kb = bench::current_rss_kb();
  out.begin();
  for (long i = 0; i < with.size; ++i) asio::co_spawn(context, sleeper(asleep), asio::detached);
  context.poll();
  out.end();
  bench::memory::note_bytes(out, before_kb, with.size);
  out.print(asleep, with.size);
  return out.status();
}
