// SPDX-License-Identifier: MIT
// Internal to sched; installed, since public headers need it.
// A callable that is called again and again: for a descriptor or a signal.
#pragma once

#include <heddle/core/base/owned.h>

#include <tuple>
#include <type_traits>
#include <utility>

namespace heddle::detail {

class handler : public counted {
 public:
  /// On the loop that it was given to, never twice at a time.
  virtual void call() = 0;
};

template <class F, class... Args>
class bound_handler final : public handler {
 public:
  template <class G, class... As>
  explicit bound_handler(G&& f, As&&... args)
      : function_(std::forward<G>(f)), arguments_(std::forward<As>(args)...) {}
  void call() override { (void)std::apply(function_, arguments_); }

 private:
  F function_;
  std::tuple<Args...> arguments_;
};

template <class F, class... Args>
counted_ptr<handler> make_handler(F&& f, Args&&... args) {
  return counted_ptr<handler>(new bound_handler<std::decay_t<F>, std::decay_t<Args>...>(
      std::forward<F>(f), std::forward<Args>(args)...));
}

}  // namespace heddle::detail
