// SPDX-License-Identifier: MIT
//
// Sockets on 127.0.0.1 for the loads and the reference servers, one piece of code for all of them.
// Nothing of heddle is in it. Errors throw std::system_error, which names the call.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>

namespace bench {

/// The result of a call, or its errno as an exception.
int checked(int result, const char* call);

/// A blocking socket that is connected, without Nagle's delay.
int connect_to(std::uint16_t port);

/// A non-blocking socket that listens. Several may share the port, one a thread.
int listen_on(std::uint16_t port);

/// The next connection, non-blocking and without Nagle's delay; -1 if none waits.
int accept_from(int listener);

/// Adds the socket to the epoll set, or changes what is wanted of it: EPOLL_CTL_ADD or _MOD.
void watch(int set, int how, int socket, unsigned events, epoll_data_t data);

/// Sends all of it on a non-blocking socket, and waits for room. False: the peer is gone. For
/// peers that read what they are sent.
bool send_whole(int socket, const char* bytes, std::size_t size);

}  // namespace bench
