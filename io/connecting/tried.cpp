// SPDX-License-Identifier: MIT
#include <heddle/io/connecting/tried.h>

#include <heddle/core/errors.h>

#include <system_error>
#include <utility>

namespace heddle::detail {
namespace {

/// What a std::system_error says, and its code.
std::string text_of(const std::exception_ptr& error, std::error_code& code) {
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& e) {
    code = e.code();
    return e.what();
  } catch (...) { return describe(error); }
}

}  // namespace

std::size_t tried::begin(const address& to) {
  const std::lock_guard hold(lock_);
  all_.push_back({to, nullptr});
  return all_.size() - 1;
}

void tried::failed(std::size_t place, std::exception_ptr error) {
  const std::lock_guard hold(lock_);
  all_[place].error = std::move(error);
}

std::string tried::where() const { return host_ + ":" + std::to_string(port_); }

std::string tried::list() const {
  std::string text;
  for (const auto& a : all_) {
    std::error_code code;
    if (!text.empty()) text += "; ";
    text += a.error ? text_of(a.error, code) : "connect " + a.to.to_string() + ": no answer";
  }
  return text;
}

void tried::throw_all(bool as_group) const {
  const std::lock_guard hold(lock_);
  if (as_group) {
    std::vector<std::exception_ptr> errors;
    for (const auto& a : all_) errors.push_back(a.error);
    throw exception_group("connecting to " + where(), std::move(errors));
  }
  if (all_.size() == 1) std::rethrow_exception(all_.front().error);
  std::error_code code;
  (void)text_of(all_.back().error, code);
  throw std::system_error(code, "connecting to " + where() + " failed at each of " +
                                    std::to_string(all_.size()) + " addresses (" + list() + ")");
}

void tried::throw_timed_out(const std::string& limit) const {
  const std::lock_guard hold(lock_);
  throw timeout_error("connecting to " + where() + " timed out after " + limit + " (" +
                      (all_.empty() ? "looking the name up" : list()) + ")");
}

}  // namespace heddle::detail
