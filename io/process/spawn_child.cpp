// SPDX-License-Identifier: MIT
#include <heddle/io/process/spawn_child.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace heddle::detail {
namespace {

/// The steps of posix_spawn. It returns the error that exec, or a step before it, met in the child.
/// It neither copies our memory nor runs code of ours in the child: after a fork of a program with
/// threads such code could meet a lock that nobody will release.
class spawn_steps {
 public:
  spawn_steps() {
    ensure(::posix_spawn_file_actions_init(&actions_));
    ensure(::posix_spawnattr_init(&attributes_));
  }
  spawn_steps(const spawn_steps&) = delete;
  ~spawn_steps() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  void give(int from, int to) { ensure(::posix_spawn_file_actions_adddup2(&actions_, from, to)); }
  void open_null(int to) {
    ensure(::posix_spawn_file_actions_addopen(&actions_, to, "/dev/null",
                                              to == 0 ? O_RDONLY : O_WRONLY, 0));
  }
  void close_the_rest() { ensure(::posix_spawn_file_actions_addclosefrom_np(&actions_, 3)); }
  void start_in(const std::string& directory) {
    ensure(::posix_spawn_file_actions_addchdir_np(&actions_, directory.c_str()));
  }
  void set_up(bool new_session) {
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (new_session) flags |= POSIX_SPAWN_SETSID;
    ensure(::posix_spawnattr_setflags(&attributes_, flags));
    // The calling thread may block signals (a loop blocks SIGPIPE). The child must not inherit
    // that.
    sigset_t signals;
    ::sigemptyset(&signals);
    ensure(::posix_spawnattr_setsigmask(&attributes_, &signals));
    // This program may ignore them, but the child's program expects to be ended by them.
    ::sigaddset(&signals, SIGPIPE);
    ::sigaddset(&signals, SIGXFSZ);
    ensure(::posix_spawnattr_setsigdefault(&attributes_, &signals));
  }
  [[nodiscard]] int run(pid_t& pid, const char* program, char* const* command,
                        char* const* environment) {
    return ::posix_spawn(&pid, program, &actions_, &attributes_, command, environment);
  }

 private:
  static void ensure(int error) {
    if (error != 0) throw_system_error(error, "posix_spawn");
  }
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

struct pipe_ends {
  fd read, write;
};

pipe_ends make_pipe() {
  int both[2];
  check(::pipe2(both, O_CLOEXEC), "pipe2");
  return {fd(both[0]), fd(both[1])};
}

/// The same open file under a number above 2. In the child one standard stream is set after the
/// other by dup2, which would close a file that still has such a number.
fd lift(int descriptor) {
  return fd(check(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3), "fcntl F_DUPFD_CLOEXEC",
                  "descriptor " + std::to_string(descriptor)));
}

fd above_the_standard_ones(fd own) { return own.get() > 2 ? std::move(own) : lift(own.get()); }

void make_non_blocking(const fd& end) {
  const int flags = check(::fcntl(end.get(), F_GETFL), "fcntl F_GETFL");
  check(::fcntl(end.get(), F_SETFL, flags | O_NONBLOCK), "fcntl F_SETFL");
}

std::string path_of(const process_options& o) {
  if (o.env) {
    for (const auto& [name, value] : *o.env)
      if (name == "PATH") return value;
  } else if (const char* path = std::getenv("PATH")) {
    return path;
  }
  return "/bin:/usr/bin";
}

/// The paths at which the program may be, best first.
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

}  // namespace

spawned_child spawn_child(const std::vector<std::string>& command, const process_options& o) {
  if (command.empty() || command.front().empty()) throw bad_value("a process without a program");
  for (const auto& word : command) check_word(word);
  check_word(o.cwd);
  if (o.stdin.what() == stdio::to_stdout || o.stdout.what() == stdio::to_stdout)
    throw bad_value("only stderr can be sent to stdout");

  spawned_child child;
  spawn_steps steps;
  const stdio wishes[3] = {o.stdin, o.stdout, o.stderr};
  fd* const ours[3] = {&child.in, &child.out, &child.error};
  fd theirs[3];
  for (int i = 0; i < 3; ++i) {
    if (const int user = wishes[i].descriptor(); user >= 0) {
      theirs[i] = lift(user);
    } else if (wishes[i].what() == stdio::pipe) {
      auto p = make_pipe();
      theirs[i] = above_the_standard_ones(std::move(i == 0 ? p.read : p.write));
      *ours[i] = above_the_standard_ones(std::move(i == 0 ? p.write : p.read));
      make_non_blocking(*ours[i]);
    }
  }
  for (int i = 0; i < 3; ++i) {
    if (theirs[i].valid())
      steps.give(theirs[i].get(), i);
    else if (wishes[i].what() == stdio::null)
      steps.open_null(i);
    else if (wishes[i].what() == stdio::to_stdout)
      steps.give(1, 2);
  }
  if (!o.cwd.empty()) steps.start_in(o.cwd);
  if (o.close_descriptors) steps.close_the_rest();
  steps.set_up(o.new_session);

  const auto words = pointers_to(command);
  const auto lines = environment_of(o);
  const auto given = pointers_to(lines);
  char* const* environment = o.env ? given.data() : environ;
  int error = ENOENT;
  for (const auto& place : places_of(command.front(), o)) {
    const int now = steps.run(child.pid, place.c_str(), words.data(), environment);
    if (now == 0) return child;
    if (error == ENOENT || now == EACCES) error = now;  // "forbidden" tells more than "not there"
    if (now != ENOENT && now != ENOTDIR && now != EACCES) break;
  }
  std::string about = command.front();
  if (!o.cwd.empty()) about += " in " + o.cwd;
  throw_system_error(error, "posix_spawn", about);
}

}  // namespace heddle::detail
