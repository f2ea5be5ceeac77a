// SPDX-License-Identifier: MIT
// Copies a directory tree, eight files at a time, and shows how far it is.
//
//   copy_tree             shows it with a tree of its own
//   copy_tree FROM TO     copies FROM to TO, which must not be there yet
#include <heddle/heddle.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace h = heddle;

/// What a tree holds, by names below its top.
struct contents {
  std::vector<std::string> directories;  // parents before what they hold
  std::vector<std::string> files;
  std::vector<std::string> links;
  std::uint64_t bytes = 0;
};

h::task<contents> look(const std::string& top) {
  contents all;
  std::vector<std::string> left{""};
  while (!left.empty()) {
    const std::string here = std::move(left.back());
    left.pop_back();
    auto entries = h::list_directory(top + here);
    while (auto* e = co_await entries.next()) {
      const std::string name = here + "/" + e->name;
      if (e->kind == h::file_kind::directory) {
        all.directories.push_back(name);
        left.push_back(name);
      } else if (e->kind == h::file_kind::symlink) {
        all.links.push_back(name);
      } else if (e->kind == h::file_kind::regular) {
        const auto s = co_await h::status(top + name);
        all.bytes += s.size;
        all.files.push_back(name);
      }
    }
  }
  co_return all;
}

/// A bar that is drawn when it has grown by a tenth.
class progress {
 public:
  explicit progress(std::uint64_t total) : total_(std::max<std::uint64_t>(total, 1)) {}
  void add(std::uint64_t bytes) {
    done_ += bytes;
    const auto tenths = done_ * 10 / total_;
    while (shown_ < tenths) {
      ++shown_;
      std::printf("[%-10s] %3d%%\n", std::string(shown_, '#').c_str(),
                  static_cast<int>(shown_) * 10);
      std::fflush(stdout);
    }
  }

 private:
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::uint64_t shown_ = 0;
};

h::task<> copy_tree(std::string from, std::string to) {
  const contents all = co_await look(from);
  co_await h::make_directory(to);
  for (const auto& d : all.directories) co_await h::make_directory(to + d);
  for (const auto& l : all.links) {
    std::string target = co_await h::read_link(from + l);
    co_await h::make_symlink(std::move(target), to + l);
  }

  progress bar(all.bytes);
  h::mutex drawing;        // tasks run on all cores
  h::semaphore places(8);  // so many files at a time
  const auto copy_one = [&](std::string name) -> h::task<> {
    auto place = co_await places.scoped_acquire();
    const auto bytes = co_await h::copy_file(from + name, to + name);
    auto pen = co_await drawing.scoped_lock();
    bar.add(bytes);
  };
  const auto copy_all = [&](h::task_group& group) -> h::task<> {
    for (const auto& f : all.files) (void)group.create_task(copy_one(f));
    co_return;
  };
  co_await h::with_task_group(copy_all);
  std::printf("%zu directories, %zu files, %zu links, %llu bytes\n", all.directories.size(),
              all.files.size(), all.links.size(), static_cast<unsigned long long>(all.bytes));
}

h::task<> show() {
  auto place = co_await h::temporary_directory::make();
  const std::string from = place.path() + "/from";
  const std::string to = place.path() + "/to";
  co_await h::make_directories(from + "/a/b");
  for (int i = 0; i < 20; ++i)
    co_await h::write_file(from + "/a/" + std::to_string(i), std::string(50'000, 'x'));
  co_await h::write_file(from + "/a/b/text", "heddle");
  co_await h::make_symlink("b/text", from + "/a/link");

  co_await copy_tree(from, to);
  const std::string text = co_await h::read_file(to + "/a/link");
  std::printf("through the copied link: %s\n", text.c_str());
}

int main(int argc, char** argv) {
  if (argc != 1 && argc != 3) {
    std::fprintf(stderr, "usage: %s [FROM TO]\n", argv[0]);
    return 2;
  }
  h::run(argc == 3 ? copy_tree(argv[1], argv[2]) : show());
}

// > [#         ]  10%
// > [##        ]  20%
// > [###       ]  30%
// > [####      ]  40%
// > [#####     ]  50%
// > [######    ]  60%
// > [#######   ]  70%
// > [########  ]  80%
// > [######### ]  90%
// > [##########] 100%
// > 2 directories, 21 files, 1 links, 1000006 bytes
// > through the copied link: heddle
