// SPDX-License-Identifier: MIT
#include <heddle/core/context.h>

#include <heddle/core/record/task_record.h>

namespace heddle {
namespace detail {
std::pair<context_slot*, std::uint64_t> context_to_change() {
  auto* slot = current_context(true);
  return {slot, slot->identity()};
}

void throw_not_set(const std::string& name) {
  throw_usage("the context variable '" + name + "' is not set here and has no default");
}

void check_token(bool used, std::uint64_t variable, std::uint64_t of, std::uint64_t made_in) {
  if (used) throw_usage("context_var::reset with a token that was used before");
  if (variable != of) throw bad_value("context_var::reset with the token of another variable");
  if (made_in != 0)
    throw bad_value("context_var::reset with a token that was made in another context");
}

}  // namespace detail

context copy_context() {
  return context(detail::context_ref(new detail::context_state(detail::inherited_context())));
}

}  // namespace heddle
