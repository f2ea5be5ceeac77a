// SPDX-License-Identifier: MIT
#include "asked_memory.h"

#include <heddle/core/checked.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string_view>

namespace tool {
namespace {

constexpr std::size_t longest_line = 8192;
constexpr std::uint64_t most_mappings = std::uint64_t{1} << 16;

constexpr std::uint64_t most_int = std::numeric_limits<int>::max();

/// The number in front of `text`, which goes on behind it and a blank. False: there is none.
bool take_number(std::string_view& text, std::uint64_t& to, unsigned base,
                 std::uint64_t most = ~std::uint64_t{0}) {
  const auto n = std::min(text.find_first_of(" ,"), text.size());
  if (!heddle::detail::parse_digits(text.substr(0, n), most, to, base)) return false;
  text.remove_prefix(std::min(n + 1, text.size()));
  return true;
}

std::string hexadecimal(std::uint64_t value) {
  std::string digits;
  do digits.insert(digits.begin(), "0123456789abcdef"[value & 15]);
  while ((value >>= 4) != 0);
  return digits;
}

}  // namespace

std::unique_ptr<asked_program> asked_program::open(const std::string& descriptors) {
  std::string_view text = descriptors;
  std::uint64_t in = 0, out = 0;
  if (!take_number(text, in, 10, most_int) || !take_number(text, out, 10, most_int)) return nullptr;
  std::unique_ptr<asked_program> made(
      new asked_program(static_cast<int>(in), static_cast<int>(out)));
  if (!made->load()) return nullptr;
  return made;
}

bool asked_program::ask(const std::string& question) const {
  for (std::size_t at = 0; at < question.size();) {
    const auto put = ::write(out_, question.data() + at, question.size() - at);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += static_cast<std::size_t>(put);
  }
  return true;
}

bool asked_program::answer(void* to, std::size_t n) const {
  for (std::size_t at = 0; at < n;) {
    const auto got = ::read(in_, static_cast<char*>(to) + at, n - at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += static_cast<std::size_t>(got);
  }
  return true;
}

bool asked_program::answer_line(std::string& to) const {
  to.clear();
  for (char c; answer(&c, 1) && to.size() < longest_line; to += c)
    if (c == '\n') return true;
  return false;
}

bool asked_program::load() {
  std::string line;
  if (!ask("maps\n") || !answer_line(line)) return false;
  std::string_view first = line;
  std::uint64_t process = 0, count = 0;
  if (!take_number(first, process, 10, most_int) || !take_number(first, count, 10, most_mappings))
    return false;
  process_ = static_cast<pid_t>(process);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!answer_line(line)) return false;
    std::string_view rest = line;
    mapping m;
    if (!take_number(rest, m.begin, 16) || !take_number(rest, m.end, 16) ||
        !take_number(rest, m.offset, 16))
      return false;
    m.path = rest;
    mappings_.push_back(std::move(m));
  }
  sort_mappings();
  return true;
}

bool asked_program::asked::read(address at, void* to, std::size_t n) noexcept {
  char is_there = '0';
  if (!of_.ask("read " + hexadecimal(at) + " " + std::to_string(n) + "\n") ||
      !of_.answer(&is_there, 1))
    return false;
  if (is_there == '1') return of_.answer(to, n);
  return files_ && of_.read_from_file(at, to, n);
}

}  // namespace tool
