// SPDX-License-Identifier: MIT
#include <heddle/core/scheduler.h>

#include <heddle/core/errors.h>

#include <cstdio>
#include <utility>

namespace heddle::detail {
namespace {
atomic<callback_poster> poster{nullptr};
atomic<carrier_maker> maker{nullptr};
}  // namespace

void set_callback_poster(callback_poster f, carrier_maker make) noexcept {
  // pairs with prepare_callback()
  maker.store(make, release);
  // pairs with post_callback()
  poster.store(f, release);
}

void prepare_callback(callback_base& c) {
  // pairs with set_callback_poster()
  if (auto* make = maker.load(acquire)) c.carrier.reset(make());
}

void post_callback(runtime_number runtime, executor* home, owned<callback_base> c) noexcept {
  // pairs with set_callback_poster()
  auto* f = poster.load(acquire);
  if (f && runtime != 0 && c->carrier)
    f(runtime, home, std::move(c));
  else
    run_here(std::move(c));
}

void run_here(owned<callback_base> c) noexcept {
  context_slot own(std::move(c->context));
  context_scope inside(&own);
  try {
    c->run();
  } catch (...) {
    std::fprintf(stderr, "heddle: a callback that no loop runs threw %s\n",
                 describe(std::current_exception()).c_str());
  }
}

}  // namespace heddle::detail
