// SPDX-License-Identifier: MIT
// A client's cookies (RFC 6265), kept between its requests.
//
//   http::cookie_jar jar;
//   jar.set(http::url::parse("http://a.example.com/x"), "n=1; Path=/");
//   EXPECT_EQ(jar.field_for(http::url::parse("http://a.example.com/y")), "n=1");
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/shared.h>
#include <heddle/core/task.h>
#include <heddle/io/http/cookies.h>
#include <heddle/io/http/url.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::http {

class headers;
namespace detail {
struct jar_state;
}

/// The order of the fields is API: fields are appended, never reordered.
struct cookie_jar_options {
  /// Origins ("http://localhost:8080") to which Secure cookies are sent, and which may set them,
  /// though they are not https. Throws bad_value if one is no URL.
  std::vector<std::string> trusted_origins = {};
  /// True for a domain under which anybody may register a name ("com", "co.uk"): no cookie is set
  /// for all of it. Empty: as libpsl says, or, if that was not built in, for a single label.
  std::function<bool(std::string_view)> public_suffixes = {};
  /// Name and value of a cookie together. A larger cookie is refused.
  std::size_t cookie_bytes = 4096;
  /// Cookies of one domain, and in all. The oldest give way.
  std::size_t per_domain = 3000;
  std::size_t total = 300'000;
};

/// Cookies, kept by the rules of RFC 6265 and of the draft that follows it: a cookie that is not
/// Secure never replaces one that is, nor does plain http set one that is; "__Host-" and
/// "__Secure-" keep what they promise. Values are kept and sent byte for byte. A cookie that breaks
/// a rule is ignored.
///
/// Copies share one jar. Sessions that are given copies share their cookies.
/// Thread-safety  any number of tasks and threads at once
/// Cost           a lock, and a look at each cookie of the host and its parent domains
class cookie_jar {
 public:
  cookie_jar();
  explicit cookie_jar(cookie_jar_options options);

  /// Takes a Set-Cookie field of an answer from that URL. False: it breaks a rule, and is ignored.
  bool set(const url& from, std::string_view set_cookie);
  /// Takes all Set-Cookie fields of an answer.
  void set_all(const url& from, const headers& answer);
  /// The value of the Cookie field for a request: longest paths first, then the oldest. "": none.
  [[nodiscard]] std::string field_for(const url& to) const;
  /// The same cookies, with all that is known of them.
  [[nodiscard]] std::vector<cookie> for_url(const url& to) const;
  /// How many there are. Expired ones that nobody has met yet are counted.
  [[nodiscard]] std::size_t size() const;
  void clear();
  /// Drops all of that domain and of those below it.
  void clear_domain(std::string_view domain);

  /// Writes all, also those without an expiry, in the format of Netscape that curl and browsers
  /// read. The file is made with the rights 0600; those of an existing file are kept. Its old
  /// content stands until the new one is complete.
  /// Cancel, Throws  as write_file (file.h)
  [[nodiscard]] task<> save(std::string path) const;
  /// Adds what a file of save() holds, or of a program with that format. Expired cookies, and lines
  /// that cannot be read, are passed over.
  /// Cancel, Throws  as read_file (file.h)
  [[nodiscard]] task<> load(std::string path);

 private:
  std::shared_ptr<detail::jar_state> state_;
};

}  // namespace heddle::http
