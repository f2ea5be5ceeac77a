// SPDX-License-Identifier: MIT
#include "page.h"

#include "cluster_render_html.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

namespace cluster_render {
namespace {

namespace h = heddle;
namespace http = heddle::http;
using nlohmann::json;

constexpr std::size_t most_tiles = 256;  // of one answer

/// The workers' place in the list, as the page colours them; -1: another's.
int place_of(const crew* c, const std::string& worker) {
  if (!c) return 0;
  int place = 0;
  for (const auto& w : c->workers()) {
    if (w.name == worker) return place;
    ++place;
  }
  return -1;
}

json workers_of(const shown& s) {
  if (!s.processes) return json::array();
  std::vector<std::size_t> ended(s.processes->workers().size());
  for (const auto& i : s.run.items()) {
    const int place = i.got ? place_of(s.processes, i.got->first) : -1;
    if (place >= 0) ++ended[static_cast<std::size_t>(place)];
  }
  json all = json::array();
  std::size_t n = 0;
  for (const auto& w : s.processes->workers())
    all.push_back({{"name", w.name},
                   {"up", w.up},
                   {"pid", w.up ? w.process.pid() : 0},
                   {"deaths", w.deaths},
                   {"ended", ended[n++]}});
  return all;
}

/// One letter an item: '.' waits, 'r' was begun, 'x' has an error, 'a' to 'z' was done by that
/// worker, 'A' to 'Z' was begun more than once.
std::string cells_of(const shown& s) {
  std::string cells;
  for (const auto& i : s.run.items()) {
    char c = i.runs > 0 ? 'r' : '.';
    if (!i.error.empty()) c = 'x';
    if (i.got) {
      const int place = std::max(0, place_of(s.processes, i.got->first)) % 16;
      c = static_cast<char>((i.runs > 1 ? 'A' : 'a') + place);
    }
    cells.push_back(c);
  }
  return cells;
}

json state_of(const shown& s) {
  json j{{"picture", s.items.is_picture()},
         {"tiles", s.items.tiles()},
         {"edge", s.items.edge()},
         {"size", s.items.size()},
         {"ended", s.run.finished().size()},
         {"submitted", s.run.submitted()},
         {"again", s.run.run_again()},
         {"seconds", s.run.seconds()},
         {"rate", s.run.rate()},
         {"cells", cells_of(s)},
         {"workers", workers_of(s)},
         {"server", nullptr},
         {"verdict", nullptr}};
  if (s.processes)
    j["server"] = {{"up", s.processes->server().up}, {"deaths", s.processes->server().deaths}};
  if (const auto& v = s.run.judged())
    j["verdict"] = {{"fine", v->fine()},
                    {"missing", v->missing},
                    {"two", v->two},
                    {"different", v->different},
                    {"checksum", v->checksum}};
  return j;
}

void add_number(std::string& to, std::size_t value) {
  for (int shift = 0; shift < 32; shift += 8)
    to.push_back(static_cast<char>(value >> shift & 0xffU));
}

/// For each tile: its number (4 bytes, the least first), its worker's place (1 byte), its pixels.
/// A tile without a picture is a number alone that no tile has.
http::response tiles_from(const shown& s, std::string_view first) {
  std::size_t from = 0;
  const auto& finished = s.run.finished();
  if (!s.items.is_picture() || !h::detail::parse_number(first, from))
    return http::response::error(404, "there are no such tiles");
  http::response r;
  r.content_type = "application/octet-stream";
  const auto end = std::min(finished.size(), std::min(from, finished.size()) + most_tiles);
  const std::size_t side = s.items.edge() / s.items.tiles();
  for (std::size_t i = from; i < end; ++i) {
    const auto& one = s.run.items()[finished[i]];
    add_number(r.body, finished[i]);
    r.body.push_back(static_cast<char>(one.got ? place_of(s.processes, one.got->first) : 0));
    r.body += one.got ? one.got->second : std::string(side * side, '\0');
  }
  return r;
}

/// A page of another site may not kill here: its browser names it as the origin.
http::response kill(shown& s, const http::request& asked, bool server) {
  const auto origin = asked.headers.get("Origin");
  if (origin && *origin != asked.scheme() + "://" + asked.host())
    return http::response::error(403, "a page of another site asks");
  if (!s.processes) return http::response::error(409, "there are no processes: --workers is 0");
  const bool done = server ? s.processes->kill_server() : s.processes->kill_one();
  if (!done) return http::response::error(409, "it is not up at this moment");
  return http::response::text("killed\n");
}

}  // namespace

http::router make_page(shown& s) {
  http::router r;
  r.use(http::compress());
  r.get("/", [] {
    http::response page = http::response::html(std::string(embedded::cluster_render_html));
    page.headers.add("Cache-Control", "no-cache");
    page.headers.add("Content-Security-Policy",
                     "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                     "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                     "frame-ancestors 'none'; img-src data:");
    return page;
  });
  r.get("/state", [&s] {
    s.last_asked = h::clock::now();
    return http::response::json(state_of(s).dump());
  });
  r.get("/tiles/{from}", [&s](http::request& asked) {
    return tiles_from(s, asked.path_value("from").value_or(""));
  });
  r.post("/kill/worker", [&s](http::request& asked) { return kill(s, asked, false); });
  r.post("/kill/server", [&s](http::request& asked) { return kill(s, asked, true); });
  return r;
}

}  // namespace cluster_render
