// SPDX-License-Identifier: MIT
#include "looking.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#ifndef HEDDLE_INSIDE_TOOL
#define HEDDLE_INSIDE_TOOL ""
#define HEDDLE_INSIDE_PLAIN ""
#define HEDDLE_INSIDE_STRIPPED ""
#endif

extern char** environ;

namespace conformance {

std::string temporary_file() {
  char path[] = "/tmp/heddle-inside-XXXXXX";
  const int file = ::mkstemp(path);
  if (file < 0) throw std::runtime_error("no temporary file");
  ::close(file);
  return path;
}

namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

/// Starts `words` with its three descriptors; -1: keeps ours.
pid_t start(const std::vector<std::string>& words, const std::vector<std::string>& environment,
            int in, int out, int err) {
  std::vector<char*> argv;
  for (const auto& w : words) argv.push_back(const_cast<char*>(w.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> env;
  for (char** e = environ; *e; ++e)  // this program's loops are not watched, the others' are
    if (!std::string_view(*e).starts_with("HEDDLE_STALL_LIMIT=")) env.push_back(*e);
  for (const auto& e : environment) env.push_back(const_cast<char*>(e.c_str()));
  env.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  const int given[] = {in, out, err};
  for (int i = 0; i < 3; ++i)
    if (given[i] >= 0) ::posix_spawn_file_actions_adddup2(&actions, given[i], i);
  pid_t process = -1;
  const int code =
      ::posix_spawnp(&process, words[0].c_str(), &actions, nullptr, argv.data(), env.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (code != 0) throw std::system_error(code, std::generic_category(), words[0]);
  return process;
}

std::string copy_of(const std::string& program) {
  const std::string copy = temporary_file();
  std::ofstream(copy, std::ios::binary) << std::ifstream(program, std::ios::binary).rdbuf();
  ::chmod(copy.c_str(), 0755);
  return copy;
}

int open_file(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

}  // namespace

std::string path_of_tool() { return HEDDLE_INSIDE_TOOL; }
std::string copy_of_tool() { return copy_of(HEDDLE_INSIDE_TOOL); }

watched::watched(const char* name, unsigned loops, int n, build how,
                 std::vector<std::string> environment)
    : errors_path_(temporary_file()) {
  int to_child[2], from_child[2];
  if (::pipe2(to_child, O_CLOEXEC) != 0 || ::pipe2(from_child, O_CLOEXEC) != 0)
    throw std::runtime_error("no pipes");
  const int errors = open_file(errors_path_);
  std::string path = how == build::stripped ? HEDDLE_INSIDE_STRIPPED : HEDDLE_INSIDE_PLAIN;
  if (how == build::deleted) path = copy_of(path);
  process_ = start({path, name, std::to_string(loops), std::to_string(n)}, environment, to_child[0],
                   from_child[1], errors);
  ::close(errors);
  ::close(to_child[0]);
  ::close(from_child[1]);
  input_ = to_child[1];
  char byte;
  while (::read(from_child[0], &byte, 1) == 1 && byte != '\n') {}
  ::close(from_child[0]);
  if (how == build::deleted) ::unlink(path.c_str());
}

watched::~watched() {
  ::kill(process_, SIGKILL);
  ::close(input_);
  ::waitpid(process_, nullptr, 0);
  ::unlink(errors_path_.c_str());
}

void watched::stop() const {
  ::kill(process_, SIGSTOP);
  int status = 0;
  ::waitpid(process_, &status, WUNTRACED);
}

std::string watched::errors() const { return read_file(errors_path_); }

ran run_program(const std::vector<std::string>& words) {
  const std::string out = temporary_file(), err = temporary_file();
  const int in_file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out_file = open_file(out), err_file = open_file(err);
  const pid_t process = start(words, {}, in_file, out_file, err_file);
  for (const int file : {in_file, out_file, err_file}) ::close(file);
  int status = 0;
  ::waitpid(process, &status, 0);
  ran result{WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
  ::unlink(out.c_str());
  ::unlink(err.c_str());
  return result;
}

ran tool(const std::vector<std::string>& arguments) {
  std::vector<std::string> words{HEDDLE_INSIDE_TOOL};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run_program(words);
}

bool soon(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

ran tool_until(const std::vector<std::string>& arguments,
               const std::function<bool(const ran&)>& fits) {
  ran last;
  const auto end = std::chrono::steady_clock::now() + 60s;
  do {
    last = tool(arguments);
    if (fits(last)) return last;
    std::this_thread::sleep_for(10ms);
  } while (std::chrono::steady_clock::now() < end);
  ADD_FAILURE() << "never seen; the last look, status " << last.status << ":\n"
                << last.out << last.err;
  return last;
}

std::vector<std::string> lines_with(const std::string& text,
                                    const std::vector<std::string>& parts) {
  std::vector<std::string> found;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    bool all = true;
    for (const auto& p : parts) all = all && line.find(p) != std::string::npos;
    if (all) found.push_back(line);
  }
  return found;
}

void looking_cases::SetUp() {
  cases::SetUp();
  if (std::string(HEDDLE_INSIDE_TOOL).empty()) GTEST_SKIP() << "the tool was not built";
}

}  // namespace conformance
