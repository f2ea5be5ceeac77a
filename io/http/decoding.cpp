// SPDX-License-Identifier: MIT
// The middlewares about what a request brings: coded bodies, and conditions.
#include <heddle/core/errors.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/conditions.h>
#include <heddle/io/http/content/decoder.h>
#include <heddle/io/http/handler.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/http/middlewares.h>
#include <heddle/io/http/serving/app_scope.h>
#include <heddle/io/http/serving/body_decoding.h>
#include <heddle/io/http/serving/request_scope.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {
namespace {

std::vector<coding> allowed(const decode_options& o) {
  constexpr std::array<coding, 4> all = {coding::gzip, coding::deflate, coding::br, coding::zstd};
  std::vector<coding> list;
  for (const coding c : all) {
    const bool is_built = coding_of(name_of(c)).has_value();
    const bool is_wanted = std::ranges::find(o.codings, c) != o.codings.end();
    if (is_wanted && !is_built)
      throw bad_value("decode_bodies: heddle was built without the library of " +
                      std::string(name_of(c)));
    if (is_built && (is_wanted || o.codings.empty())) list.push_back(c);
  }
  return list;
}

std::string names_of(const std::vector<coding>& list) {
  std::string all;
  for (const coding c : list) all.append(all.empty() ? "" : ", ").append(name_of(c));
  return all.empty() ? "identity" : all;
}

/// True if each coding that was applied is in the list.
bool may_decode(const std::optional<std::vector<coding>>& applied,
                const std::vector<coding>& list) {
  return applied && std::ranges::all_of(*applied, [&](coding c) {
           return std::ranges::find(list, c) != list.end();
         });
}

/// The body of a request that an outer middleware has read already.
task<> decode_loaded(request& r, std::string codings, std::size_t most) {
  auto coded = std::make_unique<detail::reader_input>(body_reader(std::exchange(r.body, {})));
  body_reader from(detail::undone(std::move(coded), codings, most));
  auto reading = from.read_all(most);
  r.body = co_await reading;
}

/// From now on the body is decoded when it is read.
task<> begin_decoding(request& r, std::string codings) {
  auto* const s = r.scope.get();
  if (s == nullptr || s->gate == nullptr) co_return;
  if (s->loaded) {
    task<> work = decode_loaded(r, std::move(codings), s->gate->body_limit());
    co_await work;
  } else {
    detail::body_decoding d;
    d.codings = std::move(codings);
    r.set(std::move(d));
  }
  r.headers.remove("content-encoding");
  r.headers.remove("content-length");
}

response not_decoded(const request& r, const std::string& names) {
  const auto* const s = r.scope.get();
  response refused =
      detail::refusal(s ? s->app() : nullptr, r, 415, "no content coding of this server");
  refused.headers.set("Accept-Encoding", names);
  return refused;
}

/// What a 304 tells of the answer in whose place it stands (RFC 9110, 15.4.5).
bool stays_in_304(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 7> about_body = {
      "content-type",  "content-length", "content-encoding", "content-language",
      "content-range", "accept-ranges",  "transfer-encoding"};
  return std::ranges::none_of(about_body,
                              [&](std::string_view other) { return same_token(name, other); });
}

resource_state state_of(const response& answer) {
  resource_state now;
  now.etag = answer.headers.get("etag").value_or("");
  if (const auto date = answer.headers.get("last-modified")) {
    if (const auto then = parse_http_date(*date)) now.modified = *then;
  }
  return now;
}

}  // namespace

middleware decode_bodies() { return decode_bodies(decode_options()); }

middleware decode_bodies(decode_options options) {
  auto list = allowed(options);
  auto names = names_of(list);
  return
      [list = std::move(list), names = std::move(names)](request& r, next go_on) -> task<response> {
        std::string codings;
        for (const auto line : r.headers.all("content-encoding"))
          codings.append(codings.empty() ? "" : ", ").append(line);
        if (!codings.empty()) {
          const auto applied = codings_in(codings);
          if (!may_decode(applied, list)) co_return not_decoded(r, names);
          if (!applied->empty()) {
            task<> beginning = begin_decoding(r, std::move(codings));
            co_await beginning;
          }
        }
        task<response> work = go_on(r);
        response answer = co_await work;
        co_return answer;
      };
}

middleware conditional() {
  return [](request& r, next go_on) -> task<response> {
    task<response> work = go_on(r);
    response answer = co_await work;
    const bool reads = r.method == method::get || r.method == method::head;
    if (!reads || answer.status != 200) co_return answer;
    const auto now = state_of(answer);
    if (now.etag.empty() && !now.modified) co_return answer;
    const auto found = check_conditions(r, now);
    if (found == condition::holds) co_return answer;
    if (found == condition::failed) co_return response::error(412);
    response unchanged;
    unchanged.status = 304;
    for (const auto field : answer.headers)
      if (stays_in_304(field.name)) unchanged.headers.add(field.name, field.value);
    co_return unchanged;
  };
}

}  // namespace heddle::http
