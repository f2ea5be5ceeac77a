// SPDX-License-Identifier: MIT
#include <heddle/core/checked.h>

#include <heddle/core/record/task_record.h>

#include <charconv>
#include <string>

namespace heddle::detail {

namespace {
[[noreturn]] void refuse(const char* name, const std::string& value, std::int64_t least,
                         std::uint64_t most) {
  throw_bad_value(std::string(name) + " is " + value + ": it must be from " +
                  std::to_string(least) + " to " + std::to_string(most));
}
}  // namespace

void throw_out_of_range(const char* name, std::int64_t value, std::int64_t least,
                        std::uint64_t most) {
  refuse(name, std::to_string(value), least, most);
}

void throw_out_of_range(const char* name, std::uint64_t value, std::int64_t least,
                        std::uint64_t most) {
  refuse(name, std::to_string(value), least, most);
}

void throw_not_a_number() { throw_bad_value("the duration is not a number (NaN)"); }

bool parse_digits(std::string_view text, std::uint64_t most, std::uint64_t& value,
                  unsigned base) noexcept {
  std::uint64_t parsed = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, parsed, static_cast<int>(base));
  if (error != std::errc{} || stop != end || parsed > most) return false;
  value = parsed;
  return true;
}

bool parse_number(std::string_view text, double& value, double most) noexcept {
  double parsed = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, parsed);
  if (error != std::errc{} || stop != end || text.starts_with('-')) return false;
  if (!(parsed >= 0 && parsed <= most)) return false;  // a NaN is neither
  value = parsed;
  return true;
}

}  // namespace heddle::detail
