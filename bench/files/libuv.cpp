// SPDX-License-Identifier: MIT
#include <uv.h>

#include <memory>
#include <vector>

#include "files/problem.h"

namespace {

constexpr bench::identity who{"files", "libuv"};

struct reader {
  explicit reader(int number) : places(number) {}
  uv_fs_t request{};
  bench::files::places places;
  std::vector<char> room = std::vector<char>(bench::files::piece);
  uv_file file = -1;
  uv_loop_t* loop = nullptr;
  long left = 0;
  long right = 0;
};

void read_next(reader& r);

void was_read(uv_fs_t* request) {
  auto& r = *static_cast<reader*>(request->data);
  r.right += request->result == static_cast<ssize_t>(r.room.size()) && r.room[0] == 'x';
  uv_fs_req_cleanup(request);
  if (--r.left > 0) read_next(r);
}

void read_next(reader& r) {
  const uv_buf_t room = uv_buf_init(r.room.data(), static_cast<unsigned>(r.room.size()));
  r.request.data = &r;
  const auto at = static_cast<std::int64_t>(r.places.next());
  if (uv_fs_read(r.loop, &r.request, r.file, &room, 1, at, &was_read) < 0)
    bench::give_up(who, "uv_fs_read");
}

long all(const bench::files::scratch_file& scratch, long each) {
  uv_loop_t loop;
  if (uv_loop_init(&loop) < 0) bench::give_up(who, "uv_loop_init");
  const int file = open(scratch.path().c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) bench::give_up(who, "cannot open " + scratch.path());
  std::vector<std::unique_ptr<reader>> readers;
  for (int i = 0; i < bench::files::at_once; ++i) {
    auto& r = *readers.emplace_back(std::make_unique<reader>(i));
    r.file = file;
    r.loop = &loop;
    r.left = each;
    read_next(r);
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
  close(file);
  long right = 0;
  for (const auto& r : readers) right += r->right;
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
