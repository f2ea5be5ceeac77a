// SPDX-License-Identifier: MIT
#include <heddle/io/http/part_reader.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/codings.h>
#include <heddle/io/http/content/decoder.h>
#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/content/parts_core.h>
#include <heddle/io/http/content_type.h>
#include <heddle/io/http/url.h>

#include <algorithm>
#include <utility>

namespace heddle::http {
namespace detail {
namespace {

/// The content of one part, as a body.
class part_input final : public body_input {
 public:
  part_input(std::shared_ptr<parts_core> core, std::uint64_t part) noexcept
      : core_(std::move(core)), part_(part) {}
  [[nodiscard]] task<std::string_view> next() override { return core_->next_piece(part_); }

 private:
  const std::shared_ptr<parts_core> core_;
  const std::uint64_t part_;
};

}  // namespace
}  // namespace detail

namespace {

struct multipart_type {
  std::string boundary;
  bool is_form;
};

multipart_type read_type(std::string_view content_type) {
  detail::field_scanner from(content_type);
  const auto type = detail::lower_case(from.until(";"));
  detail::text_pairs parameters;
  (void)detail::read_parameters(from, parameters);
  const std::string* const boundary = detail::find_parameter(parameters, "boundary");
  if (!type.starts_with("multipart/")) {
    throw part_error(400, "the body has the type \"" + printable(type) + "\", which has no parts");
  }
  if (!boundary || boundary->empty() || boundary->size() > 70)
    throw part_error(400, "the type of the body has no boundary of 1 to 70 characters");
  return {*boundary, type == "multipart/form-data"};
}

/// The next line, unfolded, without its end. False: that was the empty line.
bool take_line(std::string_view& fields, std::string& line) {
  line.clear();
  for (;;) {
    const auto text = fields.substr(0, fields.find("\r\n"));
    fields.remove_prefix(text.size() + 2);
    if (text.find_first_of("\r\n") != std::string_view::npos)
      throw part_error(400, "a field of a part holds a bare CR or LF");
    line += text;
    if (!fields.starts_with(' ') && !fields.starts_with('\t')) return !line.empty();
  }
}

/// RFC 8187: charset'language'text, percent-encoded. Nothing: it is not that, or not in UTF-8.
std::optional<std::string> extended_value(std::string_view text) {
  const auto charset = text.substr(0, text.find('\''));
  const auto language = text.find('\'', charset.size() + 1);
  std::string decoded;
  if (!same_token(charset, "utf-8") || language == std::string_view::npos ||
      !percent_decode(text.substr(language + 1), decoded))
    return std::nullopt;
  return decoded;
}

struct disposition {
  std::string name;
  std::optional<std::string> file_name;
};

disposition read_disposition(std::string_view value) {
  detail::field_scanner from(value, detail::dialect::uploads);
  (void)from.token();
  detail::text_pairs parameters;
  (void)detail::read_parameters(from, parameters);  // what stands before an error is kept
  disposition d;
  if (const auto* name = detail::find_parameter(parameters, "name")) d.name = *name;
  if (const auto* file = detail::find_parameter(parameters, "filename")) d.file_name = *file;
  if (const auto* file = detail::find_parameter(parameters, "filename*")) {
    if (auto decoded = extended_value(*file)) d.file_name = std::move(decoded);
  }
  return d;
}

std::string without_controls(std::string_view text) {
  std::string out(text);
  std::erase_if(out, detail::is_control);
  return out;
}

disposition read_fields(std::string_view fields, const part_limits& limits, headers& to) {
  disposition d;
  std::string line;
  while (take_line(fields, line)) {
    const auto colon = line.find(':');
    if (to.size() == limits.header_count) {
      throw part_error(431,
                       "a part has more than " + std::to_string(limits.header_count) + " fields");
    }
    if (colon == std::string::npos)
      throw part_error(400, "\"" + printable(line) + "\" is no field of a part");
    const auto name = std::string_view(line).substr(0, colon);
    const auto value = std::string_view(line).substr(colon + 1);
    try {
      if (same_token(name, "content-disposition")) {
        d = read_disposition(value);
        to.add(name, without_controls(value));  // a file's name may hold NUL
      } else {
        to.add(name, value);
      }
    } catch (const bad_value& e) { throw part_error(400, e.what()); }
  }
  return d;
}

/// Undoes what the part's fields say of its content.
std::unique_ptr<detail::body_input> decoded_content(std::unique_ptr<detail::body_input> content,
                                                    const headers& of) {
  const auto transfer = of.get("content-transfer-encoding").value_or("");
  if (same_token(transfer, "base64")) {
    content =
        std::make_unique<detail::decoding_input>(std::move(content), detail::base64_decoder());
  } else if (same_token(transfer, "quoted-printable")) {
    content = std::make_unique<detail::decoding_input>(std::move(content),
                                                       detail::quoted_printable_decoder());
  }
  return decoded(std::move(content), of.get("content-encoding").value_or(""));
}

}  // namespace

std::string part::filename() const {
  std::string name = raw_filename_.value_or("");
  name.erase(0, name.find_last_of("/\\") + 1);
  std::erase(name, '\0');
  if (name == "." || name == "..") name.clear();
  return name;
}

std::string_view part::content_type() const noexcept {
  return headers.get("content-type").value_or("text/plain");
}

part_reader::part_reader(body_reader body, std::string_view content_type)
    : part_reader(std::move(body), content_type, part_limits{}) {}

part_reader::part_reader(body_reader body, std::string_view content_type, part_limits limits) {
  const auto type = read_type(content_type);
  core_ = std::make_shared<detail::parts_core>(std::move(body), type.boundary, limits);
  core_->decodes = !type.is_form;
}

part_reader::part_reader(request& r) : part_reader(r, part_limits{}) {}

part_reader::part_reader(request& r, part_limits limits) {
  const std::string type(r.headers.get("Content-Type").value_or(""));
  const auto parsed = content_type::parse(type);
  if (!parsed || !parsed->type.starts_with("multipart/"))
    throw part_error(415, "the body has the type \"" + printable(type) + "\", which has no parts");
  *this = part_reader(r.body_stream(), type, limits);
}

task<std::optional<part>> part_reader::next_part() {
  const auto core = core_;
  task<bool> skipping = core->to_next_part();
  const bool found = co_await skipping;
  if (!found) co_return std::nullopt;
  task<std::string> reading = core->take_fields();
  const std::string fields = co_await reading;
  part p;
  disposition d;
  try {
    d = read_fields(fields, core->limits(), p.headers);
  } catch (const part_error&) {
    core->fail_with(std::current_exception());
    throw;
  }
  p.name_ = std::move(d.name);
  p.raw_filename_ = std::move(d.file_name);
  std::unique_ptr<detail::body_input> content =
      std::make_unique<detail::part_input>(core, core->part());
  if (core->decodes) content = decoded_content(std::move(content), p.headers);
  p.body = body_reader(std::move(content));
  co_return std::optional<part>(std::move(p));
}

}  // namespace heddle::http
