// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/sight.h>

#include <unistd.h>

#include <cerrno>

namespace heddle::detail::seeing {
sight::sight(pid_t of, memory* from) noexcept
    : is_own_(of == 0),
      origin_(nullptr),
      process_(of == 0 ? ::getpid() : of),
      memory_(process_),
      from_(from ? from : &memory_),
      tasks_(program_, clock_now()),
      names_(code_, of) {}

sight::sight(origin& where) noexcept
    : is_own_(false),
      origin_(&where),
      process_(where.process()),
      memory_(process_),
      from_(&where.contents()),
      tasks_(program_, 0),
      names_(code_, process_, &where) {}

opening sight::from_errno(int code) const noexcept {
  return code == ESRCH || code == ENOENT ? opening::gone : opening::refused;
}

opening sight::open_at(address layout) noexcept {
  names_.reads(*from_);
  switch (program_.open(*from_, code_, layout)) {
    case refusal::none: return opening::good;
    case refusal::other_version: return opening::other_version;
    case refusal::incomplete: return opening::incomplete;
    default: return memory_.error() == ESRCH ? opening::gone : opening::no_heddle;
  }
}

opening sight::open(std::size_t which) noexcept {
  if (origin_) {
    if (!origin_->list(code_)) return opening::no_heddle;
  } else if (!code_.load(process_)) {
    return from_errno(errno);
  }
  if (is_own_) return open_at(reinterpret_cast<address>(&own_layout()));
  if (code_.head_count() == 0 && !origin_)
    return opening::gone;  // it has ended, and nobody has reaped it yet
  for (std::size_t i = 0, found = 0; i < code_.head_count(); ++i) {
    unsigned char first;
    if (!from_->get(code_.heads()[i], first)) {
      if (memory_.error() == EPERM || memory_.error() == ESRCH) return from_errno(memory_.error());
      continue;
    }
    const address layout = find_layout(*from_, code_.heads()[i]);
    if (layout != 0 && found++ == which) return open_at(layout);
  }
  return opening::no_heddle;
}

}  // namespace heddle::detail::seeing
