// SPDX-License-Identifier: MIT
#include "board.h"

#include "counters.h"
#include "guest.h"
#include "limits.h"
#include "pages.h"
#include "refused.h"
#include "room.h"
#include "statistics.h"
#include "uploads.h"

#include <heddle/io/http/typed.h>

#include <filesystem>
#include <memory>
#include <string_view>

namespace board {
namespace {

/// A page of another site may neither talk here nor upload: its browser names it as the origin.
h::task<http::response> from_here_alone(http::request& asked, http::next go_on) {
  const auto origin = asked.headers.get("Origin");
  if (origin && *origin != asked.scheme() + "://" + asked.host())
    throw refused(403, "a page of another site asks");
  co_return co_await go_on(asked);
}

}  // namespace

http::router make_board(const settings& s) {
  const auto all = std::make_shared<rooms>(s.directory + "/rooms");
  const auto files = std::make_shared<uploads>(s.directory);

  http::router r;
  r.state(all).state(files).state(std::make_shared<counters>());
  r.state(std::make_shared<upstreams>(s.upstreams));
  r.on_startup([all] { return all->start(); });
  r.on_startup([files] { return files->start(); });

  r.use(http::security_headers()).use(from_here_alone).use(http::compress());
  r.on_error<refused>([](const refused& no) { return http::problem(no.status(), no.what()); });
  r.on_error<h::limit_overrun_error>(
      [](const h::limit_overrun_error& e) { return http::problem(413, e.what()); });

  add_pages(r);
  r.websocket("/rooms/{room}/talk", visit, guest_options());
  r.post("/rooms/{room}/files", upload).body(http::body_mode::stream).body_limit(limits::upload);
  std::filesystem::create_directories(files->files());  // the route below opens it now
  r.files("/files/", files->files()).use(as_harmless_file);
  r.get("/api/rooms", [](http::state<rooms> known) { return known->list(); });
  r.get("/api/stats", statistics);
  r.get("/api/around", [](http::state<upstreams> others) { return others->ask(); });
  return r;
}

}  // namespace board
