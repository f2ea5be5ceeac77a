// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "common/heddle.h"
#include "files/problem.h"

namespace {

heddle::task<long> read_some(heddle::file& from, int reader, long times) {
  bench::files::places places(reader);
  std::vector<std::byte> room(bench::files::piece);
  long right = 0;
  for (long i = 0; i < times; ++i) {
    const auto n = co_await from.read_at(places.next(), std::span(room));
    right += n == room.size() && room[0] == std::byte{'x'};
  }
  co_return right;
}

heddle::task<long> all(const bench::files::scratch_file& scratch, long each) {
  heddle::file from = co_await heddle::file::open(scratch.path());
  std::vector<heddle::task_handle<long>> readers;
  for (int i = 0; i < bench::files::at_once; ++i)
    readers.push_back(heddle::create_task(read_some(from, i, each)));
  long right = 0;
  for (auto& r : readers) right += co_await r;
  co_return right;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr bench::identity who{"files", "heddle"};
  const auto with =
      bench::read_settings(argc, argv, who, bench::files::default_size, bench::files::size_means);
  const bench::files::scratch_file scratch(who);
  const long each = bench::files::each_of(with.size);
  return bench::run_all_on_heddle(who, with, each * bench::files::at_once,
                                  [&scratch, each] { return all(scratch, each); });
}
