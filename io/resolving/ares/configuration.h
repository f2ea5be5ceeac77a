// SPDX-License-Identifier: MIT
// Internal to io.
// The system's files about names: whether they have changed, and what two of them say.
#pragma once

#include <heddle/core/clock.h>
#include <heddle/io/address.h>
#include <heddle/io/resolver.h>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace heddle::detail {

/// Problem   A laptop goes to another network, and resolv.conf is replaced. Kept answers and name
///           servers are then those of the old network.
/// Rejected  inotify: the file may be a link to a file in another directory, which may come later.
///           A stat() a second: it would wake an idle machine for ever.
/// Chosen    Each look-up asks for the version. The files are looked at then, unless that was done
///           within the last 200 ms. While look-ups run the thread asks in the same rhythm.
/// Costs     Up to five times a second a stat() for each file, on the loop of the task that asks.
//
// paths_                    constant
// looked_, stamps_, version_   under lock_
class followed_files {
 public:
  /// Paths that are "" are not followed.
  explicit followed_files(std::vector<std::string> paths);
  /// Grows when one of the files has changed. Thread-safe.
  [[nodiscard]] std::uint64_t version() noexcept;

  static constexpr duration look_every = std::chrono::milliseconds(200);

 private:
  using stamp = std::array<std::int64_t, 7>;
  [[nodiscard]] static stamp stamp_of(const std::string& path) noexcept;

  const std::vector<std::string> paths_;
  std::mutex lock_;
  time_point looked_;
  std::vector<stamp> stamps_;
  std::uint64_t version_ = 1;
};

/// True: the system's resolver must be asked, since that file names for hosts anything else than
/// "files dns". False if it cannot be read, or says nothing of hosts. Blocks.
[[nodiscard]] bool needs_the_system(const std::string& nsswitch_conf);

/// A hosts file. For one thread.
class hosts_table {
 public:
  /// Reads the file anew. One that cannot be read is empty. Blocks.
  void read(const std::string& path);
  /// True: the file has addresses for that name, of a family that is asked for.
  [[nodiscard]] bool find(const std::string& name, int family, name_answer& out) const;

 private:
  struct entry {
    std::vector<address> addresses;
    std::string canonical;
  };
  std::map<std::string, entry> names_;  // in small letters
};

/// ASCII letters become small.
[[nodiscard]] std::string folded(std::string name);

}  // namespace heddle::detail
