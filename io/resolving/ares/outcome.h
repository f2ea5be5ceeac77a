// SPDX-License-Identifier: MIT
// Internal to io.
// From the replies for both families to one answer, or one failure.
#pragma once

#include <heddle/io/resolver.h>
#include <heddle/io/resolving/ares/name_failure.h>
#include <heddle/io/resolving/ares/reply.h>

#include <string>

namespace heddle::detail {

/// `a` is the reply for IPv6, and `b` that for IPv4; or `a` is that for the only family, and `b` is
/// null. True: `answer` is set. A family that has failed while the other has addresses is left out,
/// and the answer then holds for no time. False: `failure` is set. Throws std::bad_alloc if that
/// was the failure.
[[nodiscard]] bool joined_answer(const family_reply& a, const family_reply* b,
                                 const std::string& host, name_answer& answer,
                                 name_failure& failure);

}  // namespace heddle::detail
