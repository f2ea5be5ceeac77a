// SPDX-License-Identifier: MIT
// Internal to io.
// The body of a request whose content codings are undone while it is read.
//
// Problem   A small body may decode to a huge one. Its limit must hold for what a handler gets, and
//           decoding must not hold up the other connections of the loop.
// Chosen    Decoded bytes are made in steps of 64 KiB, when the reader asks for them. They are
//           counted against the limit of the route, as the coded bytes are by the parser. Between
//           two steps the task sleeps for a moment, so that others have their turn.
#pragma once

#include <heddle/core/task.h>
#include <heddle/io/http/body_reader.h>
#include <heddle/io/http/message.h>
#include <heddle/io/http/serving/request_scope.h>

#include <cstddef>
#include <memory>
#include <string>

namespace heddle::http::detail {

/// Kept with a request whose body is to be decoded. The request has no Content-Encoding any more.
struct body_decoding {
  std::string codings;     // as in the field
  body_reader from = {};   // of a body that is read whole, once that has begun
  std::string text = {};   // what it has yielded until now
  bool has_begun = false;  // `from` is set
};

/// The body with its codings undone. Its reader throws payload_error: body_too_large for more than
/// `most` decoded bytes, broken_body for what cannot be decoded.
[[nodiscard]] std::unique_ptr<body_input> undone(std::unique_ptr<body_input> coded,
                                                 const std::string& codings, std::size_t most);

/// Reads the rest of `d.from` into `d.text`, and tells the gate what is held.
/// Cancel  the next call goes on where this one was
[[nodiscard]] task<> read_decoded(body_decoding& d, body_gate& gate);

}  // namespace heddle::http::detail
