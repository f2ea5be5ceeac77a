// SPDX-License-Identifier: MIT
// Chooses the reactor: by the option, then by HEDDLE_REACTOR, then by what the kernel allows.
#include <heddle/core/errors.h>
#include <heddle/io/reactor/epoll.h>
#include <heddle/io/reactor/uring.h>
#include <heddle/sched/loop/second_choice.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

namespace heddle::detail {
namespace {

reactor_kind from_environment() {
  const char* text = std::getenv("HEDDLE_REACTOR");
  const std::string_view name = text ? text : "";
  if (name.empty() || name == "auto" || name == "automatic") return reactor_kind::automatic;
  if (name == "epoll") return reactor_kind::epoll;
  if (name == "uring" || name == "io_uring") return reactor_kind::uring;
  throw bad_value("HEDDLE_REACTOR is \"" + std::string(name) + "\": use auto, epoll or uring");
}

const char* advice(int error) noexcept {
  switch (error) {
    case ENOSYS: return "this kernel has no io_uring (6.0 or newer is needed)";
    case EPERM:
    case EACCES:
      return "it is forbidden here, as in many containers, or by the sysctl "
             "kernel.io_uring_disabled";
    case ENOMEM: return "the limit of locked memory (ulimit -l) is too low";
    case EINVAL: return "this kernel is too old (6.0 or newer is needed)";
    default: return "the kernel refused it";
  }
}

}  // namespace

owned<driver> make_driver(reactor_kind kind, unsigned) {
  if (kind == reactor_kind::uring) return owned<driver>(new uring_reactor);
  return owned<driver>(new epoll_reactor);
}

reactor_kind choose_reactor(reactor_kind wish, std::string& note) {
  if (wish == reactor_kind::automatic) wish = from_environment();
  if (wish == reactor_kind::epoll) return wish;
  try {
    probe_uring();
    return reactor_kind::uring;
  } catch (const std::system_error& e) { return second_choice(wish, e, note); }
}

reactor_kind second_choice(reactor_kind wish, const std::system_error& why, std::string& note) {
  if (wish == reactor_kind::automatic) wish = from_environment();
  const std::string text = std::string("io_uring cannot be used: ") + advice(why.code().value()) +
                           " (" + why.what() + ")";
  if (wish == reactor_kind::uring)
    throw std::system_error(why.code(),
                            text + "; choose epoll or auto (option reactor, or HEDDLE_REACTOR)");
  note = text + "; epoll is used instead";
  return reactor_kind::epoll;
}

}  // namespace heddle::detail
