// SPDX-License-Identifier: MIT
// Internal to io.
// Which descriptors a child has, under which numbers, and our ends of its pipes.
//
// Problem   The child's numbers are given: 0 to 2, those of `inherit`, those of `pipes`. The files
//           have numbers of this process, and such a number may be another file's number in the
//           child. The child places one file after the other, and would close that file.
// Chosen    A file whose number some file of the child is to have is duplicated first, under a
//           number that no file of the child is to have. Then the order of the steps does not
//           matter.
#pragma once

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/process/child_side.h>
#include <heddle/io/process_options.h>

#include <vector>

#include <sys/types.h>

namespace heddle::detail {

/// Our end of one of process_options::pipes, non-blocking.
struct extra_end {
  child_pipe what;
  fd ours;
};

/// A child, and our ends of its pipes: non-blocking; not valid() if they were not asked for.
struct spawned_child {
  pid_t pid = -1;
  fd pidfd;  // made with the child; not valid() where the kernel has none
  fd in, out, error;
  fd terminal;
  std::vector<extra_end> extra;
};

class child_descriptors {
 public:
  /// Makes the pipes and the terminal, and puts our ends into `child`. Throws std::system_error;
  /// bad_value for numbers that make no sense.
  child_descriptors(const process_options& o, spawned_child& child);

  /// Tells the child's part. The plan refers to this object.
  void tell(child_plan& p) const noexcept;

 private:
  void note_numbers(const process_options& o);
  void place_standard(const process_options& o, spawned_child& child);
  void place_extra(const process_options& o, spawned_child& child);
  void open_terminal(const process_options& o, spawned_child& child);
  void place(fd file, int number);
  void place_ours(int descriptor, int number);
  [[nodiscard]] bool is_taken(int number) const noexcept;
  [[nodiscard]] fd lift(int descriptor) const;
  [[nodiscard]] fd out_of_the_way(fd own) const;
  void find_gaps();

  std::vector<int> numbers_;  // of the child's files
  std::vector<fd> files_;     // open until the child has them
  std::vector<child_plan::move> moves_;
  std::vector<child_plan::gap> gaps_;
  fd terminal_;  // the child's side
};

}  // namespace heddle::detail
