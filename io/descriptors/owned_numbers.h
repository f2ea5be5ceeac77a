// SPDX-License-Identifier: MIT
// Internal to io.
// The numbers of descriptors that streams, pipes and datagram sockets own.
//
// Problem   A program can ask a stream for its descriptor. If the program then receives from it by
//           sock_recv(), the stream loses those bytes, and nobody notices. And a ring watches one
//           descriptor twice without a word, so add_reader() would seem to work.
// Chosen    A byte for each number: what owns a descriptor sets it, and clears it before closing.
// Costs     A plain store at opening and at closing. 64 KiB of address space; higher numbers are
//           not noted.
#pragma once

namespace heddle::detail {

void own_number(int descriptor) noexcept;
void disown_number(int descriptor) noexcept;
[[nodiscard]] bool is_owned_number(int descriptor) noexcept;

}  // namespace heddle::detail
