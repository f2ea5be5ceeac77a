// SPDX-License-Identifier: MIT
#include <heddle/io/http/access_log.h>

#include <heddle/core/errors.h>
#include <heddle/io/descriptors/fd.h>
#include <heddle/io/http/logging/access_queue.h>
#include <heddle/sched/to_thread.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <string_view>
#include <system_error>
#include <utility>

namespace heddle::http {
namespace {

constexpr std::string_view digits = "0123456789abcdef";

/// A sink that the user has given.
class called_sink final : public detail::access_sink {
 public:
  explicit called_sink(access_log::sink to) : to_(std::move(to)) {}
  void take(const access_entry& e) override { to_(e); }

 private:
  access_log::sink to_;
};

heddle::detail::fd open_log(const std::string& path) {
  heddle::detail::fd to(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (to.get() < 0)
    throw std::system_error(errno, std::generic_category(), "open the access log " + path);
  return to;
}

/// Lines that go into a file, many at a time.
class line_sink final : public detail::access_sink {
 public:
  line_sink(std::string path, access_format how)
      : path_(std::move(path)), to_(open_log(path_)), how_(how) {}

  void take(const access_entry& e) override {
    lines_ += access_line(e, how_);
    ++count_;
    if (lines_.size() >= most) lost_ += write();
  }
  std::uint64_t settle() override { return write() + std::exchange(lost_, 0); }
  void reopen() override { to_ = open_log(path_); }

 private:
  static constexpr std::size_t most = std::size_t{64} * 1024;

  /// Says how many entries were lost.
  std::uint64_t write() {
    std::string_view rest = lines_;
    while (!rest.empty()) {
      const auto n = ::write(to_.get(), rest.data(), rest.size());
      if (n >= 0) {
        rest.remove_prefix(static_cast<std::size_t>(n));
      } else if (errno == EAGAIN) {
        pollfd room{to_.get(), POLLOUT, 0};
        (void)::poll(&room, 1, -1);
      } else if (errno != EINTR) {
        break;
      }
    }
    const auto lost = static_cast<std::uint64_t>(std::ranges::count(rest, '\n'));
    lines_.clear();
    return std::min(std::exchange(count_, 0), lost);
  }

  std::string path_;
  heddle::detail::fd to_;
  access_format how_;
  std::string lines_;
  std::uint64_t count_ = 0;  // entries in lines_
  std::uint64_t lost_ = 0;   // not told by settle() yet
};

/// Appends the text for a line of the format combined, between quotes or blanks.
void append_plain(std::string& out, std::string_view text, bool may_have_blanks) {
  if (text.empty()) {
    out += '-';
    return;
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_blank = c == ' ' && !may_have_blanks;
    if (byte >= ' ' && byte < 0x7f && c != '"' && c != '\\' && !is_blank) {
      out += c;
    } else {
      out += "\\x";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
}

void append_json(std::string& out, std::string_view name, std::string_view text) {
  out.append(out.ends_with('{') ? "\"" : ",\"").append(name).append("\":\"");
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (byte >= ' ' && byte < 0x7f) {
      out += c;
    } else {
      out += "\\u00";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  out += '"';
}

void append_json(std::string& out, std::string_view name, std::uint64_t number) {
  out.append(",\"").append(name).append("\":").append(std::to_string(number));
}

/// `value` with so many digits, zeros before it.
void append_digits(std::string& out, std::uint64_t value, std::size_t count) {
  const std::string text = std::to_string(value);
  out.append(count - std::min(count, text.size()), '0').append(text);
}

std::uint64_t positive(std::int64_t n) noexcept {
  return n < 0 ? 0 : static_cast<std::uint64_t>(n);
}

/// "10/Oct/2000:13:55:36 +0000"
void append_date(std::string& out, std::int64_t microseconds) {
  const auto seconds = static_cast<std::time_t>(positive(microseconds) / 1'000'000);
  constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm t{};
  if (::gmtime_r(&seconds, &t) == nullptr) t.tm_mday = 1;
  append_digits(out, positive(t.tm_mday), 2);
  out.append("/").append(months[positive(t.tm_mon)]).append("/");
  append_digits(out, positive(std::int64_t{t.tm_year} + 1900), 4);
  for (const int part : {t.tm_hour, t.tm_min, t.tm_sec}) {
    out += ':';
    append_digits(out, positive(part), 2);
  }
  out += " +0000";
}

std::string_view name_of(version v) noexcept {
  return v == version::http_1_0 ? "HTTP/1.0" : "HTTP/1.1";
}

std::string combined_line(const access_entry& e) {
  std::string line;
  if (e.dropped != 0) line = "# " + std::to_string(e.dropped) + " requests are not in this log\n";
  append_plain(line, e.remote, false);
  line += " - - [";
  append_date(line, e.at);
  line += "] \"";
  if (e.method.empty()) {
    line += '-';
  } else {
    append_plain(line, e.method, false);
    line += ' ';
    append_plain(line, e.target, false);
    line.append(" ").append(name_of(e.version));
  }
  line += "\" ";
  append_digits(line, positive(e.status), 3);
  line.append(" ").append(std::to_string(e.bytes)).append(" \"");
  append_plain(line, e.referer, true);
  line += "\" \"";
  append_plain(line, e.user_agent, true);
  return line += "\"\n";
}

std::string json_line(const access_entry& e) {
  std::string line;
  if (e.dropped != 0) line = "{\"dropped\":" + std::to_string(e.dropped) + "}\n";
  line += '{';
  append_json(line, "remote", e.remote);
  append_json(line, "method", e.method);
  append_json(line, "target", e.target);
  append_json(line, "pattern", e.pattern);
  append_json(line, "version", name_of(e.version));
  append_json(line, "status", positive(e.status));
  append_json(line, "bytes", e.bytes);
  line += e.complete ? ",\"complete\":true" : ",\"complete\":false";
  const auto micros = positive(e.time.count()) / 1000;
  append_json(line, "time", micros / 1'000'000);
  line += '.';
  append_digits(line, micros % 1'000'000, 6);
  append_json(line, "at", positive(e.at) / 1'000'000);
  line += '.';
  append_digits(line, positive(e.at) % 1'000'000, 6);
  append_json(line, "referer", e.referer);
  append_json(line, "user_agent", e.user_agent);
  append_json(line, "id", e.id);
  return line += "}\n";
}

std::shared_ptr<detail::access_queue> make(std::unique_ptr<detail::access_sink> to,
                                           const access_log_options& o) {
  if (o.queue_limit == 0) throw bad_value("access_log_options::queue_limit is at least 1");
  return std::make_shared<detail::access_queue>(std::move(to), o);
}

}  // namespace

std::string access_line(const access_entry& e, access_format how) {
  return how == access_format::json ? json_line(e) : combined_line(e);
}

access_log::access_log(sink to) : access_log(std::move(to), access_log_options()) {}

access_log::access_log(sink to, access_log_options options) {
  if (!to) throw bad_value("the sink of an access_log is empty");
  queue_ = make(std::make_unique<called_sink>(std::move(to)), options);
}

access_log access_log::to_file(const std::string& path, access_format how) {
  return to_file(path, how, access_log_options());
}

access_log access_log::to_file(const std::string& path, access_format how,
                               access_log_options options) {
  access_log made;
  made.queue_ = make(std::make_unique<line_sink>(path, how), options);
  return made;
}

void access_log::add(access_entry e) const noexcept {
  if (queue_) queue_->add(std::move(e));
}

void access_log::drop() const noexcept {
  if (queue_) queue_->drop();
}

void access_log::reopen() const noexcept {
  if (queue_) queue_->reopen();
}

task<> access_log::flush() const {
  if (!queue_) co_return;
  auto waiting = to_thread([queue = queue_] { queue->flush(); });
  co_await waiting;
}

std::uint64_t access_log::dropped() const noexcept { return queue_ ? queue_->dropped() : 0; }

std::size_t access_log::text_limit() const noexcept {
  return queue_ ? queue_->options.text_limit : 0;
}

}  // namespace heddle::http
