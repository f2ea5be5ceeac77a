// SPDX-License-Identifier: MIT
#include <heddle/io/http/multipart.h>

#include <heddle/core/errors.h>
#include <heddle/io/file.h>
#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/content/random_bytes.h>
#include <heddle/io/http/files.h>
#include <heddle/io/http/message.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace heddle::http {
namespace detail {

struct outgoing_part {
  std::string head;  // its fields, and the empty line
  std::string text;  // if it is neither a file nor a stream
  std::string path;
  multipart::source from;
  std::optional<std::uint64_t> size;  // of `from`
};

}  // namespace detail

namespace {

using detail::outgoing_part;

constexpr std::size_t piece_bytes = 64 * 1024;

/// HTML, 4.10.21.8: the three characters that would end a name, and nothing else.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"')
      out += "%22";
    else if (c == '\r')
      out += "%0D";
    else if (c == '\n')
      out += "%0A";
    else
      out += c;
  }
  return out;
}

void check_text(const char* what, std::string_view text, std::string_view allowed) {
  const bool bad = std::ranges::any_of(text, [&](char c) {
    return detail::is_control(c) && allowed.find(c) == std::string_view::npos;
  });
  if (bad) {
    throw bad_value("the " + std::string(what) + " of a part, \"" + printable(text) +
                    "\", holds a control character");
  }
}

std::string head_of(std::string_view name, const part_options& o) {
  check_text("name", name, "\r\n");
  check_text("file name", o.file_name, "\r\n");
  check_text("type", o.content_type, "\t");
  std::string head = "Content-Disposition: form-data; name=\"" + escaped(name) + "\"";
  if (!o.file_name.empty()) head += "; filename=\"" + escaped(o.file_name) + "\"";
  head += "\r\n";
  if (!o.content_type.empty()) head += "Content-Type: " + o.content_type + "\r\n";
  return head += "\r\n";
}

std::string new_boundary() { return "----heddle-" + detail::hex(detail::random_bytes(24)); }

async_generator<std::string> pieces_of_file(std::string path) {
  task<file> opening = file::open(std::move(path));
  file f = co_await opening;
  for (;;) {
    task<std::string> reading = f.read(static_cast<std::ptrdiff_t>(piece_bytes));
    std::string piece = co_await reading;
    if (piece.empty()) break;
    co_yield std::move(piece);
  }
  task<> closing = f.close();
  co_await closing;
}

[[noreturn]] void refuse_size(std::uint64_t promised, const char* how) {
  throw usage_error("a part of a multipart body gave " + std::string(how) + " than the " +
                    std::to_string(promised) + " bytes that were promised");
}

using shared_parts = std::vector<std::shared_ptr<const outgoing_part>>;

/// All of a body. `sizes` has that of each part, as far as it is known.
async_generator<std::string> pieces_of(std::string boundary, shared_parts parts,
                                       std::vector<std::optional<std::uint64_t>> sizes) {
  std::string out;  // gathers what is small
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const outgoing_part& p = *parts[i];
    out += "--" + boundary + "\r\n" + p.head;
    if (p.path.empty() && !p.from) {
      out += p.text;
    } else {
      co_yield std::exchange(out, {});
      auto pieces = p.from ? p.from() : pieces_of_file(p.path);
      std::uint64_t sum = 0;
      while (std::string* piece = co_await pieces.next()) {
        sum += piece->size();
        if (sizes[i] && sum > *sizes[i]) refuse_size(*sizes[i], "more");
        if (!piece->empty()) co_yield std::move(*piece);
      }
      if (sizes[i] && sum < *sizes[i]) refuse_size(*sizes[i], "less");
    }
    out += "\r\n";
    if (out.size() >= piece_bytes) co_yield std::exchange(out, {});
  }
  out += "--" + boundary + "--\r\n";
  co_yield std::move(out);
}

std::string file_name_in(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

}  // namespace

multipart::multipart() : boundary_(new_boundary()) {}

