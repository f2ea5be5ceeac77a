// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/memory.h>

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace heddle::detail::seeing {

bool memory::text(address at, char* to, std::size_t room) noexcept {
  std::size_t n = 0;
  while (n + 1 < room) {
    // Up to the end of a 64-byte line, so that a text at the end of a page is read whole.
    const auto piece =
        std::min<std::size_t>(room - 1 - n, 64 - static_cast<std::size_t>((at + n) % 64));
    if (!read(at + n, to + n, piece)) break;
    const auto* end = static_cast<const char*>(std::memchr(to + n, 0, piece));
    if (end) return true;
    n += piece;
  }
  to[n] = 0;
  return n != 0;
}

process_memory::~process_memory() {
  if (file_ >= 0) ::close(file_);
}

bool process_memory::read(address at, void* to, std::size_t n) noexcept {
  if (n == 0) return true;
  if (at == 0 || at + n < at) {
    error_ = EFAULT;
    return false;
  }
  if (file_ < 0) {
    iovec here{to, n};
    iovec there{reinterpret_cast<void*>(at), n};
    const auto got = ::process_vm_readv(of_, &here, 1, &there, 1, 0);
    if (got == static_cast<ssize_t>(n)) return true;
    error_ = got < 0 ? errno : EFAULT;
    if (of_ != ::getpid() || (error_ != EPERM && error_ != ENOSYS)) return false;
    file_ = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    if (file_ < 0) return false;
  }
  return ::pread(file_, to, n, static_cast<off_t>(at)) == static_cast<ssize_t>(n);
}

const unsigned char* cached_memory::page_at(address page) noexcept {
  auto& s = slots_[(page / page_bytes) % slots];
  if (s.page != page) {
    s.page = none;
    if (!below_->read(page, s.bytes, page_bytes)) return nullptr;
    s.page = page;
  }
  return s.bytes;
}

bool cached_memory::read(address at, void* to, std::size_t n) noexcept {
  if (n > page_bytes) return below_->read(at, to, n);
  if (at + n < at) return false;
  auto* out = static_cast<unsigned char*>(to);
  while (n != 0) {
    const address page = at / page_bytes * page_bytes;
    const auto inside = static_cast<std::size_t>(at - page);
    const auto piece = std::min(n, page_bytes - inside);
    const auto* bytes = page_at(page);
    // A copy in a test, or the end of a mapping, may have less than a page.
    if (!bytes) return below_->read(at, out, n);
    std::memcpy(out, bytes + inside, piece);
    out += piece;
    at += piece;
    n -= piece;
  }
  return true;
}

}  // namespace heddle::detail::seeing
