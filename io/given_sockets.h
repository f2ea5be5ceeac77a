// SPDX-License-Identifier: MIT
// Sockets that whoever started this program has opened for it: systemd's socket activation.
//
//   std::vector<int> sockets;
//   for (const auto& s : h::given_sockets()) sockets.push_back(s.descriptor);
//   if (!sockets.empty()) server = co_await h::start_server_on(handle, sockets);
#pragma once

#include <string>
#include <vector>

namespace heddle {

/// A socket that this program was started with.
struct given_socket {
  int descriptor = -1;
  /// What its owner calls it (LISTEN_FDNAMES); empty: nothing was said.
  std::string name;
};

/// The descriptors that the environment names: LISTEN_FDS of them, from 3 on, meant for the process
/// LISTEN_PID. None, if there are no such variables or they are meant for another process. They are
/// closed on exec from here on, so no child has them. They are the caller's; but each call tells
/// the same ones, and start_server_on() takes them over.
/// Throws    bad_value for variables that cannot be read; std::system_error for a descriptor that
///           is not open
/// Thread-safety  as getenv(): not while another thread changes the environment
[[nodiscard]] std::vector<given_socket> given_sockets();

namespace detail {
/// The variables of the environment; null: not set.
struct given_by_environment {
  const char* process = nullptr;  // LISTEN_PID
  const char* count = nullptr;    // LISTEN_FDS
  const char* names = nullptr;    // LISTEN_FDNAMES
  int first = 3;                  // the first descriptor
};
[[nodiscard]] std::vector<given_socket> given_sockets_of(const given_by_environment& by);
}  // namespace detail

}  // namespace heddle
