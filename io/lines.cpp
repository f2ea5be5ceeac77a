// SPDX-License-Identifier: MIT
#include <heddle/io/lines.h>

#include <heddle/core/errors.h>

#include <utility>

namespace heddle {

namespace {

task<> drain_lines(stream_writer& w) { co_await w.drain(); }

}  // namespace

lines::lines(connection over, const line_options& options)
    : under_(std::move(over)), options_(options) {
  (void)detail::checked<std::size_t>(options.max_line, "max_line", 1);
}

void lines::check_length(std::size_t n) const {
  if (n > options_.max_line)
    throw bad_value("a line is longer than max_line, " + std::to_string(options_.max_line) +
                    " bytes");
}

// True: `line` is the first line of `there`, with its end. `looked`: so many bytes were looked at
// before, and had no LF.
bool lines::has_line(std::string_view there, std::size_t& looked, std::string_view& line) const {
  const auto at = there.find('\n', looked);
  const bool found = at != std::string_view::npos;
  looked = there.size();
  line = there.substr(0, found ? at + 1 : there.size());
  std::string_view text = there.substr(0, found ? at : there.size());
  const bool cr = !text.empty() && text.back() == '\r';
  if (cr && options_.ending != line_ending::lf) text.remove_suffix(1);  // perhaps a part of the end
  check_length(text.size());
  if (!found || options_.ending != line_ending::crlf) return found;
  if (!cr) throw bad_value("a line ends with a bare LF, where each must end with CR LF");
  if (text.find('\r') != std::string_view::npos)
    throw bad_value("a line has a bare CR in it, where each must end with CR LF");
  return true;
}

// Nothing is consumed before the line is whole. So a cancelled call loses nothing, and a line that
// is refused is found again by the next call.
task<std::optional<std::string>> lines::next() {
  auto& in = under_.reader;
  std::size_t looked = 0;
  for (;;) {
    const std::string_view there = in.buffered();
    std::string_view line;
    if (has_line(there, looked, line)) {
      std::string_view text = line.substr(0, line.size() - 1);
      if (options_.ending != line_ending::lf && !text.empty() && text.back() == '\r')
        text.remove_suffix(1);
      std::optional<std::string> whole(text);
      in.consume(line.size());
      co_return whole;
    }
    const std::size_t had = there.size();
    const bool more = co_await in.fill();
    if (more || in.buffered().size() > had) continue;
    if (had == 0) co_return std::nullopt;
    throw incomplete_read_error(std::string(in.buffered()), 0);
  }
}

task<> lines::write(std::string_view line) {
  check_length(line.size());
  const bool cr_is_text = options_.ending == line_ending::lf;
  if (line.find_first_of(cr_is_text ? "\n" : "\r\n") != std::string_view::npos)
    throw bad_value("a line that is written has an end of line in it");
  const std::string_view end = options_.ending == line_ending::crlf ? "\r\n" : "\n";
  under_.writer.write_lines({line, end});
  return drain_lines(under_.writer);
}

}  // namespace heddle
