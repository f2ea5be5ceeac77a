// SPDX-License-Identifier: MIT
// What seeing inside costs, counted: instructions by callgrind, bytes, threads. bench/seeing
// measures time, which no test does.
#include "looking.h"

#include <heddle/core/record/task_record.h>

#include <costs/operations.h>

#include <elf.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace conformance;

class IN_COST : public ::testing::Test {};
LOOKING_CASES(IN_COST_LOOKED);

#ifdef HEDDLE_COSTS_SEEN

constexpr const char* seen = HEDDLE_COSTS_SEEN;
constexpr const char* unseen = HEDDLE_COSTS_UNSEEN;
constexpr const char* mixed = HEDDLE_COSTS_MIXED;

std::string all_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What `program NAME N` writes: one number.
long told(const char* program, const char* name, long n) {
  const auto r = run_program({program, name, std::to_string(n)});
  HOLDS(r.status == 0) << r.err;
  return std::strtol(r.out.c_str(), nullptr, 10);
}

// ------------------------------------------------------------- bytes

struct section_bytes {
  std::uint64_t code = 0;
  std::uint64_t loaded = 0;  // code, constants, variables that are not 0 at first; relocations
};

/// Of an object or a program in ELF. An object's relocations of pointers in constants count too:
/// a program that may be loaded anywhere has them.
section_bytes bytes_of(const std::string& path) {
  const std::string file = all_of(path);
  Elf64_Ehdr head;
  section_bytes sum;
  HOLDS(file.size() > sizeof head) << path;
  if (file.size() <= sizeof head) return sum;
  std::memcpy(&head, file.data(), sizeof head);
  std::vector<Elf64_Shdr> sections(head.e_shnum);
  HOLDS(head.e_shoff + sections.size() * sizeof sections[0] <= file.size()) << path;
  if (head.e_shoff + sections.size() * sizeof sections[0] > file.size()) return sum;
  std::memcpy(sections.data(), file.data() + head.e_shoff, sections.size() * sizeof sections[0]);
  constexpr std::uint64_t written = SHF_ALLOC | SHF_WRITE;
  for (const auto& s : sections) {
    if ((s.sh_flags & SHF_EXECINSTR) != 0) sum.code += s.sh_size;
    if ((s.sh_flags & SHF_ALLOC) != 0 && s.sh_type == SHT_PROGBITS) sum.loaded += s.sh_size;
    if (head.e_type == ET_REL && s.sh_type == SHT_RELA && s.sh_info < sections.size() &&
        (sections[s.sh_info].sh_flags & written) == written)
      sum.loaded += s.sh_size;
  }
  return sum;
}

// ------------------------------------------------------------- instructions

/// Instructions of its own by function, out of what callgrind writes.
class profile {
 public:
  explicit profile(const std::string& path) {
    std::ifstream in(path);
    bool is_of_call = false;
    std::uint64_t* own = nullptr;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("fn=")) {
        own = &by_function_[name_of(line.substr(3))];
      } else if (line.starts_with("cfn=")) {
        (void)name_of(line.substr(4));
      } else if (line.starts_with("calls=")) {
        is_of_call = true;  // the next line has what that call cost in all
      } else if (!line.empty() && (line[0] == '+' || line[0] == '-' || line[0] == '*' ||
                                   (line[0] >= '0' && line[0] <= '9'))) {
        const auto n = std::strtoull(line.c_str() + line.rfind(' ') + 1, nullptr, 10);
        if (!is_of_call && own) *own += n;
        is_of_call = false;
      }
    }
  }
  /// Of all functions whose names have one of `parts`; no parts: of all.
  [[nodiscard]] std::uint64_t sum(const std::vector<std::string>& parts) const {
    std::uint64_t n = 0;
    for (const auto& [name, own] : by_function_) {
      bool fits = parts.empty();
      for (const auto& p : parts) fits = fits || name.find(p) != std::string::npos;
      if (fits) n += own;
    }
    return n;
  }

 private:
  /// "(12) name" the first time, "(12)" from then on.
  const std::string& name_of(const std::string& text) {
    const auto end = text.find(')');
    auto& name = names_[text.substr(0, end)];
    if (end + 2 < text.size()) name = text.substr(end + 2);
    return name;
  }

  std::map<std::string, std::string> names_;
  std::map<std::string, std::uint64_t> by_function_;
};

std::uint64_t instructions(const char* program, const char* name, long n,
                           const std::vector<std::string>& parts) {
  const std::string file = temporary_file();
  // Without recording, whose samples follow the clock. A thread that waits must not starve others.
  const auto r = run_program({"env", "HEDDLE_TRACE=0", "HEDDLE_STALL_LIMIT=0", "valgrind",
                              "--fair-sched=yes", "--tool=callgrind",
                              "--callgrind-out-file=" + file, program, name, std::to_string(n)});
  HOLDS(r.status == 0) << "callgrind, of the package valgrind: " << r.err;
  const auto sum = profile(file).sum(parts);
  ::unlink(file.c_str());
  return sum;
}

