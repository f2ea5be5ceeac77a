// SPDX-License-Identifier: MIT
// The work: a picture in tiles, or the files of a directory. One job for each, and its answer.
#pragma once

#include "settings.h"

#include <heddle/io/cluster_job.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cluster_render {

/// What a picture is, and which part of it.
struct tile {
  unsigned edge = 0;   // of the picture, in pixels
  unsigned tiles = 0;  // on each edge
  unsigned number = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(tile, edge, tiles, number)

/// Who did it, and the bytes: a pixel each, line by line; or the checksum of a file as text.
using answer = std::pair<std::string, std::string>;

/// `number` is that of the item, `ms` how long the job waits besides its computation.
extern const heddle::cluster::job<answer(tile what, unsigned number, std::int64_t ms)> render_tile;
extern const heddle::cluster::job<answer(std::string path, unsigned number, std::int64_t ms)>
    digest_file;

/// Each run of a job adds a line to this file before it begins: the item's number. So runs are
/// counted even if their worker dies. Empty: nothing is written. Set it before serve().
void log_runs_to(std::string file);

/// All items of one run of the demonstration.
class work {
 public:
  /// Throws bad_value if the directory cannot be read or has no files.
  explicit work(const settings& s);

  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] bool is_picture() const noexcept { return files_.empty(); }
  [[nodiscard]] unsigned tiles() const noexcept { return tiles_; }
  [[nodiscard]] unsigned edge() const noexcept { return edge_; }
  /// The file's name, or "tile 7".
  [[nodiscard]] std::string name(std::size_t item) const;
  [[nodiscard]] heddle::task<heddle::cluster::handle<answer>> submit(std::size_t item) const;
  [[nodiscard]] heddle::cluster::handle<answer> attach(const std::string& id) const;
  /// The same computation here and now, without a job. Blocks.
  [[nodiscard]] std::string bytes_here(std::size_t item) const;

 private:
  unsigned edge_;
  unsigned tiles_;
  std::int64_t ms_;
  std::vector<std::string> files_;
  std::size_t count_;
};

/// FNV-1a of 64 bits, as 16 hexadecimal digits.
class checksum {
 public:
  void add(std::string_view bytes) noexcept;
  [[nodiscard]] std::string text() const;

 private:
  std::uint64_t value_ = 0xcbf29ce484222325U;
};

}  // namespace cluster_render
