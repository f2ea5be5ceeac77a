// SPDX-License-Identifier: MIT
#include <heddle/io/http/errors.h>

namespace heddle::http {
namespace {

class category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "http"; }
  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::protocol: return "the peer breaks the rules of HTTP/1.1";
      case errc::broken_body: return "the body is broken or incomplete";
      case errc::body_too_large: return "the body is larger than its limit";
      case errc::connection_lost: return "the connection ended before the exchange was complete";
      case errc::cannot_connect: return "no connection came about";
      case errc::proxy_refused: return "the proxy does not connect us";
      case errc::bad_redirect: return "the redirection cannot be followed";
      case errc::too_many_redirects: return "there are more redirections than allowed";
      case errc::status: return "the status is an error";
    }
    return "error " + std::to_string(value);
  }
};

}  // namespace

const std::error_category& http_category() noexcept {
  static const category one;
  return one;
}

}  // namespace heddle::http
