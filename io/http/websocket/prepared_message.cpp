// SPDX-License-Identifier: MIT
#include <heddle/io/http/websocket/prepared_message.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/websocket/deflate.h>
#include <heddle/io/http/websocket/frame.h>
#include <heddle/io/http/websocket/utf8.h>

#include <utility>

namespace heddle::http::detail {

std::shared_ptr<const prepared_message> prepare_message(ws_kind kind, std::string_view data,
                                                        bool compresses) {
  if (kind == ws_kind::text && !is_utf8(data)) throw bad_value("a WebSocket's text is no UTF-8");
  auto m = std::make_shared<prepared_message>();
  m->kind = kind;
  frame_head head;
  head.op = static_cast<opcode>(kind);
  head.length = data.size();
  append_frame(m->frame, head, data, ws_side::server);
  m->body_at = m->frame.size() - data.size();
  if (compresses) {
    const ws_deflate usual;
    auto d = take_deflater(usual.window, usual.memory);
    d->add(data, true, m->compressed);
    give_back(std::move(d));
    m->window = usual.window;
    if (m->compressed.size() >= data.size()) std::string().swap(m->compressed);
  }
  return m;
}

}  // namespace heddle::http::detail
