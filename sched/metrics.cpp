// SPDX-License-Identifier: MIT
#include <heddle/sched/metrics.h>

#include <heddle/core/checked.h>

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>

namespace heddle {
namespace {

std::string whole_file(const char* path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::uint64_t count_open_descriptors() noexcept {
  DIR* const all = ::opendir("/proc/self/fd");
  if (all == nullptr) return 0;
  std::uint64_t n = 0;
  while (const dirent* entry = ::readdir(all))
    if (entry->d_name[0] != '.') ++n;
  ::closedir(all);
  return n - 1;  // without that of the directory
}

/// When the system was started, in seconds since 1970; 0: not known.
double boot_time() {
  const auto text = whole_file("/proc/stat");
  const auto at = text.find("\nbtime ");
  if (at == std::string::npos) return 0;
  double seconds = 0;
  const auto begin = at + std::string_view("\nbtime ").size();
  const auto line = std::string_view(text).substr(begin, text.find('\n', begin) - begin);
  return detail::parse_number(line, seconds, 1e12) ? seconds : 0;
}

}  // namespace

process_metrics measure_process() {
  process_metrics p;
  const auto text = whole_file("/proc/self/stat");
  // The name of the program stands in parentheses, and may hold anything.
  if (const auto name = text.rfind(')'); name != std::string::npos) {
    std::istringstream fields(text.substr(name + 1));
    std::string skipped;
    std::uint64_t user = 0, system = 0, began = 0, pages = 0;
    for (int field = 3; field < 14; ++field) fields >> skipped;
    fields >> user >> system;
    for (int field = 16; field < 20; ++field) fields >> skipped;
    fields >> p.threads >> skipped >> began >> p.virtual_bytes >> pages;
    if (fields) {
      const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
      p.cpu_seconds = static_cast<double>(user + system) / ticks;
      p.resident_bytes = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
      if (const double boot = boot_time(); boot > 0)
        p.start_seconds = boot + static_cast<double>(began) / ticks;
    }
  }
  p.open_descriptors = count_open_descriptors();
  rlimit most{};
  if (::getrlimit(RLIMIT_NOFILE, &most) == 0) p.most_descriptors = most.rlim_cur;
  return p;
}

duration_histogram metrics::step() const {
  duration_histogram sum;
  for (const auto& l : loops) sum += l.step;
  return sum;
}

duration_histogram metrics::schedule_latency() const {
  duration_histogram sum;
  for (const auto& l : loops) sum += l.schedule_latency;
  return sum;
}

duration_histogram metrics::timer_lag() const {
  duration_histogram sum;
  for (const auto& l : loops) sum += l.timer_lag;
  return sum;
}

}  // namespace heddle
