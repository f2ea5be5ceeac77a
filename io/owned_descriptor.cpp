// SPDX-License-Identifier: MIT
#include <heddle/io/owned_descriptor.h>

#include <unistd.h>

#include <cerrno>

namespace heddle {

void owned_descriptor::reset() noexcept {
  if (number_ < 0) return;
  const int saved = errno;
  ::close(number_);  // also with EINTR Linux has closed it
  number_ = -1;
  errno = saved;
}

}  // namespace heddle
