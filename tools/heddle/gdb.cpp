// SPDX-License-Identifier: MIT
#include "gdb.h"

#include "core_file.h"
#include "heddle_py.h"
#include "processes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace tool {
namespace {

/// A descriptor of the commands, which gdb inherits; -1: there is none.
int script() {
  const int file = ::memfd_create("heddle.py", 0);
  if (file < 0) return -1;
  const auto& text = embedded::heddle_py;
  if (::write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size())) return -1;
  return file;
}

/// The commands run this tool, wherever it stands.
void tell_where_the_tool_is() {
  char path[PATH_MAX];
  const auto n = ::readlink("/proc/self/exe", path, sizeof path - 1);
  if (n <= 0) return;
  path[n] = 0;
  ::setenv("HEDDLE_TOOL", path, 1);
}

/// What gdb is told of a core: the program's file if it fits, and the core. A core that comes
/// through a pipe, or is packed, is handed on as an open file.
int add_core(const options& o, std::vector<std::string>& words) {
  std::string why;
  const int file = open_core_source(o.target, why);
  const int kept = file < 0 ? -1 : ::fcntl(file, F_DUPFD, 3);
  auto core = file < 0 ? nullptr : core_file::open(file, why);
  if (!core) {
    std::fprintf(stderr, "heddle: %s cannot be read as a core: %s\n", o.target.c_str(),
                 why.c_str());
    return unreadable;
  }
  if (!o.exe.empty()) core->look_for_program_at(o.exe);
  const auto program = core->file_of(core->program_path());
  if (program.how == fit::other) {
    std::fprintf(stderr,
                 "heddle: %s is of another build than this core\nbuild id %s, and wanted is %s. "
                 "Give the right file with --exe FILE, or --exe none.\n",
                 program.path.c_str(), program.id.c_str(), program.wanted_id.c_str());
    return unreadable;
  }
  if (program.how == fit::same) words.push_back(program.path);
  words.push_back("--core=/proc/self/fd/" + std::to_string(kept));
  return good;
}

}  // namespace

int gdb(const options& o) {
  if (o.target.empty()) {
    std::fputs("heddle: gdb of which process, or of which core?\nheddle ps lists them.\n", stderr);
    return usage;
  }
  const int commands = script();
  if (commands < 0) {
    std::fprintf(stderr, "heddle: no memory for the commands: %s\n", std::strerror(errno));
    return unreadable;
  }
  std::vector<std::string> words{"gdb", "-q"};
  if (means_core(o.target)) {
    if (const int r = add_core(o, words); r != good) return r;
  } else {
    const auto found = processes_named(o.target);
    if (found.size() != 1) {
      std::fprintf(stderr, "heddle: %s is called %s\n",
                   found.empty() ? "no program" : "more than one program", o.target.c_str());
      return found.empty() ? gone : usage;
    }
    words.push_back("--pid=" + std::to_string(found[0]));
  }
  words.push_back("-ex");
  words.push_back("python exec(compile(open('/proc/self/fd/" + std::to_string(commands) +
                  "').read(), 'heddle.py', 'exec'))");
  tell_where_the_tool_is();
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  std::fprintf(stderr, "heddle: gdb cannot be started: %s\nIt is in the package gdb.\n",
               std::strerror(errno));
  return unreadable;
}

}  // namespace tool
