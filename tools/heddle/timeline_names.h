// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: what the numbers in recorded events are called.
#pragma once

#include "timeline.h"

#include <cstdint>
#include <string>
#include <unordered_map>

namespace tool {

/// Texts are kept once. Names of tasks that still live are read from the process; of the others the
/// events of their birth tell what is known.
class timeline_names {
 public:
  timeline_names(timeline& to, seeing::sight& process) : to_(&to), process_(&process) {}

  [[nodiscard]] std::uint32_t text(const std::string& text);
  /// The task that events call `name`; timeline::none: 0 was given.
  [[nodiscard]] std::uint32_t task(std::uint64_t name);
  [[nodiscard]] std::string function(std::uint64_t address);
  /// A text at an address of the process.
  [[nodiscard]] std::string at(std::uint64_t address);

  /// What events tell of a birth.
  void born_at(std::uint32_t task, std::uint64_t place);
  void born_runs(std::uint32_t task, std::uint64_t function);
  void born_by(std::uint32_t task, std::uint64_t creator);
  void born_named(std::uint32_t task, std::uint64_t letters);
  /// Those whose birth was not recorded, or whose name came later: as they are now.
  void look_at_the_living();

 private:
  timeline* to_;
  seeing::sight* process_;
  std::unordered_map<std::string, std::uint32_t> texts_;
  std::unordered_map<std::uint64_t, std::uint32_t> tasks_;
  std::unordered_map<std::uint64_t, std::string> functions_;
};

}  // namespace tool
