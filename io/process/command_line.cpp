// SPDX-License-Identifier: MIT
#include <heddle/io/process/command_line.h>

#include <heddle/core/errors.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace heddle::detail {
namespace {

std::string path_of(const process_options& o) {
  if (o.env) {
    for (const auto& [name, value] : *o.env)
      if (name == "PATH") return value;
  } else if (const char* path = std::getenv("PATH")) {
    return path;
  }
  return "/bin:/usr/bin";
}

std::vector<std::string> places_of(const std::string& program, const process_options& o) {
  if (program.find('/') != std::string::npos) return std::vector<std::string>(1, program);
  std::vector<std::string> places;
  const std::string path = path_of(o);
  for (std::size_t from = 0; from <= path.size();) {
    auto to = path.find(':', from);
    if (to == std::string::npos) to = path.size();
    std::string place = path.substr(from, to - from);
    if (place.empty()) place = ".";
    place += "/" + program;
    // The stat only saves a vain attempt: exec decides. A relative place may mean another file in
    // the child's directory, so it is always tried.
    struct stat s;
    if (place[0] != '/' || ::stat(place.c_str(), &s) == 0) places.push_back(std::move(place));
    from = to + 1;
  }
  return places;
}

void check_word(const std::string& word) {
  if (word.find('\0') != std::string::npos)
    throw bad_value("an argument, or the environment, of a process holds a NUL character");
}

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> all;
  all.reserve(words.size() + 1);
  for (const auto& w : words) all.push_back(const_cast<char*>(w.c_str()));
  all.push_back(nullptr);
  return all;
}

std::vector<std::string> environment_of(const process_options& o) {
  std::vector<std::string> lines;
  if (!o.env) return lines;
  for (const auto& [name, value] : *o.env) {
    if (name.empty() || name.find('=') != std::string::npos)
      throw bad_value("no name for an environment variable: \"" + name + "\"");
    lines.push_back(name + "=" + value);
    check_word(lines.back());
  }
  return lines;
}

const std::string& program_of(const std::vector<std::string>& command, const process_options& o) {
  if (command.empty() || command.front().empty()) throw bad_value("a process without a program");
  for (const auto& word : command) check_word(word);
  check_word(o.cwd);
  return command.front();
}

}  // namespace

command_line::command_line(const std::vector<std::string>& command, const process_options& o)
    : own_environment_(o.env.has_value()),
      lines_(environment_of(o)),
      paths_(places_of(program_of(command, o), o)),
      words_(pointers_to(command)),
      environment_(pointers_to(lines_)) {
  for (const auto& p : paths_) places_.push_back(p.c_str());
  places_.push_back(nullptr);
}

char* const* command_line::environment() const noexcept {
  return own_environment_ ? environment_.data() : environ;
}

}  // namespace heddle::detail
