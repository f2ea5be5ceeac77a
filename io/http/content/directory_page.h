// SPDX-License-Identifier: MIT
// Internal to io.
// The entries of a directory: the first ones of them in order, and a page that shows them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http::detail {

struct directory_entry {
  enum class kind : unsigned char { file, directory, unknown };  // unknown: a link, or not told
  std::string name;
  kind is = kind::file;
};

/// Keeps the entries with the smallest names, by bytes. So a directory of any size costs memory for
/// `most` entries alone.
class first_entries {
 public:
  explicit first_entries(std::size_t most) noexcept : most_(most) {}
  void add(directory_entry e);
  /// In order. The object is empty afterwards.
  [[nodiscard]] std::vector<directory_entry> take();
  /// Some entries had no room.
  [[nodiscard]] bool is_cut() const noexcept { return cut_; }

 private:
  std::size_t most_;
  bool cut_ = false;
  std::vector<directory_entry> heap_;  // the largest name is on top
};

/// Reads the entries of the directory behind `descriptor`, which it closes. Left out are names that
/// begin with a dot, and what is neither a file, a directory nor a link. Blocks.
/// Throws  std::system_error
void read_entries(int descriptor, first_entries& into);

/// A page of HTML. Its links are relative to the directory, percent-encoded, and begin with "./":
/// a name such as "javascript:x" is no scheme there. `title` and names are escaped; bytes that are
/// no text are shown as U+FFFD. `more`: "" or a sentence that stands below the list.
[[nodiscard]] std::string directory_page(std::string_view title, bool has_parent,
                                         const std::vector<directory_entry>& entries,
                                         std::string_view more);

}  // namespace heddle::http::detail
