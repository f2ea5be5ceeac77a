// SPDX-License-Identifier: MIT
#include <heddle/io/pty.h>

#include <heddle/io/process/terminal.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/streams/stream_core.h>

#include <cstdlib>
#include <utility>

namespace heddle {

pty& pty::operator=(pty&& other) noexcept {
  if (this != &other) {
    close();
    reader = std::move(other.reader);
    writer = std::move(other.writer);
  }
  return *this;
}

void pty::close() noexcept {
  if (writer.valid()) writer.abort();
}

void pty::resize(terminal_size size) { detail::set_terminal_size(writer.native_handle(), size); }

terminal_size pty::size() const { return detail::size_of_terminal(writer.native_handle()); }

std::string pty::path() const {
  char name[128];
  const int error = ::ptsname_r(writer.native_handle(), name, sizeof name);
  if (error != 0) throw_system_error(error, "ptsname_r", "a pseudo-terminal");
  return name;
}

int pty::open_program_side() const {
  return detail::open_their_side(writer.native_handle()).release();
}

pty open_pty(terminal_size size, std::size_t limit) {
  detail::check_limit(limit);
  return detail::make_pty(detail::open_terminal(size), limit);
}

pty open_pty(terminal_size size) { return open_pty(size, default_stream_limit); }

pty detail::make_pty(fd ours, std::size_t limit) {
  connection both = make_connection(stream_core::open_terminal(std::move(ours), current_reactor(),
                                                               watched_for::both_ways, limit));
  pty made;
  made.reader = std::move(both.reader);
  made.writer = std::move(both.writer);
  return made;
}

}  // namespace heddle
