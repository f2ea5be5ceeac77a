// SPDX-License-Identifier: MIT
// Internal to io.
// What a cookie jar is inside: RFC 6265, 5.3 and 5.4, without a clock and without files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http::detail {

struct stored_cookie {
  static constexpr std::time_t never = std::numeric_limits<std::time_t>::max();

  std::string name;
  std::string value;
  std::string domain;  // lower case, no dot in front
  std::string path;
  std::time_t expires = never;
  bool host_only = true;
  bool secure = false;
  bool http_only = false;
  std::uint8_t same_site = 0;  // as http::same_site
  std::uint64_t order = 0;     // of its creation
};

/// What a store needs to know of a URL.
struct cookie_origin {
  std::string_view host;  // lower case
  std::string_view path;  // without the query
  bool secure = false;    // https, wss, or trusted as such
};

struct cookie_bounds {
  std::size_t cookie_bytes;
  std::size_t per_domain;
  std::size_t total;
  std::function<bool(const std::string&)> is_public_suffix;
};

/// The cookies by domain. In a domain each has a key, made of path, name and host_only.
/// Thread-safety  all members, at once; the lock is held in each
class cookie_store {
 public:
  explicit cookie_store(cookie_bounds bounds) : bounds_(std::move(bounds)) {}

  /// Takes a Set-Cookie field. False: ignored.
  bool set(const cookie_origin& from, std::string_view set_cookie, std::time_t now);
  /// Those for a request, in the order in which they are sent.
  [[nodiscard]] std::vector<stored_cookie> matching(const cookie_origin& to, std::time_t now);
  [[nodiscard]] std::size_t size() const;
  void clear();
  void clear_domain(const std::string& domain);

  /// The format of Netscape: a line for each cookie that has not expired, in order of creation.
  [[nodiscard]] std::string text(std::time_t now) const;
  void add_text(std::string_view text, std::time_t now);

 private:
  using bucket = std::map<std::string, stored_cookie, std::less<>>;

  [[nodiscard]] std::optional<stored_cookie> read(const cookie_origin& from,
                                                  std::string_view set_cookie,
                                                  std::time_t now) const;
  [[nodiscard]] bool would_hide_secure(const stored_cookie& c) const;
  void put(stored_cookie c, std::time_t now);
  void make_room(std::time_t now);
  void drop_oldest(bucket& of);

  mutable std::mutex lock_;
  const cookie_bounds bounds_;
  std::map<std::string, bucket, std::less<>> domains_;
  std::size_t count_ = 0;
  std::size_t sweep_at_ = 1024;  // so many cookies, and the expired ones are looked for
  std::uint64_t created_ = 0;
};

/// RFC 6265, 5.1.3, for names: equal, or `host` ends with a dot and `domain`.
[[nodiscard]] bool domain_matches(std::string_view host, std::string_view domain) noexcept;
/// RFC 6265, 5.1.4.
[[nodiscard]] bool path_matches(std::string_view path, std::string_view of_cookie) noexcept;
[[nodiscard]] bool is_ip_address(std::string_view host) noexcept;

}  // namespace heddle::http::detail