/// What one more operation costs with seeing inside, less what it costs without.
double added(const char* name, long few, long many, const std::vector<std::string>& parts = {}) {
  double each[2];
  for (const bool with : {false, true}) {
    const char* const program = with ? seen : unseen;
    const auto more =
        instructions(program, name, many, parts) - instructions(program, name, few, parts);
    each[with ? 1 : 0] = static_cast<double>(more) / static_cast<double>(many - few);
  }
  std::printf("%s: %.1f instructions without, %.1f with\n", name, each[0], each[1]);
  HOLDS(each[0] > 10) << name;  // it was counted at all
  return each[1] - each[0];
}

TEST_F(IN_COST, IN_COST_01_ATaskAndASleeperAreNoLarger) {
  EQUAL(sizeof(h::detail::task_record), 96u);
  const long with = told(seen, "sleepers", 200'000), without = told(unseen, "sleepers", 200'000);
  HOLDS(with <= without + 2) << with << " bytes, " << without << " without";
#ifdef __clang__
  constexpr long most = 256;
#else
  constexpr long most = 288;  // g++'s frames are larger
#endif
  HOLDS(with > 96 && with <= most) << with;
}

TEST_F(IN_COST, IN_COST_02_InstructionsStayBelowTheirBounds) {
  constexpr double rounding = 0.5;
  HOLDS(added("awaits", 1000, 9000) <= 2 + rounding);
  HOLDS(added("yields", 1000, 9000) <= 5 + rounding);
  HOLDS(added("creates", 1000, 5000) <= 14 + rounding);
  HOLDS(added("locks", 1000, 9000) <= 4 + rounding);
}

TEST_F(IN_COST, IN_COST_02_AForkCostsNoMore) {
  // When a turn of forks ends depends on the clock: only what forks and joins is counted, over
  // 242,785 calls.
  const std::vector<std::string> parts{"fib", "join_block", "frame_allocate", "frame_free"};
  const auto without = instructions(unseen, "forks", 1, parts);
  const auto with = instructions(seen, "forks", 1, parts);
  HOLDS(without > 242'785 * 50) << without;
  HOLDS(static_cast<double>(with) <= static_cast<double>(without) + 242'785 * 1.0)
      << with << ", " << without << " without";
}

TEST_F(IN_COST, IN_COST_04_WithoutItThereIsNoThreadAndBothLink) {
  EQUAL(told(unseen, "threads", 1), 2);  // main's and the loop's
  EQUAL(told(seen, "threads", 1), 3);    // and the watch
  for (const char* name : {"awaits", "yields", "creates", "locks", "forks", "many"})
    HOLDS(run_program({mixed, name, "100"}).status == 0) << name;
  // The library decides on the threads.
  EQUAL(told(mixed, "threads", 1), 2);
}

TEST_F(IN_COST, IN_COST_05_CodeIsHardlyLarger) {
  const auto with = bytes_of(seen), without = bytes_of(unseen);
  std::printf("code: %ju bytes, %ju without\n", std::uintmax_t{with.code},
              std::uintmax_t{without.code});
  HOLDS(static_cast<double>(with.code) <= 1.01 * static_cast<double>(without.code));
  const auto object = bytes_of(HEDDLE_COSTS_AWAITS_SEEN);
  const auto object_without = bytes_of(HEDDLE_COSTS_AWAITS_UNSEEN);
  const auto each = (object.loaded - object_without.loaded) / costs::places_of_many;
  std::printf("a co_await: %ju bytes more\n", std::uintmax_t{each});
  HOLDS(each > 0 && each <= 110) << each;
}

#endif

/// How often each thread of a process has given up its processor by itself.
std::string pauses_of(pid_t process) {
  std::string text;
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
    std::ifstream in(thread.path() / "status");
    text += thread.path().filename().string();
    for (std::string line; std::getline(in, line);)
      if (line.starts_with("voluntary")) text += " " + line;
    text += "\n";
  }
  return text;
}

TEST_P(IN_COST_LOOKED, IN_COST_06_AProgramAtRestDoesNotNoticeTwentyLooks) {
  const watched w("no_leaks", loops());
  HOLDS(tool({"ps", w.number()}).status == 0);
  if (sanitized) return;  // ThreadSanitizer has a thread of its own, which wakes up
  std::string before, after;
  // Its watch may have a last look to do; what a look woke would be there every time.
  HOLDS(soon([&] {
    before = pauses_of(w.process());
    for (int i = 0; i < 20; ++i) {
      const auto seen = tool({"ps", w.number()});
      HOLDS(has_line(seen.out, {"by a timer", "sleep"})) << seen.out << seen.err;
    }
    after = pauses_of(w.process());
    return before == after;
  })) << before
      << after;
}

#ifndef HEDDLE_COSTS_SEEN
#define MEASURED_WITHOUT_SANITIZERS(id) \
  TEST_F(IN_COST, id##_IsMeasuredWithoutSanitizers) { HOLDS(sanitized); }
MEASURED_WITHOUT_SANITIZERS(IN_COST_01)
MEASURED_WITHOUT_SANITIZERS(IN_COST_02)
MEASURED_WITHOUT_SANITIZERS(IN_COST_04)
MEASURED_WITHOUT_SANITIZERS(IN_COST_05)
#endif

}  // namespace
