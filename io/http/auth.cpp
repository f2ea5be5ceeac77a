// SPDX-License-Identifier: MIT
#include <heddle/io/http/auth.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/content/base64.h>
#include <heddle/io/http/content/digest_answer.h>
#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/content/random_bytes.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>

namespace heddle::http {
namespace {

void check_credentials(std::string_view user, std::string_view password) {
  if (user.find(':') != std::string_view::npos)
    throw bad_value("a user of Basic or Digest has no colon in the name");
  if (std::ranges::any_of(user, detail::is_control) ||
      std::ranges::any_of(password, detail::is_control))
    throw bad_value("the user or the password holds a control character");
}

constexpr auto bearer_chars = detail::table_of("-._~+/");

std::string new_cnonce() { return detail::base64(detail::random_bytes(16)); }

}  // namespace

namespace detail {

/// One digest's user, and what the servers have asked for.
class digest_state {
 public:
  explicit digest_state(digest_credentials who) : who_(std::move(who)) {}

  std::optional<std::string> authorize(std::string_view origin, const digest_request& r,
                                       bool body_known) {
    digest_question q;
    std::string cnonce;
    std::uint32_t nc = 0;
    {
      const std::lock_guard hold(lock_);
      const auto at = spaces_.find(origin);
      if (at == spaces_.end()) return std::nullopt;
      const bool whole = at->second.question.qop == digest_question::protection::auth_int;
      if ((whole && !body_known) || !is_inside(at->second.question.domain, origin, r.target))
        return std::nullopt;
      nc = ++at->second.count;
      q = at->second.question;
      cnonce = at->second.cnonce;
    }
    return answer_digest(q, who_, r, cnonce, nc);
  }
  bool challenged(std::string_view origin, std::span<const std::string_view> fields) {
    for (const challenge& c : parse_challenges(fields)) {
      auto q = read_question(c);
      if (!q) continue;
      space fresh{std::move(*q), new_cnonce(), 0};
      const std::lock_guard hold(lock_);
      const auto at = spaces_.find(origin);
      if (at == spaces_.end())
        spaces_.emplace(origin, std::move(fresh));
      else if (at->second.question.nonce != fresh.question.nonce)
        at->second = std::move(fresh);  // the same nonce counts on
      return true;
    }
    return false;
  }

 private:
  struct space {
    digest_question question;
    std::string cnonce;
    std::uint32_t count;
  };

  /// RFC 7616, 3.3: `domain` lists what the challenge is for; without a list that is the origin.
  /// What it lists of other origins is not believed.
  static bool is_inside(std::string_view domain, std::string_view origin, std::string_view target) {
    field_scanner list(domain);
    bool listed = false;
    while (!list.at_end()) {
      auto path = list.until(" ");
      list.skip_blanks();
      if (path.starts_with(origin)) path.remove_prefix(origin.size());
      if (path.empty()) path = "/";
      if (!path.starts_with('/')) continue;
      listed = true;
      const bool ends_segment =
          path.ends_with('/') || target.size() == path.size() ||
          target.substr(0, path.size() + 1).find_first_of("/?", path.size()) !=
              std::string_view::npos;
      if (target.starts_with(path) && ends_segment) return true;
    }
    return !listed;
  }

  const digest_credentials who_;
  std::mutex lock_;
  std::map<std::string, space, std::less<>> spaces_;  // by origin
};

}  // namespace detail

basic::basic(std::string_view user, std::string_view password) {
  check_credentials(user, password);
  value_ = "Basic " + detail::base64(std::string(user) + ":" + std::string(password));
}

bearer::bearer(std::string token) : value_(std::move(token)) {}
bearer::bearer(std::function<std::string()> provider) : provider_(std::move(provider)) {}

std::string bearer::value() const {
  const std::string token = provider_ ? provider_() : value_;
  const auto body = std::string_view(token).substr(0, token.find('='));
  const bool fits =
      !body.empty() && token.find_first_not_of('=', body.size()) == std::string::npos &&
      std::ranges::all_of(body, [](char c) { return detail::is_in(bearer_chars, c); });
  if (!fits) throw bad_value("a bearer token holds only letters, digits, -._~+/ and = at its end");
  return "Bearer " + token;
}

digest::digest(std::string_view user, std::string_view password) {
  check_credentials(user, password);
  detail::digest_credentials who{std::string(user), std::string(password)};
  state_ = std::make_shared<detail::digest_state>(std::move(who));
}

std::optional<std::string> digest::authorize(std::string_view origin, const method& m,
                                             std::string_view target,
                                             std::optional<std::string_view> body) const {
  const detail::digest_request r{m.text(), target, body.value_or(std::string_view())};
  return state_->authorize(origin, r, body.has_value());
}

bool digest::challenged(std::string_view origin, std::span<const std::string_view> fields) const {
  return state_->challenged(origin, fields);
}

}  // namespace heddle::http
