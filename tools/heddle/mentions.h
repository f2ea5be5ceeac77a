// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: which tasks point at what others wait in, and who else does.
//
// A pointer in a frame is no proof: it may be a guard, a reference to something that the task is to
// use, or what is left of a wait that is over. So all that is found here is told as likely.
#pragma once

#include <heddle/core/seeing/sight.h>

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tool {

namespace seeing = heddle::detail::seeing;

/// [begin, end) each.
using ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

/// A pointer to something that was looked for.
struct mention {
  std::uint64_t object;
  std::uint64_t record;  // of the task in whose frame it stands
  std::uint64_t at;      // where the pointer stands
  bool left_over;        // it is part of a wait, which may be over
};

class mentions {
 public:
  /// Looks for pointers into [object, object + bytes).
  void want(std::uint64_t object, std::uint32_t bytes);
  /// Reads the frames of all tasks that stand still.
  void read_frames(seeing::sight& from);
  [[nodiscard]] const std::vector<mention>& found() const { return found_; }
  /// Those of `object`, without those of tasks that wait in it themselves.
  [[nodiscard]] std::vector<mention> of(std::uint64_t object) const;
  /// The frames of a task, as ranges of memory. After read_frames().
  [[nodiscard]] ranges frames_of(seeing::sight& from, const seeing::task_view& task) const;

 private:
  struct block {
    std::uint64_t begin;
    std::uint64_t end;
    std::uint64_t bytes;
  };
  struct wish {
    std::uint64_t begin;
    std::uint64_t end;
  };
  void read_blocks(seeing::sight& from);
  void read_task(seeing::sight& from, const seeing::task_view& task);
  void read_frame(seeing::sight& from, const seeing::task_view& task, std::uint64_t frame);
  [[nodiscard]] std::uint64_t frame_end(seeing::sight& from, std::uint64_t frame) const;
  [[nodiscard]] const wish* wanted(std::uint64_t word) const;

  std::vector<wish> wishes_;
  std::vector<block> blocks_;
  std::vector<mention> found_;
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> waits_in_;  // object -> records
};

}  // namespace tool
