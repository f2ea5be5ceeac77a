// SPDX-License-Identifier: MIT
#include "source_lines.h"

#include <elf.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <vector>

extern char** environ;

namespace tool {
namespace {

namespace seeing = heddle::detail::seeing;

/// The file as this process can open it, although the program may be in another mount namespace,
/// or its file deleted.
std::string path_of(const seeing::sight& s, const std::string& name) {
  const std::string process = "/proc/" + std::to_string(s.living());
  char target[4096];
  const auto n = ::readlink((process + "/exe").c_str(), target, sizeof target);
  if (n > 0 && std::string(target, static_cast<std::size_t>(n)) == name) return process + "/exe";
  return process + "/root" + name;
}

/// Where the byte at `offset` of the file stands by the file's own addresses.
std::uint64_t in_file(const std::string& path, std::uint64_t offset) {
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr head{};
  if (!file.read(reinterpret_cast<char*>(&head), sizeof head)) return offset;
  for (unsigned i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr segment{};
    file.seekg(static_cast<std::streamoff>(head.e_phoff + i * sizeof segment));
    if (!file.read(reinterpret_cast<char*>(&segment), sizeof segment)) return offset;
    if (segment.p_type == PT_LOAD && offset >= segment.p_offset &&
        offset - segment.p_offset < segment.p_filesz)
      return offset - segment.p_offset + segment.p_vaddr;
  }
  return offset;
}

/// What a program writes; empty if it cannot be run.
std::string output_of(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const auto& w : words) argv.push_back(const_cast<char*>(w.c_str()));
  argv.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t process = -1;
  const int code = ::posix_spawnp(&process, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string all;
  char bytes[4096];
  for (ssize_t n = 0; code == 0 && (n = ::read(ends[0], bytes, sizeof bytes)) > 0;)
    all.append(bytes, static_cast<std::size_t>(n));
  ::close(ends[0]);
  if (code == 0) ::waitpid(process, nullptr, 0);
  return all;
}

/// "/src/log.cpp:91 (discriminator 2)" -> "log.cpp:91"; "" for "??:0".
std::string short_line(std::string text) {
  text.resize(std::min(text.find(" (discriminator"), text.size()));
  if (text.starts_with("??") || text.ends_with(":?")) return {};
  const auto slash = text.rfind('/');
  return slash == std::string::npos ? text : text.substr(slash + 1);
}

std::string hexadecimal(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

void source_lines::add(const std::uint64_t* addresses, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) lines_[addresses[i]];
}

void source_lines::ask(const seeing::sight& s) {
  std::map<std::string, std::vector<std::uint64_t>> by_file;
  for (const auto& [address, line] : lines_)
    if (const auto* range = s.code().code_at(address))
      by_file[s.code().name(*range)].push_back(address);
  for (const auto& [name, addresses] : by_file) {
    if (!name.starts_with("/")) continue;
    const std::string path = path_of(s, name);
    std::vector<std::string> words{"addr2line", "-e", path};
    for (const auto a : addresses) {
      const auto& range = *s.code().code_at(a);
      words.push_back(hexadecimal(in_file(path, a - range.begin + range.offset)));
    }
    const std::string said = output_of(words);
    std::size_t from = 0;
    for (const auto a : addresses) {
      const auto end = said.find('\n', from);
      if (end == std::string::npos) break;
      lines_[a] = short_line(said.substr(from, end - from));
      from = end + 1;
    }
  }
}

const std::string& source_lines::at(std::uint64_t address) const {
  static const std::string unknown;
  const auto found = lines_.find(address);
  return found == lines_.end() ? unknown : found->second;
}

}  // namespace tool
