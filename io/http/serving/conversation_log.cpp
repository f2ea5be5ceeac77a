// SPDX-License-Identifier: MIT
// What a connection tells of its answers, if the server was set to.
#include <heddle/io/http/access_log.h>
#include <heddle/io/http/middlewares.h>
#include <heddle/io/http/serving/conversation.h>

#include <chrono>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace heddle::http::detail {
namespace {

std::string cut(std::string_view text, std::size_t most) {
  std::string kept(text.substr(0, most));
  if (text.size() > most) kept += "...";
  return kept;
}

/// What the entry knows of the request.
access_entry entry_of(request& r, std::size_t most) {
  access_entry e;
  e.remote = cut(r.remote(), most);
  if (!r.target.empty()) e.method = cut(r.method.text(), most);
  e.target = cut(r.target, most);
  e.pattern = cut(r.pattern(), most);
  e.version = r.version;
  e.referer = cut(r.headers.get("referer").value_or(""), most);
  e.user_agent = cut(r.headers.get("user-agent").value_or(""), most);
  if (const auto* const id = r.find<request_id_text>()) e.id = cut(id->text, most);
  return e;
}

}  // namespace

/// The answer is written, or there will be none. `bytes`: of its body. While the connection is open
/// the request ends directly behind this call; else the call is noted.
void conversation::note(int status, std::uint64_t bytes, bool complete) noexcept {
  noted_ = !is_open();
  const auto& log = e_.options.access_log;
  if (!log) return;
  try {
    auto e = entry_of(x_->parser.message(), log.text_limit());
    e.status = status;
    e.bytes = status_has_no_body(status) ? 0 : bytes;
    e.complete = complete;
    e.time = clock::now() - began_;
    using std::chrono::system_clock;
    const auto ended = system_clock::now().time_since_epoch().count();
    e.at = (std::int64_t{ended} - e.time.count()) / 1000;
    log.add(std::move(e));
  } catch (const std::exception&) { log.drop(); }  // memory is short
}

}  // namespace heddle::http::detail
