// SPDX-License-Identifier: MIT
#include "refused.h"

#include <cerrno>

namespace board {

void refuse_if_full(const std::system_error& e) {
  const int code = e.code().category() == std::system_category() ||
                           e.code().category() == std::generic_category()
                       ? e.code().value()
                       : 0;
  if (code == ENOSPC || code == EDQUOT || code == EFBIG)
    throw refused(507, "the disk of this board is full");
  throw;
}

}  // namespace board
