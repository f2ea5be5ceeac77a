// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/app_scope.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/part_limits.h>
#include <heddle/io/http/problem.h>

#include <algorithm>

namespace heddle::http::detail {
namespace {

/// Exceptions that are an answer by themselves.
std::optional<response> own_answer(const app_scope* app, const std::exception_ptr& failure,
                                   const request& r) {
  try {
    std::rethrow_exception(failure);
  } catch (const status_error& e) {
    return refusal(app, r, e.status(), e.what());
  } catch (const problem& e) { return response(e); } catch (const redirect& e) {
    return response(e);
  } catch (const part_error& e) {  // it knows more precisely: perhaps 415 or 431
    return refusal(app, r, e.status(), e.what());
  } catch (const payload_error& e) {  // the client's fault: its body is broken, or too large
    const bool large = e.code() == make_error_code(errc::body_too_large);
    return refusal(app, r, large ? 413 : 400, {});
  } catch (const timeout_error&) { return refusal(app, r, 504, {}); } catch (...) {
  }
  return std::nullopt;
}

}  // namespace

void add_mapping(std::vector<error_mapping>& to, error_mapping m) {
  const auto base = std::ranges::find_if(
      to, [&](const error_mapping& other) { return other.catches(m.throw_pointer); });
  to.insert(base, std::move(m));
}

heddle::detail::counted* app_scope::state(const void* key) const noexcept {
  for (const auto* at = this; at != nullptr; at = at->parent) {
    for (const auto& [k, value] : at->states)
      if (k == key) return value.get();
  }
  return nullptr;
}

response app_scope::refusal(const request& r, int status, std::string_view detail) const {
  for (const auto* at = this; at != nullptr; at = at->parent) {
    if (!at->page) continue;
    if (auto made = at->page(r, status, detail)) return std::move(*made);
  }
  return response::error(status, detail);
}

void app_scope::prepare(request& r, response& answer) const {
  if (parent != nullptr) parent->prepare(r, answer);
  for (const auto& hook : hooks) hook(r, answer);
}

std::optional<response> app_scope::answer_to(const std::exception_ptr& failure, request& r) const {
  for (const auto* at = this; at != nullptr; at = at->parent) {
    for (const auto& m : at->mappings)
      if (auto a = m.answer(failure, r)) return a;
  }
  return own_answer(this, failure, r);
}

std::optional<response> answer_to(const app_scope* app, const std::exception_ptr& failure,
                                  request& r) {
  return app ? app->answer_to(failure, r) : own_answer(nullptr, failure, r);
}

response refusal(const app_scope* app, const request& r, int status, std::string_view detail) {
  return app ? app->refusal(r, status, detail) : response::error(status, detail);
}

}  // namespace heddle::http::detail
