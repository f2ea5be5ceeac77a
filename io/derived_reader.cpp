// SPDX-License-Identifier: MIT
#include <heddle/io/derived_reader.h>

#include <heddle/core/checked.h>
#include <heddle/io/streams/derived.h>
#include <heddle/io/streams/stream_access.h>

#include <utility>

namespace heddle {
namespace {

using detail::stream_access;

derived_reader over(detail::owned<detail::derived_transport> mover, std::size_t limit) {
  auto& carrier = *mover;
  auto* core = detail::stream_core::open_over(std::move(mover), limit);
  return {detail::make_connection(core), carrier};
}

}  // namespace

derived_reader& derived_reader::operator=(derived_reader&& other) noexcept {
  if (this != &other) {
    end();
    stream_reader::operator=(std::move(other));
    closer_ = std::move(other.closer_);
    carrier_ = std::exchange(other.carrier_, nullptr);
  }
  return *this;
}

void derived_reader::end() noexcept {
  auto* carrier = std::exchange(carrier_, nullptr);
  if (!carrier) return;
  auto& core = stream_access::of(closer_);
  carrier->give_back(core.input().view());
  core.input().clear();
  core.abort();
}

derived_reader take(stream_reader& from, std::uint64_t n) {
  (void)detail::checked<std::int64_t>(n, "the length of take", 0);
  auto& core = stream_access::of(from);
  return over(detail::owned<detail::derived_transport>(new detail::taking_transport(core, n)),
              core.limit());
}

derived_reader chain(stream_reader& first, stream_reader& second) {
  auto& core = stream_access::of(first);
  return over(detail::owned<detail::derived_transport>(
                  new detail::chaining_transport(core, stream_access::of(second))),
              core.limit());
}

derived_reader inspect(stream_reader& from, std::function<void(std::string_view)> see) {
  auto& core = stream_access::of(from);
  return over(
      detail::owned<detail::derived_transport>(new detail::showing_transport(core, std::move(see))),
      core.limit());
}

derived_reader tee(stream_reader& from, stream_writer& copy_to) {
  return inspect(from, [&copy_to](std::string_view bytes) { copy_to.write(bytes); });
}

}  // namespace heddle
