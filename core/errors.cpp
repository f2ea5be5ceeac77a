// SPDX-License-Identifier: MIT
#include <heddle/core/errors.h>

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <system_error>
#include <typeinfo>

namespace heddle {

incomplete_read_error::incomplete_read_error(std::string partial, std::size_t expected)
    : std::runtime_error("incomplete read: " + std::to_string(partial.size()) +
                         " bytes before the end of the stream" +
                         (expected ? ", " + std::to_string(expected) + " expected"
                                   : std::string(", no separator"))),
      partial_(std::move(partial)),
      expected_(expected) {}

exception_group::exception_group(const std::string& message, std::vector<std::exception_ptr> errors)
    : std::runtime_error(message + " (" + std::to_string(errors.size()) + " sub-exception" +
                         (errors.size() == 1 ? ")" : "s)")),
      errors_(std::move(errors)) {}

std::string type_name(const std::type_info& type) {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : type.name();
}

bool is_cancellation(const std::exception_ptr& error) noexcept {
  return error && *error.__cxa_exception_type() == typeid(cancelled_error);
}

std::string describe(const std::exception_ptr& error) {
  if (!error) return "no exception";
  try {
    std::rethrow_exception(error);
  } catch (const exception_group& e) {
    std::string text = std::string("heddle::exception_group: ") + e.what();
    for (const auto& inner : e.exceptions()) text += "\n    " + describe(inner);
    return text;
  } catch (const std::exception& e) {
    return type_name(typeid(e)) + ": " + e.what();
  } catch (const cancelled_error& e) {
    return std::string("heddle::cancelled_error: ") + e.what();
  } catch (const fatal_error& e) { return type_name(typeid(e)) + ": " + e.what(); } catch (...) {
    const auto* type = abi::__cxa_current_exception_type();
    return type ? "an exception of type " + type_name(*type) : "an unknown exception";
  }
}

void throw_system_error(int code, const char* call, const std::string& about) {
  throw std::system_error(code, std::generic_category(),
                          about.empty() ? std::string(call) : call + (" " + about));
}

namespace detail {

std::string created_at(std::source_location made) {
  if (made.line() == 0) return {};
  return std::string(", created at ") + made.file_name() + ":" + std::to_string(made.line());
}

std::string describe_task(const std::string& name, std::source_location made) {
  return "task '" + name + "'" + created_at(made);
}

}  // namespace detail

}  // namespace heddle
