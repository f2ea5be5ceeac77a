// SPDX-License-Identifier: MIT
#include <heddle/io/http/message/writer.h>

#include <heddle/core/checked.h>
#include <heddle/core/errors.h>
#include <heddle/io/http/message/write_at.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>

namespace heddle::http {
namespace {

constexpr std::string_view crlf = "\r\n";
constexpr std::array<std::string_view, 7> day_names = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> month_names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void append_two(std::string& out, unsigned value) {
  out += static_cast<char>('0' + value / 10 % 10);
  out += static_cast<char>('0' + value % 10);
}

/// Gathers a head on the stack, so that the string grows once, and not piece by piece.
class head_buffer {
 public:
  explicit head_buffer(std::string& out) noexcept : out_(out) {}
  head_buffer(const head_buffer&) = delete;
  head_buffer& operator=(const head_buffer&) = delete;

  head_buffer& operator<<(std::string_view text) {
    if (text.size() > buffer_.size() - used_) {
      flush();
      if (text.size() > buffer_.size()) {
        out_.append(text);
        return *this;
      }
    }
    std::memcpy(buffer_.data() + used_, text.data(), text.size());
    used_ += text.size();
    return *this;
  }
  head_buffer& number(std::uint64_t value, int base = 10) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
    return *this << std::string_view(digits.data(), end);
  }
  void flush() {
    out_.append(buffer_.data(), used_);
    used_ = 0;
  }

 private:
  std::string& out_;
  std::size_t used_ = 0;
  std::array<char, 480> buffer_;
};

constexpr std::string_view until_date = "HTTP/1.1 200 OK\r\nDate: ";
constexpr std::size_t date_size = 29;

/// What nearly every response begins with: status line and Date. Made once a second. Of constant
/// size, so that it is copied in a few instructions.
struct fresh_head {
  std::time_t made_for = -1;
  time_point from;  // between these two, of the monotonic clock, the second does not change
  time_point until;
  std::array<char, until_date.size() + date_size + crlf.size()> text{};

  std::string_view ok() const noexcept { return {text.data(), text.size()}; }
  /// "Date: ...\r\n"
  std::string_view date() const noexcept {
    return ok().substr(until_date.size() - std::string_view("Date: ").size());
  }

  void refresh_at(time_point now) {
    if (now >= from && now < until) [[likely]]
      return;
    const auto left = std::chrono::seconds(1) - refresh();
    if (now == time_point()) return;
    from = now;
    until = now + left;
  }

  /// Returns how much of the second is over.
  std::chrono::nanoseconds refresh() {
    std::timespec now{};
    // The coarse clock takes 7 ns instead of 35, and is exact enough for a field that counts
    // seconds.
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != made_for) [[unlikely]]
      make(now.tv_sec);
    return std::chrono::nanoseconds(now.tv_nsec);
  }

 private:
  void make(std::time_t seconds) {
    // Whole or not at all: memory may be short, and the next answer must not go without its head.
    const std::string date = format_http_date(seconds);
    auto to = std::ranges::copy(until_date, text.begin()).out;
    to = std::ranges::copy_n(date.begin(), date_size, to).out;
    std::ranges::copy(crlf, to);
    made_for = seconds;
  }
};

// Never inlined: a coroutine that calls it may resume on another thread, and must not find the
// address of a thread-local that was kept from before.
[[gnu::noinline]] const fresh_head& fresh(time_point now = {}) {
  constinit thread_local fresh_head head;
  head.refresh_at(now);
  return head;
}

enum class own_field { no, date, connection, framing, length, type };

/// Which of the writer's own fields has this name, if any.
own_field own(std::string_view name) noexcept {
  switch (name.size()) {
    case 4: return same_token(name, "date") ? own_field::date : own_field::no;
    case 10: return same_token(name, "connection") ? own_field::connection : own_field::no;
    case 12: return same_token(name, "content-type") ? own_field::type : own_field::no;
    case 14: return same_token(name, "content-length") ? own_field::length : own_field::no;
    case 17: return same_token(name, "transfer-encoding") ? own_field::framing : own_field::no;
    default: return own_field::no;
  }
}

void put_field(head_buffer& out, std::string_view name, std::string_view value) {
  out << name << ": " << value << crlf;
}

void put_status(head_buffer& out, int status, bool dated) {
  if (status < 100 || status > 999) {
    throw bad_value("status " + std::to_string(status) + " does not have three digits");
  }
  if (status < 200 && status != 101) {  // the client would go on to wait for the final response
    throw bad_value("status " + std::to_string(status) + " is that of an interim response");
  }
  if (status == 200 && !dated) {
    out << fresh().ok();
    return;
  }
  out << "HTTP/1.1 ";
  out.number(static_cast<std::uint64_t>(status)) << " " << reason_phrase(status) << crlf;
  if (!dated) out << fresh().date();
}

