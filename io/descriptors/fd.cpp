// SPDX-License-Identifier: MIT
#include <heddle/io/descriptors/fd.h>

#include <unistd.h>

namespace heddle::detail {

void fd::reset() noexcept {
  if (number_ < 0) return;
  const int saved = errno;
  ::close(number_);  // also with EINTR Linux has closed it
  number_ = -1;
  errno = saved;
}

}  // namespace heddle::detail
