// SPDX-License-Identifier: MIT
//
// The doors of io for programs that are built without it: a loop sleeps in poll() and is woken
// through an eventfd, as in io's reactors.
#include <heddle/sched/loop/second_choice.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace heddle::detail {
namespace {

class sleeper final : public driver {
 public:
  sleeper() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~sleeper() override { ::close(fd_); }
  unsigned poll(duration limit) override {
    const bool for_ever = limit >= std::chrono::hours(1);
    const auto ms = for_ever ? -1 : static_cast<int>(limit.count() / 1'000'000);
    pollfd p{fd_, POLLIN, 0};
    if (::poll(&p, 1, ms) > 0) {
      std::uint64_t count = 0;
      (void)!::read(fd_, &count, sizeof count);
    }
    return 0;
  }
  void wake() noexcept override {
    const std::uint64_t one = 1;
    (void)!::write(fd_, &one, sizeof one);
  }
  unsigned rescue() noexcept override { return 0; }
  const char* name() const noexcept override { return "eventfd"; }

 private:
  int fd_;
};

}  // namespace

owned<driver> make_driver(reactor_kind, unsigned) { return owned<driver>(new sleeper); }
reactor_kind choose_reactor(reactor_kind, std::string&) { return reactor_kind::epoll; }
reactor_kind second_choice(reactor_kind, const std::system_error&, std::string&) {
  return reactor_kind::epoll;
}

}  // namespace heddle::detail
