// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/function_names.h>

#include <cstring>
#include <string_view>

namespace heddle::detail::seeing {
namespace {

constexpr char anonymous[] = "12_GLOBAL__N_1";  // a namespace without a name: it is left out

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }

/// The part of the Itanium ABI's grammar that names of functions are made of.
class parser {
 public:
  parser(const char* text, short_writer& to) noexcept : at_(text), to_(&to) {}

  /// False: not understood.
  bool name(int depth = 0) noexcept {
    if (depth > 16) return false;
    if (*at_ == 'Z') return local_name(depth);
    if (*at_ == 'N') return nested_name();
    if (at_[0] == 'S' && at_[1] == 't') {
      at_ += 2;
      to_->put("std::");
    }
    return unqualified() && arguments();
  }
  /// A callback is a class of the library's with the user's function among its arguments. Writes
  /// the name of that function. False: it is no callback, or not understood.
  bool callback() noexcept {
    constexpr struct {
      std::string_view symbol;
      bool comes_first;
    } classes[] = {{"N6heddle6detail14bound_callbackI", false},
                   {"N6heddle6detail19bound_done_callbackI", false},
                   {"N6heddle6detail16done_callback_ofI", true}};
    const std::string_view text(at_);
    for (const auto& c : classes) {
      if (!text.starts_with(c.symbol)) continue;
      at_ += c.symbol.size();
      to_->put("callback ");
      return (c.comes_first || skip_type()) && name();
    }
    return false;
  }

 private:
  bool skip_type() noexcept {
    if (is_digit(*at_)) return source_name(false) && arguments();
    if (*at_ == 'S') return skip_substitution();
    const bool is_nested = *at_ == 'N';
    if (!is_nested && !is_lower(*at_)) return false;
    ++at_;
    return !is_nested || skip_to_end();
  }
  // Z <function> E <name within it>
  bool local_name(int depth) noexcept {
    ++at_;
    if (!name(depth + 1) || !skip_to_end()) return false;
    to_->put("::");
    if (*at_ == 's') {
      ++at_;
      return true;
    }
    if (*at_ == 'd') {
      while (*at_ != 0 && *at_ != '_') ++at_;
      if (*at_ == '_') ++at_;
    }
    return name(depth + 1);
  }
  // N <qualifiers> <parts> E
  bool nested_name() noexcept {
    ++at_;
    while (*at_ == 'K' || *at_ == 'V' || *at_ == 'r' || *at_ == 'R' || *at_ == 'O') ++at_;
    bool first = true;
    while (*at_ != 0 && *at_ != 'E') {
      if (std::strncmp(at_, anonymous, sizeof anonymous - 1) == 0) {
        at_ += sizeof anonymous - 1;
        continue;
      }
      if (at_[0] == 'S' && at_[1] == 't') {
        at_ += 2;
        to_->put("std");
      } else if (*at_ == 'S' || *at_ == 'T') {
        if (!skip_substitution()) return false;
      } else if (*at_ == 'I') {
        if (!arguments()) return false;
        continue;
      } else {
        if (!first) to_->put("::");
        if (!unqualified()) return false;
      }
      first = false;
    }
    if (*at_ != 'E') return false;
    ++at_;
    return true;
  }
  bool unqualified() noexcept {
    if (*at_ == 'L') ++at_;  // internal linkage
    if (is_digit(*at_)) return source_name(true);
    if (at_[0] == 'U' && (at_[1] == 'l' || at_[1] == 't')) {
      const bool is_lambda = at_[1] == 'l';
      at_ += 2;
      if (is_lambda && !skip_to_end()) return false;
      while (is_digit(*at_)) ++at_;
      if (*at_ == '_') ++at_;
      to_->put(is_lambda ? "{lambda}" : "{unnamed}");
      return true;
    }
    if ((*at_ == 'C' || *at_ == 'D') && is_digit(at_[1])) {
      to_->put(*at_ == 'C' ? "{constructor}" : "{destructor}");
      at_ += 2;
      return true;
    }
    if (is_lower(at_[0]) && at_[1] != 0) {
      to_->put(at_[0] == 'c' && at_[1] == 'l' ? "operator()" : "operator");
      at_ += 2;
      return true;
    }
    return false;
  }
  bool source_name(bool told) noexcept {
    std::size_t n = 0;
    while (is_digit(*at_)) n = n * 10 + static_cast<std::size_t>(*at_++ - '0');
    if (n == 0 || std::strlen(at_) < n) return false;
    const std::string_view text(at_, n);
    at_ += n;
    if (told) {
      if (text.starts_with("$_"))
        to_->put("{lambda}");
      else
        to_->put(text);
    }
    while (*at_ == 'B') {  // tags of the ABI
      ++at_;
      if (!source_name(false)) return false;
    }
    return true;
  }
  bool arguments() noexcept {
    if (*at_ != 'I') return true;
    ++at_;
    return skip_to_end();
  }
  bool skip_substitution() noexcept {
    ++at_;
    if (is_lower(*at_)) {  // Sa, Ss and the like
      ++at_;
      return true;
    }
    while (*at_ != 0 && *at_ != '_') ++at_;
    if (*at_ == 0) return false;
    ++at_;
    return true;
  }
  // Behind the E that ends what the caller is in.
  bool skip_to_end() noexcept {
    for (int depth = 1; *at_ != 0;) {
      const char c = *at_;
      if (c == 'E') {
        ++at_;
        if (--depth == 0) return true;
      } else if (is_digit(c)) {
        if (!source_name(false)) return false;
      } else if (c == 'L' && !is_digit(at_[1])) {  // a literal: its number is no length
        if (at_[1] == '_' && at_[2] == 'Z') {
          at_ += 3;
          ++depth;
        } else {
          while (*at_ != 0 && *at_ != 'E') ++at_;
          if (*at_ == 'E') ++at_;
        }
      } else if (c == 'S' || (c == 'T' && (at_[1] == '_' || is_digit(at_[1])))) {
        if (at_[1] == 't')
          at_ += 2;
        else if (!skip_substitution())
          return false;
      } else if (c == 'D' && (at_[1] == 'T' || at_[1] == 't')) {
        at_ += 2;
        ++depth;
      } else {
        if (c == 'N' || c == 'I' || c == 'F' || c == 'J' || c == 'X' || c == 'Z' ||
            (c == 'U' && at_[1] == 'l'))
          ++depth;
        ++at_;
        if (c == 'U' && *at_ == 'l') ++at_;
      }
    }
    return false;
  }

  const char* at_;
  short_writer* to_;
};

}  // namespace

void put_function_name(short_writer& to, const char* symbol) noexcept {
  if (symbol[0] == '_' && symbol[1] == 'Z') {
    char name[512];
    short_writer of_callback(name);
    if (parser(symbol + 2, of_callback).callback()) return to.put(of_callback.text());
    short_writer told(name);
    if (parser(symbol + 2, told).name()) return to.put(told.text());
  }
  to.put(symbol);
}

}  // namespace heddle::detail::seeing
