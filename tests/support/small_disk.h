// SPDX-License-Identifier: MIT
// A disk that is soon full.
#pragma once

#include <sys/mount.h>

#include <filesystem>
#include <string>
#include <utility>

namespace support {

/// A small file system in memory at a folder, if this user may mount one.
class small_disk {
 public:
  /// Makes the folder if there is none. `size` is as tmpfs has it: "512k", "4m".
  small_disk(std::string at, const std::string& size) : at_(std::move(at)) {
    std::filesystem::create_directory(at_);
    mounted_ = ::mount("tmpfs", at_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;
  ~small_disk() {
    if (mounted_) (void)::umount2(at_.c_str(), MNT_DETACH);
  }
  [[nodiscard]] bool mounted() const noexcept { return mounted_; }
  [[nodiscard]] bool grow(const std::string& size) const {
    return ::mount("tmpfs", at_.c_str(), "tmpfs", MS_REMOUNT, ("size=" + size).c_str()) == 0;
  }

 private:
  std::string at_;
  bool mounted_ = false;
};

}  // namespace support
