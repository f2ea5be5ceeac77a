// SPDX-License-Identifier: MIT
// Protocol TREE
//   Danger     While a tree is removed, others may exchange one of its directories for a symbolic
//              link. A path that is resolved again then leads out of the tree, and strangers' files
//              are removed.
//   Chosen     A directory is opened below the descriptor of its parent, and no link is followed.
//              Names are removed below that descriptor. So a name that is exchanged is either
//              opened before, and then it is still the old directory; or it is a link, and then the
//              link itself is removed.
//   Depth      Each open directory on the way down is a descriptor. Below `most_depth` a directory
//              is renamed into the top of the tree instead, where it is found again.
//   Costs      A descriptor a level, at most 64.
//   Tested by  tests/conformance/io/file_trees.cpp
#include <heddle/io/files/tree.h>

#include <heddle/core/errors.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/files/open_file.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace heddle::detail {
namespace {

constexpr std::size_t most_depth = 64;
constexpr int most_passes = 1000;  // over one directory that others fill meanwhile

file_kind kind_of_entry(DIR* d, const dirent& e) noexcept {
  switch (e.d_type) {
    case DT_REG: return file_kind::regular;
    case DT_DIR: return file_kind::directory;
    case DT_LNK: return file_kind::symlink;
    case DT_FIFO: return file_kind::fifo;
    case DT_SOCK: return file_kind::socket;
    case DT_CHR: return file_kind::character_device;
    case DT_BLK: return file_kind::block_device;
    default: break;
  }
  // This file system does not say it in its directories.
  struct stat s{};
  if (::fstatat(::dirfd(d), e.d_name, &s, AT_SYMLINK_NOFOLLOW) != 0) return file_kind::unknown;
  return kind_of(s.st_mode);
}

/// One directory on the way down.
struct level {
  open_directory at;
  std::string name;
  int passes = 0;
};

class remover {
 public:
  explicit remover(std::string path) : path_(std::move(path)) {}

  std::uint64_t all() {
    const std::string name = path_.substr(0, path_.find_last_not_of('/') + 1);
    descend(AT_FDCWD, name.empty() ? path_ : name);
    while (!levels_.empty()) step();
    return removed_;
  }

 private:
  [[nodiscard]] int parent() const noexcept {
    return levels_.size() < 2 ? AT_FDCWD : ::dirfd(levels_[levels_.size() - 2].at.get());
  }

  /// A directory: goes into it. Anything else is removed.
  void descend(int at, const std::string& name) {
    auto d = try_open_directory(at, name.c_str(), false);
    if (d) {
      if (levels_.size() == most_depth) return lift(at, name);
      levels_.push_back({std::move(d), name});
      return;
    }
    if (errno == ENOENT) return;
    if (errno != ENOTDIR && errno != ELOOP) throw_system_error(errno, "open", where(name));
    remove(at, name, 0);
  }

  /// Too deep: into the top of the tree.
  void lift(int at, const std::string& name) {
    const int top = ::dirfd(levels_.front().at.get());
    const std::string fresh = ".heddle-removed-" + std::to_string(++lifted_);
    // A name that is there already gives ENOTEMPTY or ENOTDIR, and the next number is tried.
    if (::renameat(at, name.c_str(), top, fresh.c_str()) == 0 || errno == ENOENT) return;
    if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
      throw_system_error(errno, "renameat", where(name));
  }

  void remove(int at, const std::string& name, int flags) {
    if (::unlinkat(at, name.c_str(), flags) == 0)
      ++removed_;
    else if (errno != ENOENT && errno != EISDIR)  // EISDIR: found as a directory by the next pass
      throw_system_error(errno, "unlinkat", where(name));
  }

  /// Removes what stands in the deepest directory, or that directory itself.
  void step() {
    auto& here = levels_.back();
    DIR* const d = here.at.get();
    const auto depth = levels_.size();
    for (;;) {
      errno = 0;
      const dirent* e = ::readdir(d);
      if (!e) {
        if (errno != 0) throw_system_error(errno, "readdir", where({}));
        break;
      }
      const std::string name = e->d_name;
      if (name == "." || name == "..") continue;
      if (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN) {
        descend(::dirfd(d), name);
        if (levels_.size() != depth) return;
      } else {
        remove(::dirfd(d), name, 0);
      }
    }
    ascend();
  }

  void ascend() {
    auto& here = levels_.back();
    if (::unlinkat(parent(), here.name.c_str(), AT_REMOVEDIR) == 0) {
      ++removed_;
    } else if (errno == ENOTEMPTY || errno == EEXIST) {
      if (++here.passes == most_passes) throw_system_error(ENOTEMPTY, "unlinkat", where({}));
      ::rewinddir(here.at.get());  // names came meanwhile, or were skipped
      return;
    } else if (errno == ENOTDIR) {  // exchanged for a link, which is removed in its place
      remove(parent(), here.name, 0);
    } else if (errno != ENOENT) {
      throw_system_error(errno, "unlinkat", where({}));
    }
    levels_.pop_back();
  }

  /// For messages.
  [[nodiscard]] std::string where(const std::string& name) const {
    std::string text;
    for (const auto& l : levels_) text += (text.empty() ? "" : "/") + l.name;
    if (text.empty()) return name;
    return name.empty() ? text : text + "/" + name;
  }

  std::string path_;
  std::vector<level> levels_;
  std::uint64_t removed_ = 0;
  std::uint64_t lifted_ = 0;
};

}  // namespace

open_directory try_open_directory(int at, const char* name, bool follow) noexcept {
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
  const int number = ::openat(at, name, flags);
  if (number < 0) return nullptr;
  open_directory d(::fdopendir(number));
  if (!d) fd(number).reset();
  return d;
}

bool read_entries(DIR* d, std::size_t most, const std::string& path,
                  std::vector<directory_entry>& into) {
  while (most > 0) {
    errno = 0;
    const dirent* e = ::readdir(d);
    if (!e) {
      if (errno != 0) throw_system_error(errno, "readdir", path);
      return false;
    }
    if (std::strcmp(e->d_name, ".") == 0 || std::strcmp(e->d_name, "..") == 0) continue;
    into.push_back({e->d_name, kind_of_entry(d, *e)});
    --most;
  }
  return true;
}

std::uint64_t remove_whole_tree(const std::string& path) { return remover(path).all(); }

}  // namespace heddle::detail
