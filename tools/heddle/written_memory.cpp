// SPDX-License-Identifier: MIT
#include "written_memory.h"

#include "threads.h"

#include <fstream>
#include <sstream>

namespace tool {
namespace {

/// Finds the variables of files: what is mapped from a file, and what the loader adds directly
/// behind for those that begin as 0. For each mapping in turn, also those that are not written.
class file_finder {
 public:
  std::string look(const written_region& r) {
    const bool is_file = r.path.starts_with("/");
    const bool follows = r.path.empty() && r.begin == last_end_;
    last_end_ = r.end;
    last_file_ = is_file   ? r.path.substr(r.path.rfind('/') + 1)
                 : follows ? last_file_
                           : std::string();
    return last_file_;
  }

 private:
  address last_end_ = 0;
  std::string last_file_;
};

std::vector<written_region> regions_of_core(const core_file& core) {
  std::vector<written_region> found;
  file_finder files;
  for (const auto& s : core.segments()) {
    written_region r{s.begin, s.end, {}, {}};
    for (const auto& m : core.mappings())
      if (m.begin <= s.begin && s.begin < m.end) r.path = m.path;
    r.file = files.look(r);
    r.end = s.begin + s.bytes;
    if (!s.is_written || s.bytes == 0) continue;
    // A core may have one mapping in several pieces.
    if (!found.empty() && found.back().end == r.begin && found.back().path == r.path)
      found.back().end = r.end;
    else
      found.push_back(std::move(r));
  }
  return found;
}

}  // namespace

std::vector<written_region> written_regions(const seeing::sight& of, const core_file* core) {
  if (core) return regions_of_core(*core);
  std::vector<written_region> found;
  if (of.living() == 0) return found;
  std::ifstream in("/proc/" + std::to_string(of.living()) + "/maps");
  file_finder files;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    written_region r;
    char dash = 0;
    std::string rights, offset, device, inode;
    if (!(words >> std::hex >> r.begin >> dash >> r.end >> rights >> offset >> device >> inode))
      continue;
    std::getline(words >> std::ws, r.path);
    r.file = files.look(r);
    if (rights.starts_with("rw")) found.push_back(std::move(r));
  }
  return found;
}

std::vector<thread_stack> thread_stacks(const seeing::sight& of, const core_file* core) {
#if defined(__x86_64__)
  constexpr std::size_t sp = 19;
#else
  constexpr std::size_t sp = 31;
#endif
  std::vector<thread_stack> found;
  if (core) {
    for (const auto& t : core->threads())
      if (t.registers.size() > sp && t.registers[sp] != 0) found.push_back({t.id, t.registers[sp]});
  } else if (of.living() != 0) {
    for (const auto& t : threads_of(of.living()))
      if (t.stack != 0) found.push_back({t.number, t.stack, t.name == "heddle-pool"});
  }
  return found;
}

}  // namespace tool
