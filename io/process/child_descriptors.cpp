// SPDX-License-Identifier: MIT
#include <heddle/io/process/child_descriptors.h>

#include <heddle/core/errors.h>
#include <heddle/io/process/terminal.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <string>
#include <utility>

namespace heddle::detail {
namespace {

struct pipe_ends {
  fd read, write;
};

pipe_ends make_pipe() {
  int both[2];
  check(::pipe2(both, O_CLOEXEC), "pipe2");
  return {fd(both[0]), fd(both[1])};
}

pipe_ends make_socket_pair() {
  int both[2];
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), "socketpair");
  return {fd(both[0]), fd(both[1])};
}

void make_non_blocking(const fd& end) {
  const int flags = check(::fcntl(end.get(), F_GETFL), "fcntl F_GETFL");
  check(::fcntl(end.get(), F_SETFL, flags | O_NONBLOCK), "fcntl F_SETFL");
}

}  // namespace

child_descriptors::child_descriptors(const process_options& o, spawned_child& child) {
  if (o.stdin.what() == stdio::to_stdout || o.stdout.what() == stdio::to_stdout)
    throw bad_value("only stderr can be sent to stdout");
  note_numbers(o);
  open_terminal(o, child);
  place_standard(o, child);
  place_extra(o, child);
  if (o.close_descriptors) find_gaps();
}

void child_descriptors::tell(child_plan& p) const noexcept {
  p.terminal = terminal_.get();
  p.moves = moves_.data();
  p.move_count = moves_.size();
  p.gaps = gaps_.data();
  p.gap_count = gaps_.size();
}

void child_descriptors::note_numbers(const process_options& o) {
  numbers_ = {0, 1, 2};
  const auto note = [this](int number) {
    if (number < 3)
      throw bad_value("a descriptor of a child has the number " + std::to_string(number) +
                      ": from 3 on; 0 to 2 are stdin, stdout and stderr");
    if (is_taken(number))
      throw bad_value("two descriptors of a child have the number " + std::to_string(number));
    numbers_.push_back(number);
  };
  for (const auto& i : o.inherit) {
    if (i.descriptor < 0) throw bad_value("a child inherits a descriptor that is negative");
    note(i.as);
  }
  for (const auto& p : o.pipes) note(p.number);
}

bool child_descriptors::is_taken(int number) const noexcept {
  return std::find(numbers_.begin(), numbers_.end(), number) != numbers_.end();
}

// The same open file under a number that is not taken.
fd child_descriptors::lift(int descriptor) const {
  std::vector<fd> in_vain;
  for (int least = 3;;) {
    fd copy(check(::fcntl(descriptor, F_DUPFD_CLOEXEC, least), "fcntl F_DUPFD_CLOEXEC",
                  "descriptor " + std::to_string(descriptor)));
    if (!is_taken(copy.get())) return copy;
    least = copy.get() + 1;
    in_vain.push_back(std::move(copy));
  }
}

fd child_descriptors::out_of_the_way(fd own) const {
  return is_taken(own.get()) ? lift(own.get()) : std::move(own);
}

// A file that the library has made.
void child_descriptors::place(fd file, int number) {
  fd clear = out_of_the_way(std::move(file));
  moves_.push_back({clear.get(), number});
  files_.push_back(std::move(clear));
}

// A file of the user, which stays open here.
void child_descriptors::place_ours(int descriptor, int number) {
  if (descriptor != number && is_taken(descriptor))
    place(lift(descriptor), number);
  else
    moves_.push_back({descriptor, number});
}

void child_descriptors::open_terminal(const process_options& o, spawned_child& child) {
  if (!o.terminal) return;
  child.terminal = out_of_the_way(detail::open_terminal(*o.terminal));
  terminal_ = out_of_the_way(open_their_side(child.terminal.get()));
}

void child_descriptors::place_standard(const process_options& o, spawned_child& child) {
  const stdio wishes[3] = {o.stdin, o.stdout, o.stderr};
  fd* const ours[3] = {&child.in, &child.out, &child.error};
  for (int i = 0; i < 3; ++i) {
    if (const int user = wishes[i].descriptor(); user >= 0) {
      place_ours(user, i);
      continue;
    }
    switch (wishes[i].what()) {
      case stdio::inherit:
        if (terminal_.valid()) moves_.push_back({terminal_.get(), i});
        break;
      case stdio::pipe: {
        auto p = make_pipe();
        *ours[i] = out_of_the_way(std::move(i == 0 ? p.write : p.read));
        make_non_blocking(*ours[i]);
        place(std::move(i == 0 ? p.read : p.write), i);
        break;
      }
      case stdio::null:
        place(fd(check(::open("/dev/null", (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC), "open",
                       "/dev/null")),
              i);
        break;
      case stdio::to_stdout: moves_.push_back({1, 2}); break;
    }
  }
}

void child_descriptors::place_extra(const process_options& o, spawned_child& child) {
  for (const auto& i : o.inherit) place_ours(i.descriptor, i.as);
  for (const auto& wish : o.pipes) {
    const bool both = wish.way == child_pipe::both_ways;
    auto p = both ? make_socket_pair() : make_pipe();
    const bool we_read = wish.way == child_pipe::from_child;
    fd ours = out_of_the_way(std::move(we_read ? p.read : p.write));
    make_non_blocking(ours);
    child.extra.push_back({wish, std::move(ours)});
    place(std::move(we_read ? p.write : p.read), wish.number);
  }
}

void child_descriptors::find_gaps() {
  auto kept = numbers_;
  std::sort(kept.begin(), kept.end());
  unsigned from = 0;
  for (const int number : kept) {
    const auto n = static_cast<unsigned>(number);
    if (n > from) gaps_.push_back({from, n - 1});
    from = n + 1;
  }
  gaps_.push_back({from, UINT_MAX});
}

}  // namespace heddle::detail
