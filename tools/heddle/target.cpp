// SPDX-License-Identifier: MIT
#include "target.h"

#include "asked_memory.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <vector>

namespace tool {
namespace {

/// "6.1 MB".
std::string size_of(std::uint64_t bytes) {
  const std::uint64_t tenths = bytes / 100'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MB";
}

using looker = int (*)(const options&, target&);
using chooser = int (*)(int, int);

/// All heddles of one target.
int look_at_all(const options& o, target& t, looker look, chooser chosen) {
  int result = t.open(0);
  if (result != good) return result;
  result = look(o, t);
  for (std::size_t which = 1; t.open(which) == good; ++which) result = chosen(result, look(o, t));
  return result;
}

int look_at_core(const options& o, looker look, chooser chosen) {
  std::string why;
  const int file = open_core_source(o.target, why);
  auto core = file < 0 ? nullptr : core_file::open(file, why);
  if (!core) {
    std::fprintf(stderr, "heddle: %s cannot be read as a core: %s\n",
                 o.target == "-" ? "what came" : o.target.c_str(), why.c_str());
    return unreadable;
  }
  if (!o.exe.empty()) core->look_for_program_at(o.exe);
  target t(std::move(core));
  return look_at_all(o, t, look, chosen);
}

}  // namespace

int more_telling(int a, int b) {
  const auto rank = [](int s) { return s == circle ? 3 : s == good ? 2 : s == nothing ? 0 : 1; };
  return rank(b) > rank(a) ? b : a;
}

target::target(std::unique_ptr<core_file> core)
    : process_(core->process()), core_(core.get()), elsewhere_(std::move(core)) {}

target::target(std::unique_ptr<mapped_program> elsewhere, std::string name)
    : process_(elsewhere->process()), name_(std::move(name)), elsewhere_(std::move(elsewhere)) {}

int target::open(std::size_t which) {
  if (which == 0 && elsewhere_)
    if (const int r = check_files(); r != good) return r;
  sight_ = elsewhere_ ? std::make_unique<seeing::sight>(*elsewhere_)
                      : std::make_unique<seeing::sight>(process_);
  which_ = which;
  const auto how = sight_->open(which);
  if (how == seeing::opening::good) {
    (void)sight_->look_at_loops();
    if (!sight_->what().notes_places())
      std::fprintf(
          stderr,
          "heddle: %s was built with HEDDLE_SEEING=OFF: where tasks wait, and who made them, "
          "is not known\n",
          which == 0 ? title().c_str()
                     : ("heddle " + std::to_string(which + 1) + " of it").c_str());
    return good;
  }
  if (which != 0) return nothing;
  return elsewhere_ ? complain_of_core(how) : complain(process_, how, sight_->missing());
}

/// Names from a file of another build would all be wrong.
int target::check_files() {
  if (core_ && core_->missing_bytes() != 0)
    std::fprintf(stderr, "heddle: the core is cut off: %s of it are missing\n",
                 size_of(core_->missing_bytes()).c_str());
  for (std::size_t which = 0;; ++which) {
    const auto name = elsewhere_->file_of_heddle(which);
    if (name.empty()) return good;
    const auto& f = elsewhere_->file_of(name);
    if (f.how == fit::other) {
      std::fprintf(stderr,
                   "heddle: %s is of another build than this %s\nbuild id %s, and wanted is %s. "
                   "Give the right file with --exe FILE, or --exe none.\n",
                   f.path.c_str(), core_ ? "core" : "program",
                   f.id.empty() ? "(none)" : f.id.c_str(),
                   f.wanted_id.empty() ? "(none)" : f.wanted_id.c_str());
      return unreadable;
    }
    if (f.how == fit::missing)
      std::fprintf(stderr, "heddle: without %s (build id %s) functions and files have no names\n",
                   name.c_str(), f.wanted_id.empty() ? "unknown" : f.wanted_id.c_str());
  }
}

int target::complain_of_core(seeing::opening why) {
  if (core_ && core_->mappings().empty()) {
    std::fprintf(stderr, "heddle: the core does not say which files were mapped\n");
    return nothing;
  }
  return complain_of_layout(core_ ? "this core" : "this program", command(), why,
                            sight_->missing());
}

int target::broke_off() {
  if (!elsewhere_) return complain(process_, seeing::opening::gone, "");
  std::fprintf(stderr, "heddle: the list of tasks breaks off: what follows is not in this %s\n",
               core_ ? "core" : "program");
  return good;
}

std::string target::title() const {
  const auto number = std::to_string(process_);
  if (!elsewhere_) return "process " + number;
  if (!core_) return name_ + " " + number;
  std::string text = "core of process " + number;
  if (core_->signal() != 0) text += ", ended by signal " + std::to_string(core_->signal());
  return text;
}

std::string target::command() const {
  if (core_) return core_->command();
  if (!elsewhere_) return command_of(process_);
  const auto path = elsewhere_->program_path();
  return path.substr(path.rfind('/') + 1);
}

bool target::stack_of(int thread, seeing::native_stack& to) const {
#if defined(__x86_64__)
  constexpr std::size_t sp = 19, pc = 16, general = 15;
#else
  constexpr std::size_t sp = 31, pc = 32, general = 31;
#endif
  if (!core_) return false;
  for (const auto& t : core_->threads()) {
    if (t.id != thread || t.registers.size() <= std::max(sp, pc)) continue;
    to.stack = t.registers[sp];
    to.code = t.registers[pc];
    to.register_count = std::min(general, seeing::native_stack::most_registers);
    std::copy_n(t.registers.begin(), to.register_count, to.registers);
    return true;
  }
  return false;
}

double target::age() const { return elsewhere_ ? 0 : age_of(process_); }

int for_each_target(const options& o, looker look, chooser chosen) {
  if (!o.reader.empty()) {
    auto asked = asked_program::open(o.reader);
    if (!asked) {
      std::fputs("heddle: nobody answers on the descriptors of --reader\n", stderr);
      return usage;
    }
    target t(std::move(asked), "process");
    return look_at_all(o, t, look, chosen);
  }
  if (o.target.empty()) {
    std::fprintf(stderr, "heddle: %s of which process, or of which core?\nheddle ps lists them.\n",
                 o.command.c_str());
    return usage;
  }
  if (means_core(o.target)) return look_at_core(o, look, chosen);
  const auto processes = processes_named(o.target);
  if (processes.empty()) {
    std::fprintf(stderr, "heddle: no program is called %s\n", o.target.c_str());
    return gone;
  }
  std::optional<int> result;
  for (const pid_t p : processes) {
    target t(p);
    const int status = look_at_all(o, t, look, chosen);
    result = result ? chosen(*result, status) : status;
  }
  return result.value_or(nothing);
}

}  // namespace tool