void append_head(std::string& to_string, const response& r, const reply_to& to,
                 body_framing framing, std::uint64_t length) {
  head_buffer out(to_string);
  const bool bodiless = status_has_no_body(r.status);
  const bool keep = keeps_alive(r, to) && framing != body_framing::until_close;
  put_status(out, r.status, r.headers.contains("date"));
  if (!to.server.empty() && !r.headers.contains("server")) put_field(out, "Server", to.server);
  bool typed = r.content_type.empty() || bodiless;
  bool measured = bodiless || framing != body_framing::length;
  for (const auto field : r.headers) {
    switch (own(field.name)) {
      case own_field::framing:
      case own_field::connection: continue;
      case own_field::length:
        if (!(to.head || r.status == 304) || r.status == 204) continue;
        measured = true;
        break;
      case own_field::type: typed = true; break;
      case own_field::date:
      case own_field::no: break;
    }
    put_field(out, field.name, field.value);
  }
  if (!typed) put_field(out, "Content-Type", r.content_type.text());
  if (!measured) (out << "Content-Length: ").number(length) << crlf;
  if (framing == body_framing::chunked) out << "Transfer-Encoding: chunked\r\n";
  if (!keep)
    out << "Connection: close\r\n";
  else if (to.version == version::http_1_0)
    out << "Connection: keep-alive\r\n";
  out << crlf;
  out.flush();
}

constexpr std::size_t longest_text = 128;  // a server's name, or a type
constexpr std::size_t short_body = 512;

/// 200 without fields of the handler's own, to a client that keeps its connection: nearly all
/// answers. Their heads are always the same, but for the date, the type and the length.
bool is_plain(const response& r, const reply_to& to) noexcept {
  return r.status == 200 && r.headers.empty() && to.keep_alive && to.version == version::http_1_1 &&
         to.server.size() <= longest_text && !r.content_type.empty() &&
         r.content_type.text().size() <= longest_text;
}

char* put(char* at, std::string_view text) noexcept {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

/// What append_head() writes for such an answer, and its body. There is room for all of the head,
/// so nothing is asked on the way. A short body is copied with it: then the string grows once.
void append_plain(std::string& out, const response& r, const reply_to& to, time_point now) {
  constexpr std::string_view server = "Server: ";
  constexpr std::string_view type = "Content-Type: ";
  constexpr std::string_view length = "\r\nContent-Length: ";
  constexpr std::string_view end_of_head = "\r\n\r\n";
  constexpr std::size_t most_digits = 20;
  std::array<char, sizeof(fresh_head::text) + server.size() + longest_text + crlf.size() +
                       type.size() + longest_text + length.size() + most_digits +
                       end_of_head.size() + short_body>
      buffer;
  const auto& begin = fresh(now).text;
  std::memcpy(buffer.data(), begin.data(), begin.size());
  char* at = buffer.data() + begin.size();
  if (!to.server.empty()) at = put(put(put(at, server), to.server), crlf);
  at = put(put(put(at, type), r.content_type.text()), length);
  at = std::to_chars(at, at + most_digits, r.body.size()).ptr;
  at = put(at, end_of_head);
  const bool fits = r.body.size() <= short_body;
  if (fits && !to.head) at = put(at, r.body);
  out.append(buffer.data(), static_cast<std::size_t>(at - buffer.data()));
  if (!fits && !to.head) out.append(r.body);
}

/// Takes numbers and names off the front of a text. `ok` as long as everything has fitted.
struct scanner {
  std::string_view rest;
  bool ok = true;

  void literal(std::string_view text) {
    ok = ok && rest.starts_with(text);
    if (ok) rest.remove_prefix(text.size());
  }
  unsigned number(std::size_t digits) {
    unsigned value = 0;
    ok = ok && rest.size() >= digits;
    for (std::size_t i = 0; ok && i < digits; ++i) {
      ok = rest[i] >= '0' && rest[i] <= '9';
      value = value * 10 + static_cast<unsigned>(rest[i] - '0');
    }
    if (ok) rest.remove_prefix(digits);
    return value;
  }
  unsigned month() {
    const auto found = std::ranges::find(month_names, rest.substr(0, 3));
    ok = ok && found != month_names.end();
    if (ok) rest.remove_prefix(3);
    return static_cast<unsigned>(found - month_names.begin()) + 1;
  }
};

struct clock_time {
  unsigned hour = 0, minute = 0, second = 0;
};

clock_time scan_time(scanner& s) {
  clock_time t;
  t.hour = s.number(2);
  s.literal(":");
  t.minute = s.number(2);
  s.literal(":");
  t.second = s.number(2);
  return t;
}

std::optional<std::time_t> to_time(unsigned year, unsigned month, unsigned day, clock_time t) {
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok() || t.hour > 23 || t.minute > 59 || t.second > 60) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<std::time_t>(days) * 86400 + t.hour * 3600 + t.minute * 60 + t.second;
}

void check_line_part(std::string_view text, std::string_view what) {
  const bool fine =
      !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
  if (!fine) {
    throw bad_value("the " + std::string(what) +
                    " of a request must not be empty or hold spaces, controls or non-ASCII");
  }
}

