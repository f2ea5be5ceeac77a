// SPDX-License-Identifier: MIT
#include <heddle/io/http/problem.h>

#include <heddle/core/errors.h>

#include <nlohmann/json.hpp>

namespace heddle::http {
namespace {

constexpr std::string_view url_marks = "-._~:/?#[]@!$&'()*+,;=%";

bool may_stand_in_url(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         url_marks.find(c) != std::string_view::npos;
}

std::string url_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (may_stand_in_url(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.append("%").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
  }
  return out;
}

}  // namespace

std::string problem::json() const {
  nlohmann::ordered_json o;
  o["type"] = type_.empty() ? std::string("about:blank") : type_;
  o["title"] = title_.empty() ? std::string(reason_phrase(status_)) : title_;
  o["status"] = status_;
  if (!detail_.empty()) o["detail"] = detail_;
  if (!instance_.empty()) o["instance"] = instance_;
  for (const auto& [name, text] : members_) {
    if (!o.contains(name)) o[name] = text;
  }
  return o.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

problem::operator response() const {
  response r;
  r.status = status_;
  r.content_type = "application/problem+json";
  r.body = json();
  return r;
}

redirect::redirect(redirection status, std::string_view location, redirect_to where)
    : status_(status), location_(url_encoded(location)) {
  switch (status_) {
    case moved_permanently:
    case found:
    case see_other:
    case temporary_redirect:
    case permanent_redirect: break;
    default: throw bad_value(std::to_string(status_) + " is no status of a redirection");
  }
  if (location.empty()) throw bad_value("a redirection needs a location");
  // Browsers take "//x" and "/\x" for a host.
  const bool local = location.front() == '/' && !location.starts_with("//") &&
                     !location.starts_with("/\\") &&
                     location.find_first_of("\t\r\n") == std::string_view::npos;
  if (where == redirect_to::local && !local)
    throw bad_value("the redirection to \"" + printable(location) + "\" leaves this host");
}

redirect::operator response() const {
  response r = response::error(status_);
  r.headers.add("Location", location_);
  return r;
}

}  // namespace heddle::http
