// SPDX-License-Identifier: MIT
// Internal to io.
// What became of the addresses of a host, for the errors of connecting.
#pragma once

#include <heddle/core/checked.h>
#include <heddle/io/address.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <vector>

namespace heddle::detail {

/// The attempts in the order in which they began. Thread-safe.
class tried {
 public:
  /// `host` outlives this object.
  tried(const std::string& host, port_number port) noexcept : host_(host), port_(port) {}

  /// An attempt begins. Returns its place.
  std::size_t begin(const address& to);
  void failed(std::size_t place, std::exception_ptr error);

  /// All attempts have failed. Throws an exception_group of their errors, if that is asked for.
  /// Else throws the error of the only attempt. Of several: a std::system_error with the code of
  /// the last one, whose text lists all.
  [[noreturn]] void throw_all(bool as_group) const;
  /// The limit has passed. Throws a timeout_error with the host and all attempts.
  [[noreturn]] void throw_timed_out(const std::string& limit) const;

 private:
  struct attempt {
    address to;
    std::exception_ptr error;  // null: it is under way
  };
  [[nodiscard]] std::string where() const;
  [[nodiscard]] std::string list() const;

  const std::string& host_;
  const std::uint16_t port_;
  mutable std::mutex lock_;
  std::vector<attempt> all_;  // under lock_
};

}  // namespace heddle::detail
