// SPDX-License-Identifier: MIT
#include <heddle/io/http/json.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/message.h>

#include <cstddef>

namespace heddle::http {
namespace {

/// nlohmann's error says which types met, and not where: to say that, its values would have to know
/// their parents (JSON_DIAGNOSTICS), in the whole program. So the place is found by trial: a value
/// of the type that was met is replaced by one of the type that was wanted. Where the error goes
/// away, or becomes another one, was the field.
class wrong_field {
 public:
  wrong_field(const json_value& value, std::string error,
              const std::function<std::string(const json_value&)>& attempt)
      : value_(value), error_(std::move(error)), attempt_(attempt) {
    read_error();
  }

  /// The path of the field ("/user/age"), or "".
  std::string find() {
    if (!wanted_.is_discarded()) visit(value_, "");
    return sure_ ? path_ : likely_;
  }

 private:
  static constexpr int most_attempts = 200;
  /// One attempt converts the whole value: larger ones are tried less often.
  static constexpr std::size_t most_work = 100'000;

  void read_error() {
    const auto between = [&](std::string_view before, std::string_view after) -> std::string {
      const auto at = error_.find(before);
      if (at == std::string::npos) return "";
      const auto from = at + before.size();
      const auto end = after.empty() ? error_.size() : error_.find(after, from);
      return end == std::string::npos ? "" : error_.substr(from, end - from);
    };
    wanted_ = sample_of(between("type must be ", ", but is "));
    met_ = between(", but is ", "");
    if (met_.empty()) {  // "cannot use at() with string"
      met_ = between("() with ", "");
      if (!met_.empty()) wanted_ = json_value::object();
    }
  }
  static json_value sample_of(std::string_view type) {
    if (type == "array") return json_value::array();
    if (type == "object") return json_value::object();
    if (type == "string") return "";
    if (type == "boolean") return false;
    if (type == "null") return nullptr;
    if (type == "number") return 0;
    return json_value(json_value::value_t::discarded);
  }

  void visit(json_value& at, const std::string& path) {
    if (sure_ || attempts_ == most_attempts || work_ > most_work) return;
    if (at.type_name() == met_) try_at(at, path);
    if (at.is_object()) {
      for (auto& [key, child] : at.items()) visit(child, path + "/" + key);
    } else if (at.is_array()) {
      std::size_t i = 0;
      for (auto& child : at) visit(child, path + "/" + std::to_string(i++));
    }
  }
  void try_at(json_value& at, const std::string& path) {
    ++attempts_;
    work_ += size_;
    json_value kept = std::exchange(at, wanted_);
    const std::string now = attempt_(value_);
    at = std::move(kept);
    if (now.empty()) {
      path_ = path.empty() ? "/" : path;
      sure_ = true;
    } else if (now != error_ && likely_.empty() && !is_reverse(now)) {
      likely_ = path.empty() ? "/" : path;  // another field is wrong too
    }
  }
  /// The error of a field that was right before the sample stood there.
  [[nodiscard]] bool is_reverse(const std::string& error) const {
    return error.find("type must be " + met_ + ", but is " + wanted_.type_name()) !=
           std::string::npos;
  }
  static std::size_t count(const json_value& of) {
    std::size_t n = 1;
    if (of.is_structured())
      for (const auto& child : of) n += count(child);
    return n;
  }

  json_value value_;
  const std::string error_;
  const std::function<std::string(const json_value&)>& attempt_;
  json_value wanted_ = json_value(json_value::value_t::discarded);
  std::string met_;
  const std::size_t size_ = count(value_);
  int attempts_ = 0;
  std::size_t work_ = 0;
  bool sure_ = false;
  std::string path_;
  std::string likely_;
};

/// True: brackets stand deeper inside each other. Looks at the text alone: no value is made.
bool is_too_deep(std::string_view text) noexcept {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > most_json_depth) return true;
    } else if ((c == ']' || c == '}') && depth != 0) {
      --depth;
    }
  }
  return false;
}

/// The same of a value. Calls itself no deeper than that.
bool is_too_deep(const json_value& value, std::size_t left) {
  if (!value.is_structured()) return false;
  if (left == 0) return true;
  for (const auto& child : value)
    if (is_too_deep(child, left - 1)) return true;
  return false;
}

/// "[json.exception.type_error.302] type must ..." without its number.
std::string plain(const std::string& error) {
  const auto end = error.find("] ");
  return error.starts_with('[') && end != std::string::npos ? error.substr(end + 2) : error;
}

}  // namespace

namespace detail {

void refuse_json(const json_value& value, const std::string& error,
                 const std::function<std::string(const json_value&)>& attempt) {
  std::string where;
  if (!is_too_deep(value, most_json_depth)) where = wrong_field(value, error, attempt).find();
  const std::string what = where.empty() ? "" : "field " + where + ": ";
  throw payload_error("the JSON does not fit: " + what + plain(error));
}

void refuse_to_write(const std::string& error) {
  throw bad_value("the value cannot be written as JSON: " + plain(error));
}

}  // namespace detail

json_value parse_json(std::string_view text) {
  if (is_too_deep(text)) {
    throw payload_error("the JSON has more than " + std::to_string(most_json_depth) +
                        " values inside each other");
  }
  try {
    return json_value::parse(text);
  } catch (const nlohmann::json::exception& e) {
    // The text quotes the body, which may be long, and no UTF-8.
    throw payload_error("the body is no JSON: " + printable(plain(e.what())));
  }
}

std::string json_text(const json_value& value) {
  try {
    return value.dump();
  } catch (const nlohmann::json::exception& e) { detail::refuse_to_write(e.what()); }
}

}  // namespace heddle::http
