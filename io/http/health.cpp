// SPDX-License-Identifier: MIT
#include <heddle/io/http/health.h>

#include <string>
#include <utility>

namespace heddle::http {
namespace {

/// No cache may keep it.
response fresh(int status, std::string text) {
  response r = response::text(std::move(text), status);
  r.headers.add("Cache-Control", "no-store");
  return r;
}

}  // namespace

handler liveness() {
  return [](request&) { return fresh(200, "alive\n"); };
}

handler readiness() { return readiness({}); }

handler readiness(std::function<bool()> is_ready) {
  return [is_ready = std::move(is_ready)](request& r) {
    if (r.server_is_stopping()) return fresh(503, "stopping\n");
    if (is_ready && !is_ready()) return fresh(503, "not ready\n");
    return fresh(200, "ready\n");
  };
}

}  // namespace heddle::http
