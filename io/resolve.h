// SPDX-License-Identifier: MIT
// Names to addresses, and back. A task that waits for a name holds no loop. resolver.h says what
// looks them up.
//
//   h::resolve_options how;
//   how.family = AF_INET;
//   const std::vector<h::address> found = co_await h::resolve("localhost", 80, how);
#pragma once

#include <heddle/core/checked.h>
#include <heddle/core/task.h>
#include <heddle/io/address.h>
#include <heddle/io/resolver.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace heddle {

/// The order of the fields is API: fields are appended, never reordered.
struct resolve_options {
  /// The family of the addresses: AF_INET or AF_INET6; 0 (AF_UNSPEC): both.
  int family = 0;
  /// True: for addresses to listen at. The host "" then means every address of this machine; else
  /// it means the loopback addresses.
  bool passive = false;
  /// The kind of socket that the addresses are for: SOCK_STREAM or SOCK_DGRAM; 0: any.
  int type = SOCK_STREAM;
  /// The name of a service ("https"), in place of the port, which is 0 then.
  std::string service = {};
  /// Only addresses of families of which this machine has an address (AI_ADDRCONFIG).
  bool only_own_families = false;
  /// True: no answer from a cache, the resolver is asked anew. The new answer is kept.
  bool fresh = false;
};

/// Yields the addresses of `host`, best first, each once. A numeric host is answered at once. A
/// name is looked up by the runtime's resolver (set_resolver()), which is getaddrinfo at first:
/// that runs on threads that the runtime has for names (32 at most). So dead name servers delay no
/// job of to_thread, and such jobs delay no look-up. Equal look-ups at one time are one.
///
/// getaddrinfo holds a thread for each name that is looked up, for 10 s and more if no server
/// answers; further names wait. It asks for both families, and waits for both answers. A resolver
/// by tasks needs no thread.
/// Cost      a numeric host: no system call. A name: one job on a thread, or one task
/// Throws    std::system_error with the name, of resolve_category()
///           (heddle/io/resolving/resolve_category.h), see name_error; or of the system, for want
///           of a descriptor or a thread. bad_value for what can be no name: longer than 253 bytes,
///           with an empty part or one of more than 63 bytes, with a blank at an end, a control
///           character, or a byte that is not ASCII. (Write such a name in its ASCII form,
///           "xn--...".) A name with a blank inside does not exist, and is not asked for either.
/// Cancel    The wait ends at once. A look-up that no task waits for any more never begins, is
///           cancelled, or its answer is dropped. The end of a runtime does not wait for look-ups.
/// Thread-safety  any task, on any loop
[[nodiscard]] task<std::vector<address>> resolve(std::string host, port_number port,
                                                 resolve_options options);
[[nodiscard]] inline task<std::vector<address>> resolve(std::string host, port_number port) {
  return resolve(std::move(host), port, resolve_options());
}
/// The same with the canonical name of the host.
[[nodiscard]] task<name_answer> resolve_name(std::string host, port_number port,
                                             resolve_options options);
[[nodiscard]] inline task<name_answer> resolve_name(std::string host, port_number port) {
  return resolve_name(std::move(host), port, resolve_options());
}

/// The order of the fields is API.
struct reverse_options {
  /// True: the host or the service as a number, without a look-up.
  bool numeric_host = false;
  bool numeric_service = false;
  /// True: an address without a name is an error (name_error::no_such_name). False: its host is
  /// given as a number.
  bool name_required = false;
  /// The service of datagrams; else of streams.
  bool datagram = false;
};

struct host_and_service {
  std::string host;
  std::string service;
};

/// Yields the names of an IPv4 or IPv6 address and of its port, by getnameinfo on the threads for
/// names. Throws, and is cancelled, as resolve() with getaddrinfo; bad_value for another address.
/// Cost      both numeric: no thread and no system call
[[nodiscard]] task<host_and_service> resolve_address(address of, reverse_options options);
[[nodiscard]] inline task<host_and_service> resolve_address(address of) {
  return resolve_address(of, reverse_options());
}

}  // namespace heddle
