// SPDX-License-Identifier: MIT
// Internal to io.
// How OpenSSL gets and gives raw bytes: from memory that open() was given, into what seal() sends.
//
// Problem   With a descriptor OpenSSL would make the system calls itself: two reads a record,
//           writes outside the sender's role, and SIGPIPE on foreign threads. With a pair of memory
//           BIOs each byte would be copied once more, each way.
// Chosen    A BIO of our own. A read takes from a view, a write appends to a string. Writing never
//           has to wait. So OpenSSL never stops in the middle of a record that it sends.
#pragma once

#include <heddle/io/tls/handles.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace heddle::detail {

/// What the BIO of one connection reads from and writes to. Set for the time of one call.
struct bio_memory {
  std::string_view in;
  std::string* out = nullptr;
  bool out_of_memory = false;  // a write found no memory: no exception may pass through OpenSSL
};

/// A BIO over `memory`, which must outlive it. Throws std::bad_alloc.
BIO* make_library_bio(bio_memory& memory);

}  // namespace heddle::detail
