// SPDX-License-Identifier: MIT
#include "core_writer.h"

#include <heddle/core/seeing/report.h>

#include <tools/heddle/core_file.h>

#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>

namespace conformance {

namespace seeing = heddle::detail::seeing;

std::string text_of_core(const std::string& bytes) {
  const int core = ::memfd_create("core", MFD_CLOEXEC);
  const int text = ::memfd_create("text", MFD_CLOEXEC);
  if (::write(core, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error("no room for a core");
  std::string why;
  if (const auto read = tool::core_file::open(core, why)) {
    const auto s = std::make_unique<seeing::sight>(*read);
    seeing::output to(text);
    if (s->open() == seeing::opening::good) (void)seeing::put_everything(to, *s);
  }
  std::string found(static_cast<std::size_t>(::lseek(text, 0, SEEK_END)), ' ');
  const auto got = ::pread(text, found.data(), found.size(), 0);
  ::close(text);
  if (got != static_cast<ssize_t>(found.size())) throw std::runtime_error("no text");
  return found;
}

}  // namespace conformance
