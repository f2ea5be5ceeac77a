// SPDX-License-Identifier: MIT
// pread, one after the other: what the kernel alone takes.
#include <vector>

#include "files/problem.h"

namespace {

constexpr bench::identity who{"files", "plain"};

long all(const bench::files::scratch_file& scratch, long each) {
  const int file = open(scratch.path().c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) bench::give_up(who, "cannot open " + scratch.path());
  std::vector<bench::files::places> places;
  for (int i = 0; i < bench::files::at_once; ++i) places.emplace_back(i);
  std::vector<char> room(bench::files::piece);
  long right = 0;
  for (long turn = 0; turn < each; ++turn) {
    for (auto& p : places) {
      const auto n = pread(file, room.data(), room.size(), static_cast<off_t>(p.next()));
      right += n == static_cast<ssize_t>(room.size()) && room[0] == 'x';
    }
  }
  close(file);
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  const auto with =
      bench::read_settings(argc, argv, who, bench::files::default_size, bench::files::size_means);
  const bench::files::scratch_file scratch(who);
  const long each = bench::files::each_of(with.size);
  return bench::run_all(who, with, each * bench::files::at_once,
                        [&scratch, each] { return all(scratch, each); });
}
