// SPDX-License-Identifier: MIT
#include "stacks.h"

#include <heddle/core/checked.h>

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace tool {

looked_at_thread::looked_at_thread(pid_t process, pid_t thread, bool stops) : thread_(thread) {
  known_ = read_blocked(process) || (stops && stop());
}

looked_at_thread::~looked_at_thread() {
  if (stopped_) ::ptrace(PTRACE_DETACH, thread_, nullptr, nullptr);
}

// "202 0x7f.. ... 0x7ffc5c 0x7f3a01": a number, six arguments, the stack pointer, the next
// instruction. "running": neither is known. "-1 SP PC": blocked, but in no call.
bool looked_at_thread::read_blocked(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/task/" + std::to_string(thread_) +
                   "/syscall");
  std::string line;
  std::getline(in, line);
  std::istringstream words(line);
  std::vector<std::string> all;
  for (std::string word; words >> word;) all.push_back(word);
  if (all.size() != 9 && all.size() != 3) return false;
  const auto read = [](const std::string& word, seeing::address& to) {
    return word.starts_with("0x") && heddle::detail::parse_digits(std::string_view(word).substr(2),
                                                                  ~seeing::address{0}, to, 16);
  };
  return read(all[all.size() - 2], stack_.stack) && read(all[all.size() - 1], stack_.code);
}

bool looked_at_thread::stop() {
#if defined(__x86_64__)
  if (::ptrace(PTRACE_SEIZE, thread_, nullptr, nullptr) != 0) return false;
  stopped_ = true;
  int status = 0;
  if (::ptrace(PTRACE_INTERRUPT, thread_, nullptr, nullptr) != 0 ||
      ::waitpid(thread_, &status, __WALL) != thread_ || !WIFSTOPPED(status))
    return false;
  user_regs_struct r{};
  iovec to{&r, sizeof r};
  if (::ptrace(PTRACE_GETREGSET, thread_, NT_PRSTATUS, &to) != 0) return false;
  stack_.stack = r.rsp;
  stack_.code = r.rip;
  for (const auto value : {r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.r8, r.r9, r.r10,
                           r.r11, r.r12, r.r13, r.r14, r.r15})
    stack_.registers[stack_.register_count++] = value;
  return true;
#else
  return false;  // other processors have other registers
#endif
}

}  // namespace tool
