// SPDX-License-Identifier: MIT
#include <heddle/io/http/inspecting/exposition.h>

#include <charconv>
#include <cmath>

namespace heddle::http::detail {
namespace {

// The bounds of buckets are powers of two, in ns, from a quarter of a microsecond to 17 seconds.
constexpr unsigned first_bound = 8;
constexpr unsigned last_bound = 34;

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

void put_escaped(std::string& to, std::string_view text, bool in_quotes) {
  for (const char c : text) {
    if (c == '\n')
      to += "\\n";
    else if (c == '\\')
      to += "\\\\";
    else if (c == '"' && in_quotes)
      to += "\\\"";
    else
      to += c;
  }
}

}  // namespace

void exposition::family(std::string_view name, kind what, std::string_view help) {
  name_ = name;
  text_ += "# HELP ";
  text_ += name;
  text_ += ' ';
  put_escaped(text_, help, false);
  text_ += "\n# TYPE ";
  text_ += name;
  text_ += what == counter ? " counter\n" : what == gauge ? " gauge\n" : " histogram\n";
}

void exposition::put_name(std::string_view suffix, labels of, std::string_view bound) {
  text_ += name_;
  text_ += suffix;
  char before = '{';
  const auto put = [&](std::string_view name, std::string_view value) {
    text_ += std::exchange(before, ',');
    text_ += name;
    text_ += "=\"";
    put_escaped(text_, value, true);
    text_ += '"';
  };
  for (const auto& [name, value] : of) put(name, value);
  if (!bound.empty()) put("le", bound);
  text_ += before == ',' ? "} " : " ";
}

void exposition::put_value(std::uint64_t value) {
  text_ += std::to_string(value);
  text_ += '\n';
}

void exposition::put_value(double value) {
  text_ += number_text(value);
  text_ += '\n';
}

void exposition::sample(labels of, std::uint64_t value) {
  put_name("", of, "");
  put_value(value);
}

void exposition::sample(labels of, double value) {
  put_name("", of, "");
  put_value(value);
}

void exposition::sample(labels of, const duration_histogram& times) {
  for (unsigned i = first_bound; i <= last_bound; ++i) {
    const auto ns = std::uint64_t{1} << i;
    put_name("_bucket", of, number_text(static_cast<double>(ns) / 1e9));
    put_value(times.count_below(ns));
  }
  const auto all = times.count();
  put_name("_bucket", of, "+Inf");
  put_value(all);
  put_name("_sum", of, "");
  put_value(static_cast<double>(times.total_ns) / 1e9);
  put_name("_count", of, "");
  put_value(all);
}

}  // namespace heddle::http::detail
