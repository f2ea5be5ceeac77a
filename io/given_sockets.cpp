// SPDX-License-Identifier: MIT
#include <heddle/io/given_sockets.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/descriptors/fd.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace heddle {
namespace {

constexpr int most_descriptors = 1 << 20;  // more than a process can have

int number_in(const char* text, const char* variable, int most) {
  int n = 0;
  if (!detail::parse_number(std::string_view(text), n, most))
    throw bad_value(std::string(variable) + " is \"" + text + "\": it must be a number");
  return n;
}

/// The text up to the next colon, which is dropped, too.
std::string next_name(std::string_view& rest) {
  const auto end = std::min(rest.find(':'), rest.size());
  std::string name(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return name;
}

}  // namespace

namespace detail {

std::vector<given_socket> given_sockets_of(const given_by_environment& by) {
  if (!by.process || !by.count) return {};
  constexpr int most_processes = 1 << 30;
  if (number_in(by.process, "LISTEN_PID", most_processes) != ::getpid()) return {};
  const int n = number_in(by.count, "LISTEN_FDS", most_descriptors);
  std::string_view names = by.names ? std::string_view(by.names) : std::string_view();
  std::vector<given_socket> all;
  for (int i = 0; i < n; ++i) {
    given_socket s{by.first + i, next_name(names)};
    check(::fcntl(s.descriptor, F_SETFD, FD_CLOEXEC), "fcntl F_SETFD",
          "descriptor " + std::to_string(s.descriptor) + " of LISTEN_FDS");
    all.push_back(std::move(s));
  }
  return all;
}

}  // namespace detail

std::vector<given_socket> given_sockets() {
  return detail::given_sockets_of(
      {std::getenv("LISTEN_PID"), std::getenv("LISTEN_FDS"), std::getenv("LISTEN_FDNAMES")});
}

}  // namespace heddle
