// SPDX-License-Identifier: MIT
#include "pages.h"

#include "board_css.h"
#include "board_js.h"
#include "board_svg.h"
#include "index_html.h"

#include <string>
#include <string_view>

namespace board {
namespace {

namespace http = heddle::http;

http::response page(std::string_view bytes, http::media_type type) {
  http::response r;
  r.content_type = type;
  r.body = bytes;
  r.headers.add("Cache-Control", "no-cache");
  // Scripts, styles and pictures from this board alone, and none inside the page's text.
  r.headers.add("Content-Security-Policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'");
  return r;
}

}  // namespace

void add_pages(http::router& to) {
  to.get("/", [] { return page(embedded::index_html, "text/html; charset=utf-8"); });
  to.get("/board.css", [] { return page(embedded::board_css, "text/css; charset=utf-8"); });
  to.get("/board.js", [] { return page(embedded::board_js, "text/javascript; charset=utf-8"); });
  to.get("/board.svg", [] { return page(embedded::board_svg, "image/svg+xml"); });
}

}  // namespace board
