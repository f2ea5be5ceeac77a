// SPDX-License-Identifier: MIT
#include <heddle/core/scheduler.h>

#include <heddle/core/errors.h>
#include <heddle/core/record/eventual.h>

#include <cstdio>
#include <utility>

namespace heddle::detail {
namespace {
atomic<callback_poster> poster{nullptr};
atomic<carrier_maker> maker{nullptr};
atomic<unretrieved_reporter> reporter{nullptr};
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

void set_unretrieved_reporter(unretrieved_reporter f) noexcept {
  // pairs with report_unretrieved()
  reporter.store(f, release);
}

void report_unretrieved(eventual& what, const std::exception_ptr& error) noexcept {
  // It lives once more, since the reporter may keep a handle. When the last handle drops it again
  // it counts as retrieved.
  what.mark_retrieved();
  what.ref();
  // pairs with set_unretrieved_reporter()
  if (auto* f = reporter.load(acquire)) f(what.runtime(), what, error);
  what.unref();
}

}  // namespace heddle::detail
