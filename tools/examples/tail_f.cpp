// SPDX-License-Identifier: MIT
// tail -f: prints the lines of a file, then those that are appended, until the file is removed.
//
//   tail_f          shows it with a file of its own
//   tail_f FILE     follows FILE until it is removed
#include <heddle/heddle.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

namespace h = heddle;

// Prints the whole lines that are new, and counts them. A line without its "\n" is read again when
// more of it has come.
h::task<> print_new(h::file& f, h::semaphore& shown) {
  for (;;) {
    const auto from = f.tell();
    const std::string line = co_await f.read_line();
    if (!line.ends_with('\n')) {
      co_await f.seek(static_cast<std::int64_t>(from));
      co_return;
    }
    std::printf("%s", line.c_str());
    std::fflush(stdout);
    shown.release();
  }
}

// The watch stands before the file is read. So no line is missed between the two.
h::task<> follow(std::string path, h::semaphore& shown) {
  auto changes = co_await h::watch(path);
  auto f = co_await h::file::open(path);
  co_await print_new(f, shown);
  while (auto* change = co_await changes.next()) {
    if (change->change == h::file_change::modified) {
      const auto now = co_await f.status();
      if (now.size < f.tell()) co_await f.seek(0);  // it was cut off
      co_await print_new(f, shown);
    } else if (change->change == h::file_change::created) {  // another file took its place
      co_await print_new(f, shown);                          // the end of the old one
      f = co_await h::file::open(path);
      co_await print_new(f, shown);
    } else if (change->change == h::file_change::removed ||
               change->change == h::file_change::moved) {
      co_await print_new(f, shown);
      std::printf("(the file has gone)\n");
      co_return;
    }
  }
}

h::task<> follow(std::string path) {
  h::semaphore shown(0);
  co_await follow(std::move(path), shown);
}

// Appends, and waits until so many lines more are shown.
h::task<> append(std::string path, std::string text, int lines, h::semaphore& shown) {
  h::write_file_options more;
  more.append = true;
  co_await h::write_file(std::move(path), std::move(text), more);
  for (; lines > 0; --lines) co_await shown.acquire();
}

h::task<> show() {
  auto place = co_await h::temporary_directory::make();
  const std::string log = place.path() + "/log";
  co_await h::write_file(log, "first\n");
  h::semaphore shown(0);
  auto following = h::create_task(follow(log, shown));
  co_await shown.acquire();
  co_await append(log, "second, ", 0, shown);
  co_await append(log, "in two pieces\n", 1, shown);
  co_await append(log, "third\nfourth\n", 2, shown);

  // A new log takes the place of the old one.
  const std::string fresh = place.path() + "/fresh";
  co_await h::write_file(fresh, "of a new file\n");
  co_await h::rename(fresh, log);
  co_await shown.acquire();
  co_await append(log, "and its second line\n", 1, shown);
  co_await h::remove_file(log);
  co_await following;
}

int main(int argc, char** argv) { h::run(argc > 1 ? follow(argv[1]) : show()); }

// > first
// > second, in two pieces
// > third
// > fourth
// > of a new file
// > and its second line
// > (the file has gone)
