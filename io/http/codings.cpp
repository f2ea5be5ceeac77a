// SPDX-License-Identifier: MIT
#include <heddle/io/http/codings.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/content/decoder.h>
#include <heddle/io/http/content/field_text.h>
#include <heddle/io/http/content/q_value.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message.h>

#include <array>
#include <utility>

namespace heddle::http {
namespace {

/// So many codings on top of each other: more is an attack, for each may multiply the work.
constexpr std::size_t most_codings = 5;

bool is_built(coding c) {
  static const bool br = detail::brotli_decoder() != nullptr;
  static const bool zstd = detail::zstd_decoder() != nullptr;
  return c == coding::br ? br : c == coding::zstd ? zstd : true;
}

std::unique_ptr<detail::decoder> decoder_of(coding c) {
  switch (c) {
    case coding::gzip: return detail::gzip_decoder();
    case coding::deflate: return detail::deflate_decoder();
    case coding::br: return detail::brotli_decoder();
    case coding::zstd: return detail::zstd_decoder();
    case coding::identity: break;
  }
  return nullptr;
}

std::unique_ptr<detail::coder> coder_of(coding c, int level) {
  if (!is_built(c))
    throw bad_value("heddle was built without the library of " + std::string(name_of(c)));
  switch (c) {
    case coding::gzip: return detail::gzip_coder(level);
    case coding::deflate: return detail::deflate_coder(level);
    case coding::br: return detail::brotli_coder(level);
    case coding::zstd: return detail::zstd_coder(level);
    case coding::identity: break;
  }
  return nullptr;
}

/// The coding of that name, built or not: a file may lie in it.
std::optional<coding> named(std::string_view name) noexcept {
  if (same_token(name, "x-gzip")) return coding::gzip;
  for (const coding c :
       {coding::identity, coding::gzip, coding::deflate, coding::br, coding::zstd}) {
    if (same_token(name, name_of(c))) return c;
  }
  return std::nullopt;
}

/// What an Accept-Encoding says of each coding; in thousandths, -1: nothing.
struct wishes {
  std::array<int, 5> of{-1, -1, -1, -1, -1};
  int others = -1;

  explicit wishes(std::string_view field) {
    detail::each_weighted(field, [this](std::string_view name, int q) {
      if (name == "*")
        others = q;
      else if (const auto c = named(name))
        of[static_cast<std::size_t>(*c)] = q;
    });
  }
  /// 0: the client refuses it.
  [[nodiscard]] int q(coding c) const noexcept {
    const int said = of[static_cast<std::size_t>(c)];
    if (said >= 0) return said;
    if (others >= 0) return others;
    return 0;
  }
};

}  // namespace

std::string_view name_of(coding c) noexcept {
  constexpr std::array<std::string_view, 5> names = {"identity", "gzip", "deflate", "br", "zstd"};
  return names[static_cast<std::size_t>(c)];
}

std::optional<coding> coding_of(std::string_view name) noexcept {
  const auto c = named(name);
  return c && is_built(*c) ? c : std::nullopt;
}

std::string_view known_codings() {
  static const std::string all = [] {
    std::string list = "gzip, deflate";
    if (is_built(coding::br)) list += ", br";
    if (is_built(coding::zstd)) list += ", zstd";
    return list;
  }();
  return all;
}

std::optional<std::vector<coding>> codings_in(std::string_view content_encoding) {
  std::vector<coding> found;
  detail::field_scanner list(content_encoding);
  do {
    const auto name = list.until(",");
    if (name.empty()) continue;  // "gzip," and "": lists may have empty items
    const auto c = coding_of(name);
    if (!c) return std::nullopt;
    if (*c != coding::identity) found.push_back(*c);
  } while (list.take(','));
  return found;
}

std::optional<coding> negotiate(std::optional<std::string_view> accept_encoding,
                                std::span<const coding> offers) {
  if (!accept_encoding || detail::without_blanks(*accept_encoding).empty()) return coding::identity;
  const wishes client(*accept_encoding);
  std::optional<coding> best;
  int best_q = 0;
  for (const coding c : offers) {
    if (c == coding::identity || client.q(c) <= best_q) continue;
    best = c;
    best_q = client.q(c);
  }
  // Identity is acceptable unless it is refused, but what is listed is liked better.
  const int said = client.of[static_cast<std::size_t>(coding::identity)];
  const bool refused = said == 0 || (said < 0 && client.others == 0);
  if (!refused && (!best || said > best_q)) return coding::identity;
  return best;
}

std::unique_ptr<detail::body_input> decoded(std::unique_ptr<detail::body_input> coded,
                                            std::string_view content_encoding) {
  const auto applied = codings_in(content_encoding);
  if (!applied) return coded;
  if (applied->size() > most_codings) {
    throw payload_error("the body has more than " + std::to_string(most_codings) +
                        " content codings");
  }
  for (auto c = applied->rbegin(); c != applied->rend(); ++c)
    coded = std::make_unique<detail::decoding_input>(std::move(coded), decoder_of(*c));
  return coded;
}

body_reader decoded(body_reader coded, std::string_view content_encoding) {
  const auto applied = codings_in(content_encoding);
  if (!applied || applied->empty()) return coded;
  std::unique_ptr<detail::body_input> from =
      std::make_unique<detail::reader_input>(std::move(coded));
  return body_reader(decoded(std::move(from), content_encoding));
}

std::string encoded(coding how, std::string_view whole) { return encoded(how, whole, -1); }

std::string encoded(coding how, std::string_view whole, int level) {
  encoder by(how, level);
  std::string out;
  by.write(whole, out);
  by.finish(out);
  return out;
}

encoder::encoder(coding how) : encoder(how, -1) {}
encoder::encoder(coding how, int level) : by_(coder_of(how, level)) {}
encoder::encoder(encoder&&) noexcept = default;
encoder& encoder::operator=(encoder&&) noexcept = default;
encoder::~encoder() = default;

void encoder::write(std::string_view bytes, std::string& out) {
  if (by_)
    by_->encode(bytes, detail::coder::flush::no, out);
  else
    out += bytes;
}

void encoder::flush(std::string& out) {
  if (by_) by_->encode({}, detail::coder::flush::yes, out);
}

void encoder::finish(std::string& out) {
  if (by_) by_->encode({}, detail::coder::flush::end, out);
}

}  // namespace heddle::http
