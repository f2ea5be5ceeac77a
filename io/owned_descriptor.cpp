// SPDX-License-Identifier: MIT
#include <heddle/io/owned_descriptor.h>

#include <heddle/io/descriptors/fd.h>

namespace heddle {

void owned_descriptor::reset() noexcept { detail::fd(release()).reset(); }

}  // namespace heddle