multipart::multipart(std::string boundary) : boundary_(std::move(boundary)) {
  constexpr auto chars = detail::table_of("'()+_,-./:=? ");
  const bool fits = !boundary_.empty() && boundary_.size() <= 70 && !boundary_.ends_with(' ') &&
                    std::ranges::all_of(boundary_, [&](char c) { return detail::is_in(chars, c); });
  if (!fits) throw bad_value("\"" + printable(boundary_) + "\" is no boundary (RFC 2046, 5.1.1)");
}

multipart& multipart::add(outgoing_part part) {
  parts_.push_back(std::make_shared<const outgoing_part>(std::move(part)));
  return *this;
}

multipart& multipart::text(std::string name, std::string value) {
  outgoing_part p;
  p.head = head_of(name, {});
  p.text = std::move(value);
  return add(std::move(p));
}

multipart& multipart::bytes(std::string name, std::string bytes) {
  return this->bytes(std::move(name), std::move(bytes), {});
}

multipart& multipart::bytes(std::string name, std::string bytes, part_options options) {
  if (options.content_type.empty()) options.content_type = "application/octet-stream";
  outgoing_part p;
  p.head = head_of(name, options);
  p.text = std::move(bytes);
  return add(std::move(p));
}

multipart& multipart::file(std::string name, std::string path) {
  return file(std::move(name), std::move(path), {});
}

multipart& multipart::file(std::string name, std::string path, part_options options) {
  if (options.file_name.empty()) options.file_name = file_name_in(path);
  if (options.content_type.empty()) options.content_type = media_type_of(options.file_name).text();
  outgoing_part p;
  p.head = head_of(name, options);
  p.path = std::move(path);
  if (p.path.empty()) throw bad_value("a part's file has no path");
  return add(std::move(p));
}

multipart& multipart::stream(std::string name, source from, std::optional<std::uint64_t> size) {
  return stream(std::move(name), std::move(from), size, {});
}

multipart& multipart::stream(std::string name, source from, std::optional<std::uint64_t> size,
                             part_options options) {
  if (!from) throw bad_value("a part's source is empty");
  if (options.content_type.empty()) options.content_type = "application/octet-stream";
  outgoing_part p;
  p.head = head_of(name, options);
  p.from = std::move(from);
  p.size = size;
  return add(std::move(p));
}

multipart& multipart::json(std::string name, const json_value& value) {
  part_options options;
  options.content_type = "application/json";
  outgoing_part p;
  p.head = head_of(name, options);
  try {
    p.text = value.dump();
  } catch (const nlohmann::json::exception& e) {
    throw bad_value("the value of the part " + printable(name) + " is no JSON: " + e.what());
  }
  return add(std::move(p));
}

std::string multipart::content_type() const {
  return "multipart/form-data; boundary=" + detail::token_or_quoted(boundary_);
}

task<multipart_body> multipart::ready() const {
  multipart_body body;
  body.content_type = content_type();
  const std::string boundary = boundary_;
  const shared_parts parts = parts_;        // of now: who adds a part later makes another body
  std::uint64_t sum = boundary.size() + 6;  // "--", "--" and the line's end
  bool exact = true;
  std::vector<std::optional<std::uint64_t>> sizes;
  for (const auto& p : parts) {
    std::optional<std::uint64_t> size = p->size;
    if (!p->path.empty()) {
      task<heddle::file> opening = heddle::file::open(p->path);
      heddle::file f = co_await opening;
      task<file_status> asking = f.status();
      const file_status s = co_await asking;
      task<> closing = f.close();
      co_await closing;
      size = s.size;
    } else if (!p->from) {
      size = p->text.size();
    }
    sum += boundary.size() + 4 + p->head.size() + size.value_or(0) + 2;
    exact = exact && size.has_value();
    sizes.push_back(size);
  }
  if (exact) body.length = sum;
  body.pieces = [boundary, parts, sizes] { return pieces_of(boundary, parts, sizes); };
  co_return body;
}

}  // namespace heddle::http
