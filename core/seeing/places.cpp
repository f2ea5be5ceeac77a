// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/places.h>

#include <cstring>
#include <string_view>

namespace heddle::detail::seeing {
namespace {

/// Reads what a compiler calls a function, from left to right.
class plain_reader {
 public:
  plain_reader(const char* text, short_writer& to) noexcept : at_(text), to_(&to) {}

  void run() noexcept {
    while (*at_ != 0 && step()) {}
    end_part();
    to_->put(std::string_view(name_, used_));
  }

 private:
  // False: the name is over.
  bool step() noexcept {
    switch (*at_) {
      case ' ': return blank();
      case '[': return false;  // " [T = int]"
      case '(': return parenthesis();
      case '<': return angle();
      case '{': return brace();
      case '*':
      case '&':
        if (is_operator()) break;
        ++at_;  // of the type that it yields
        used_ = 0;
        return true;
      default: break;
    }
    take(*at_++);
    return true;
  }
  // What came before a blank was a type, or "static" and the like.
  bool blank() noexcept {
    ++at_;
    if (is_operator()) return true;  // "operator bool"
    if (std::strncmp(at_, "const", 5) == 0 || *at_ == '[') return *at_ != '[';
    used_ = 0;
    return true;
  }
  bool parenthesis() noexcept {
    if (starts("(anonymous namespace)::")) return at_ += 23, true;
    if (starts("(anonymous class)") || starts("(lambda")) return skip('(', ')'), lambda();
    if (starts("(anonymous")) return skip('(', ')'), put("{unnamed}"), true;
    if (is_operator() && at_[1] == ')') return at_ += 2, put("()"), true;
    const bool is_type = ends("decltype") || ends("noexcept");
    skip('(', ')');
    if (is_type) return true;
    // The parameters: the name ends here, unless it is that of something inside this function.
    while (starts(" const")) at_ += 6;
    while (starts(" mutable")) at_ += 8;
    return starts("::");
  }
  bool angle() noexcept {
    if (is_operator()) return take(*at_++), true;
    const bool is_lambda = starts("<lambda");
    skip('<', '>');
    return !is_lambda || lambda();
  }
  bool brace() noexcept {
    if (starts("{anonymous}::")) return at_ += 13, true;
    const bool is_lambda = starts("{lambda");
    skip('{', '}');
    return !is_lambda || lambda();
  }
  bool lambda() noexcept { return put("{lambda}"), true; }

  // Behind the bracket that closes what opens here. "->" and "operator>" close nothing.
  void skip(char open, char close) noexcept {
    int depth = 0;
    char before = 0;
    for (; *at_ != 0; before = *at_++) {
      if (*at_ == open) {
        ++depth;
      } else if (*at_ == close && !(close == '>' && before == '-')) {
        if (--depth == 0) {
          ++at_;
          return;
        }
      }
    }
  }
  [[nodiscard]] bool starts(std::string_view text) const noexcept {
    return std::strncmp(at_, text.data(), text.size()) == 0;
  }
  [[nodiscard]] bool ends(std::string_view text) const noexcept {
    return std::string_view(name_, used_).ends_with(text);
  }
  [[nodiscard]] bool is_operator() const noexcept {
    return ends("operator") || ends("operator<") || ends("operator>") || ends("operator-") ||
           ends("operator*") || ends("operator&");
  }
  void put(std::string_view text) noexcept {
    for (const char c : text) take(c);
  }
  void take(char c) noexcept {
    if (used_ < sizeof name_) name_[used_++] = c;
  }
  void end_part() noexcept {
    if (std::string_view(name_, used_).ends_with("::")) used_ -= 2;
  }

  const char* at_;
  short_writer* to_;
  char name_[480];
  std::size_t used_ = 0;
};

}  // namespace

void put_plain_function(short_writer& to, const char* pretty) noexcept {
  plain_reader(pretty, to).run();
}

const char* place_view::short_file() const noexcept {
  const char* slash = std::strrchr(file, '/');
  return slash ? slash + 1 : file;
}

const place_view* places::find(address at) noexcept {
  if (at == 0 || at % 8 != 0 || !from_) return nullptr;
  auto& p = slots_[(at / 8) % slots];
  if (p.at != at) {
    p.line = 0;
    p.at = at;
    if (!read(at, p)) p.line = 0;
  }
  return p.line != 0 ? &p : nullptr;
}

// libstdc++'s std::source_location: a pointer to two texts and two numbers.
bool places::read(address at, place_view& to) noexcept {
  struct {
    address file;
    address function;
    std::uint32_t line;
    std::uint32_t column;
  } p{};
  char function[1024] = "";
  constexpr std::uint32_t most_lines = 1u << 24;
  if (!from_->get(at, p) || p.line == 0 || p.line > most_lines || p.column > most_lines)
    return false;
  // A core without the program's file has the lines, and not the texts.
  if (!from_->text(p.file, to.file, sizeof to.file)) std::strcpy(to.file, "?");
  if (to.file[0] < ' ') return false;
  (void)from_->text(p.function, function, sizeof function);
  short_writer name(to.function);
  put_plain_function(name, function);
  to.line = p.line;
  to.column = p.column;
  return true;
}

}  // namespace heddle::detail::seeing
