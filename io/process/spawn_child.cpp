// SPDX-License-Identifier: MIT
#include <heddle/io/process/spawn_child.h>

#include <heddle/core/checked.h>
#include <heddle/io/process/child_descriptors.h>
#include <heddle/io/process/child_side.h>
#include <heddle/io/process/command_line.h>

#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

/// clone() under the name by which no sanitizer replaces it: the replacements count on a copy of
/// the memory.
extern "C" int heddle_plain_clone(int (*run)(void*), void* stack, int flags, void* argument,
                                  ...) noexcept __asm__("__clone");

namespace heddle::detail {
namespace {

constexpr std::size_t stack_size = 64 * 1024;

/// The stack of a child until it has its program.
class child_stack {
 public:
  child_stack()
      : memory_(::mmap(nullptr, stack_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {
    if (memory_ == MAP_FAILED) throw_system_error(errno, "mmap", "the stack of a child");
  }
  child_stack(const child_stack&) = delete;
  ~child_stack() { ::munmap(memory_, stack_size); }
  [[nodiscard]] void* top() const noexcept { return static_cast<char*>(memory_) + stack_size; }

 private:
  void* const memory_;
};

/// Blocks all signals of this thread, also those that the C library keeps for itself. Else a
/// handler of this program could run in the child.
class signals_blocked {
 public:
  signals_blocked() noexcept {
    constexpr unsigned long all = ~0ul;
    (void)::syscall(SYS_rt_sigprocmask, static_cast<long>(SIG_SETMASK), &all, &before_, sizeof all);
  }
  signals_blocked(const signals_blocked&) = delete;
  ~signals_blocked() {
    (void)::syscall(SYS_rt_sigprocmask, static_cast<long>(SIG_SETMASK), &before_, nullptr,
                    sizeof before_);
  }

 private:
  static_assert(sizeof(unsigned long) == 8, "the kernel's set of signals is one word");
  unsigned long before_ = 0;
};

void check_options(const process_options& o) {
  if (o.process_group) {
    if (*o.process_group < 0)
      throw bad_value(
          "process_options::process_group is negative: 0 for a group of its own, or "
          "the number of a group");
    if (o.new_session || o.terminal)
      throw bad_value(
          "process_options: the leader of a new session (new_session, terminal) has a "
          "process group of its own already");
  }
  if (o.nice) (void)checked<int>(*o.nice, "process_options::nice", -20, 19);
  (void)checked<int>(o.parent_death_signal, "process_options::parent_death_signal", 0, 64);
}

/// The rest of the options, as the child reads them.
class child_bounds {
 public:
  explicit child_bounds(const process_options& o) {
    for (const auto& l : o.limits) limits_.push_back({l.resource, {l.soft, l.hard}});
    if (o.groups) groups_ = *o.groups;
  }
  void tell(const process_options& o, child_plan& p) const noexcept {
    p.leads_session = o.new_session || o.terminal;
    p.joins_group = o.process_group.has_value();
    p.group = o.process_group.value_or(0);
    p.sets_nice = o.nice.has_value();
    p.nice = o.nice.value_or(0);
    p.limits = limits_.data();
    p.limit_count = limits_.size();
    p.sets_mask = o.umask.has_value();
    p.mask = o.umask.value_or(0);
    p.directory = o.cwd.empty() ? nullptr : o.cwd.c_str();
    // The groups of root would be more rights than the user has.
    p.sets_groups = o.groups || ((o.user || o.group) && ::geteuid() == 0);
    p.groups = groups_.data();
    p.group_count = groups_.size();
    p.sets_group_id = o.group.has_value();
    p.group_id = o.group.value_or(0);
    p.sets_user_id = o.user.has_value();
    p.user_id = o.user.value_or(0);
    p.death_signal = o.parent_death_signal;
    p.parent = ::getpid();
  }

 private:
  std::vector<child_plan::limit> limits_;
  std::vector<gid_t> groups_;
};

/// Returns an errno, for a child.pid that is negative. The pidfd comes with the child: if there is
/// no descriptor for it, no child begins. Asked for later, it could fail while the program already
/// runs. A kernel before 5.2 gives none; a sandbox may refuse the flag.
int clone_child(spawned_child& child, const child_stack& stack, child_plan& plan) noexcept {
  int pidfd = -1;
  int error = 0;
  const signals_blocked hold;
  for (int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;; flags &= ~CLONE_PIDFD) {
    child.pid = heddle_plain_clone(run_child, stack.top(), flags, &plan, &pidfd);
    error = errno;
    if (child.pid >= 0 || error != EINVAL || (flags & CLONE_PIDFD) == 0) break;
  }
  if (child.pid >= 0) child.pidfd = fd(pidfd);
  return error;
}

[[noreturn]] void throw_failure(const child_plan& p, const std::string& program,
                                const process_options& o) {
  std::string about = program;
  if (p.failed_number >= 0) about += ", number " + std::to_string(p.failed_number);
  if (!o.cwd.empty()) about += " in " + o.cwd;
  throw_system_error(p.error, p.failed_call, about);
}

}  // namespace

spawned_child spawn_child(const std::vector<std::string>& command, const process_options& o) {
  const command_line line(command, o);
  check_options(o);
  spawned_child child;
  const child_descriptors descriptors(o, child);
  const child_bounds bounds(o);
  const child_stack stack;

  child_plan plan;
  descriptors.tell(plan);
  bounds.tell(o, plan);
  plan.places = line.places();
  plan.command = line.words();
  plan.environment = line.environment();
  const int error = clone_child(child, stack, plan);
  if (child.pid < 0) throw_system_error(error, "clone", command.front());
  if (plan.failed_call) {
    while (::waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {}
    throw_failure(plan, command.front(), o);
  }
  return child;
}

}  // namespace heddle::detail