/// Request line and fields, but for those of the framing.
void put_request(head_buffer& head, const method& m, std::string_view target,
                 std::string_view authority, const headers& extra) {
  check_line_part(target, "target");
  check_line_part(authority, "host");
  head << m.text() << " " << target << " HTTP/1.1\r\n";
  const auto host = extra.get("host");
  put_field(head, "Host", host.value_or(authority));
  for (const auto field : extra) {
    const auto kind = own(field.name);
    if (kind == own_field::framing || kind == own_field::length) continue;
    if (host && same_token(field.name, "host")) continue;
    put_field(head, field.name, field.value);
  }
}

}  // namespace

bool keeps_alive(const response& r, const reply_to& to) noexcept {
  return to.keep_alive && (r.headers.empty() || !r.headers.has_token("connection", "close"));
}

void write_response(std::string& out, const response& r, const reply_to& to) {
  detail::write_response_at(out, r, to, {});
}

void detail::write_response_at(std::string& out, const response& r, const reply_to& to,
                               time_point now) {
  if (is_plain(r, to)) {
    append_plain(out, r, to, now);
    return;
  }
  append_head(out, r, to, body_framing::length, r.body.size());
  if (!to.head && !status_has_no_body(r.status)) out.append(r.body);
}

body_framing write_head(std::string& out, const response& r, const reply_to& to,
                        std::optional<std::uint64_t> length) {
  const auto framing = length                            ? body_framing::length
                       : status_has_no_body(r.status)    ? body_framing::none
                       : to.version == version::http_1_1 ? body_framing::chunked
                                                         : body_framing::until_close;
  append_head(out, r, to, framing, length.value_or(0));
  return to.head || status_has_no_body(r.status) ? body_framing::none : framing;
}

void write_chunk(std::string& out, std::string_view piece) {
  if (piece.empty()) return;
  head_buffer head(out);
  head.number(piece.size(), 16) << crlf;
  head.flush();
  out.append(piece).append(crlf);
}

void write_last_chunk(std::string& out) { out.append("0\r\n\r\n"); }

void write_request(std::string& out, const method& m, std::string_view target,
                   std::string_view authority, const headers& extra, std::string_view body) {
  head_buffer head(out);
  put_request(head, m, target, authority, extra);
  if (!body.empty() || m == method::post || m == method::put || m == method::patch) {
    (head << "Content-Length: ").number(body.size()) << crlf;
  }
  head << crlf;
  head.flush();
  out.append(body);
}

void write_request_head(std::string& out, const method& m, std::string_view target,
                        std::string_view authority, const headers& extra,
                        std::optional<std::uint64_t> length) {
  head_buffer head(out);
  put_request(head, m, target, authority, extra);
  if (length)
    (head << "Content-Length: ").number(*length) << crlf;
  else
    head << "Transfer-Encoding: chunked\r\n";
  head << crlf;
  head.flush();
}

std::string format_http_date(std::time_t seconds) {
  using namespace std::chrono;
  const sys_seconds at{std::chrono::seconds(seconds)};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  std::string out;
  out.reserve(29);
  out.append(day_names[weekday(day).c_encoding()]).append(", ");
  append_two(out, static_cast<unsigned>(date.day()));
  out.append(" ").append(month_names[static_cast<unsigned>(date.month()) - 1]).append(" ");
  append_two(out, static_cast<unsigned>(static_cast<int>(date.year())) / 100);
  append_two(out, static_cast<unsigned>(static_cast<int>(date.year())));
  out += ' ';
  append_two(out, heddle::detail::narrow<unsigned>(time.hours().count()));
  out += ':';
  append_two(out, heddle::detail::narrow<unsigned>(time.minutes().count()));
  out += ':';
  append_two(out, heddle::detail::narrow<unsigned>(time.seconds().count()));
  return out.append(" GMT");
}

std::optional<std::time_t> parse_http_date(std::string_view text) noexcept {
  scanner s{text};
  const auto comma = text.find(',');
  if (comma == std::string_view::npos) {  // asctime: "Sun Nov  6 08:49:37 1994"
    if (text.size() < 4) return std::nullopt;
    s.rest.remove_prefix(3);
    s.literal(" ");
    const auto month = s.month();
    s.literal(" ");
    const bool one_digit = s.rest.starts_with(' ');
    if (one_digit) s.literal(" ");
    const auto day = s.number(one_digit ? 1 : 2);
    s.literal(" ");
    const auto time = scan_time(s);
    s.literal(" ");
    const auto year = s.number(4);
    if (!s.ok || !s.rest.empty()) return std::nullopt;
    return to_time(year, month, day, time);
  }
  s.rest.remove_prefix(comma);
  s.literal(", ");
  const auto day = s.number(2);
  unsigned month = 0, year = 0;
  if (comma == 3) {  // "Sun, 06 Nov 1994 08:49:37 GMT"
    s.literal(" ");
    month = s.month();
    s.literal(" ");
    year = s.number(4);
  } else {  // "Sunday, 06-Nov-94 08:49:37 GMT"
    s.literal("-");
    month = s.month();
    s.literal("-");
    year = s.number(2);
    year += year < 70 ? 2000 : 1900;
  }
  s.literal(" ");
  const auto time = scan_time(s);
  s.literal(" GMT");
  if (!s.ok || !s.rest.empty()) return std::nullopt;
  return to_time(year, month, day, time);
}

}  // namespace heddle::http
