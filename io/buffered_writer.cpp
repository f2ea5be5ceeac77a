// SPDX-License-Identifier: MIT
#include <heddle/io/buffered_writer.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/streams/gatherer.h>

#include <cstdint>
#include <utility>

namespace heddle {
namespace {

/// What a writer that goes away still has to send. Its stream_writer then closes.
void send_rest(detail::gatherer* g) noexcept {
  if (!g) return;
  try {
    g->flush();
  } catch (...) { g->abort(); }
}

}  // namespace

buffered_writer::buffered_writer(stream_writer to, std::size_t capacity)
    : gatherer_(new detail::gatherer(
          std::move(to), detail::checked<std::size_t>(capacity, "the capacity of a buffered_writer",
                                                      1, PTRDIFF_MAX))) {}
buffered_writer::buffered_writer(buffered_writer&& other) noexcept = default;
buffered_writer& buffered_writer::operator=(buffered_writer&& other) noexcept {
  if (this != &other) {
    send_rest(gatherer_.get());
    gatherer_ = std::move(other.gatherer_);
  }
  return *this;
}
buffered_writer::~buffered_writer() { send_rest(gatherer_.get()); }

detail::gatherer& buffered_writer::use() const {
  if (!gatherer_)
    detail::throw_usage("this buffered_writer is empty: it was moved from or released");
  return *gatherer_;
}

void buffered_writer::write(std::string_view bytes) { use().write(bytes); }

void buffered_writer::write_uint(std::uint64_t value, std::size_t bytes, byte_order order) {
  char place[8];
  detail::store_checked_uint(place, bytes, value, order);
  write(std::string_view(place, bytes));
}

void buffered_writer::flush() { use().flush(); }
detail::drain_wait buffered_writer::drain() {
  auto& g = use();
  g.flush();
  return g.to().drain();
}
void buffered_writer::write_eof() { use().write_eof(); }
void buffered_writer::close() noexcept {
  if (gatherer_) gatherer_->close();
}
detail::closed_wait buffered_writer::wait_closed() { return use().to().wait_closed(); }
void buffered_writer::abort() noexcept {
  if (gatherer_) gatherer_->abort();
}
std::size_t buffered_writer::gathered() const noexcept { return gatherer_ ? gatherer_->size() : 0; }
stream_writer& buffered_writer::under() {
  auto& g = use();
  g.flush();
  return g.to();
}
stream_writer buffered_writer::release() {
  stream_writer w(std::move(under()));
  gatherer_.reset();
  return w;
}

}  // namespace heddle
