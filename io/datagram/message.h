// SPDX-License-Identifier: MIT
// Internal to io.
// One message in and out: recvmsg and sendmsg with what travels beside the bytes.
//
// Danger     A control buffer has room for descriptors, also if nobody asked for any: then the
//            kernel gives them to this process, and they would stay open for ever.
// Prevented  Each receive looks at all that came, and closes the descriptors that it was not asked
//            for. All come closed on exec.
#pragma once

#include <heddle/io/datagram_options.h>
#include <heddle/io/owned_descriptor.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include <sys/socket.h>
#include <sys/uio.h>

namespace heddle::detail {

/// The kernel passes no more with one message (SCM_MAX_FD).
inline constexpr std::size_t most_passed_descriptors = 253;

/// Room for what travels beside a datagram: packet info, traffic class, time, drops, credentials,
/// segment size. Descriptors may come too.
struct control_room {
  alignas(cmsghdr) char bytes[512];
};

/// What came beside the bytes, apart from datagram_info.
struct beside {
  std::vector<owned_descriptor>* descriptors = nullptr;  // null: close them
  std::size_t most_descriptors = 0;                      // the rest is closed
  bool descriptors_lost = false;                         // some did not fit
  bool has_credentials = false;
  std::size_t segment_size = 0;  // of a coalesced datagram; 0: it is one
};

/// Takes one message, without waiting. Returns the length that the message had, or a negative
/// errno. On a stream: how many bytes came. `control`: room for what travels beside, perhaps empty.
/// `is_stream`: TCP would drop the bytes if it were asked for the length.
[[nodiscard]] ssize_t receive_message(int socket, std::span<char> room, std::span<char> control,
                                      datagram_info& info, beside& other,
                                      bool is_stream = false) noexcept;

/// Reads what a filled msghdr says.
void read_message(msghdr& message, std::size_t length, std::size_t room, datagram_info& info,
                  beside& other) noexcept;

/// What is sent: bytes, where to, and what goes beside them.
class outgoing_message {
 public:
  /// `to` and `bytes` stay as they are while this lives.
  outgoing_message(std::string_view bytes, const address& to) noexcept;
  outgoing_message(const outgoing_message&) = delete;

  /// Source address, interface and traffic class. `family` is that of the socket.
  void add(const send_options& how, int family) noexcept;
  /// The kernel cuts the bytes into datagrams of this size (GSO).
  void add_segment_size(std::uint16_t size) noexcept;
  void add_descriptors(std::span<const int> descriptors);

  /// Sends without waiting. Returns how many bytes went, or a negative errno.
  [[nodiscard]] ssize_t send(int socket) noexcept;

 private:
  void add(int level, int type, const void* data, std::size_t size) noexcept;

  iovec piece_;
  msghdr message_{};
  control_room control_;
  std::vector<char> large_;  // instead of control_, for many descriptors
};

}  // namespace heddle::detail
