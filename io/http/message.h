// SPDX-License-Identifier: MIT
// What HTTP messages are made of: header fields, methods, requests and responses. Values only: no
// socket, no clock. Any object may be used by one task at a time.
//
//   headers h;
//   h.add("Content-Type", "text/plain");
//   EXPECT_EQ(h.get("content-type"), "text/plain");
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/base/owned.h>
#include <heddle/core/checked.h>
#include <heddle/core/task.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle {
template <class T>
class async_generator;
}

namespace heddle::http {

class body_reader;
class part_reader;
struct server_stats;
struct part_limits;

namespace detail {
struct parser_state;
class seat;

/// Leads from a request to the connection that it came on. A copy of a request has left its
/// connection, so its link is empty.
class seat_link {
 public:
  constexpr seat_link() noexcept = default;
  constexpr seat_link(const seat_link&) noexcept {}
  constexpr seat_link& operator=(const seat_link&) noexcept { return *this; }
  void lead_to(seat* to) noexcept { to_ = to; }
  [[nodiscard]] seat* get() const noexcept { return to_; }

 private:
  seat* to_ = nullptr;
};

struct request_scope;

/// Tells types apart.
template <class T>
inline constexpr char type_key = 0;

/// A value of any type that is kept with a request or an application.
template <class T>
struct kept_value final : heddle::detail::counted {
  explicit kept_value(T v) : value(std::move(v)) {}
  T value;
};

/// Reads and writes T as JSON. Defined in <heddle/io/http/typed.h>.
template <class T>
struct json_codec;

/// Leads from a request to what its server knows of it. A copy of a request has left its server, so
/// its link is empty.
class scope_link {
 public:
  constexpr scope_link() noexcept = default;
  constexpr explicit scope_link(request_scope* to) noexcept : to_(to) {}
  constexpr scope_link(const scope_link&) noexcept {}
  constexpr scope_link& operator=(const scope_link&) noexcept { return *this; }
  void lead_to(request_scope* to) noexcept { to_ = to; }
  [[nodiscard]] request_scope* get() const noexcept { return to_; }

 private:
  request_scope* to_ = nullptr;
};
}  // namespace detail

/// True if the two are equal except for the case of ASCII letters: so field names and most tokens
/// compare.
bool same_token(std::string_view a, std::string_view b) noexcept;

/// Header fields in order of arrival. Names compare without case, and a name may come more than
/// once.
///
/// A name or value that could end its line would let its author write fields, or a second message,
/// of his own. So add() and set() throw bad_value for a name that is no token, and for a value with
/// CR, LF, NUL or another control character except tab. What is in here can be sent as it is.
/// Cost  All text lies in one string, and all places in one vector: clearing and refilling
///       allocates nothing. In return, any change to the object ends the validity of views and
///       iterators that were taken from it.
class headers {
 public:
  struct field {
    std::string_view name;   // spelled as it came
    std::string_view value;  // without white space around it
  };
  class iterator;

  /// The first value of that name.
  std::optional<std::string_view> get(std::string_view name) const noexcept;
  std::vector<std::string_view> all(std::string_view name) const;
  bool contains(std::string_view name) const noexcept;
  /// True if a value of `name`, read as a list ("a, b"), has this token. For example "keep-alive"
  /// in Connection.
  bool has_token(std::string_view name, std::string_view token) const noexcept;

  void add(std::string_view name, std::string_view value);
  /// Replaces all fields of that name by one, in the place of the first.
  void set(std::string_view name, std::string_view value);
  /// Says how many there were.
  std::size_t remove(std::string_view name) noexcept;
  void clear() noexcept;

  std::size_t size() const noexcept { return places_.size(); }
  bool empty() const noexcept { return places_.empty(); }
  field operator[](std::size_t i) const noexcept;
  iterator begin() const noexcept;
  iterator end() const noexcept;

 private:
  friend struct detail::parser_state;  // puts a whole head into text_, and marks places in it

  struct place {
    std::uint32_t name_at;
    std::uint32_t name_size;
    std::uint32_t value_at;
    std::uint32_t value_size;
  };
  std::string_view name_of(const place& p) const noexcept {
    return {text_.data() + p.name_at, p.name_size};
  }
  std::string_view value_of(const place& p) const noexcept {
    return {text_.data() + p.value_at, p.value_size};
  }
  void append(std::string_view name, std::string_view value);

  std::string text_;
  std::vector<place> places_;
};

class headers::iterator {
 public:
  using value_type = field;
  using difference_type = std::ptrdiff_t;
  using iterator_category = std::input_iterator_tag;
  using reference = field;
  using pointer = void;

  iterator() = default;
  iterator(const headers* of, std::size_t i) noexcept : of_(of), i_(i) {}
  field operator*() const noexcept { return (*of_)[i_]; }
  iterator& operator++() noexcept { return ++i_, *this; }
  iterator operator++(int) noexcept { return {of_, i_++}; }
  friend bool operator==(const iterator&, const iterator&) = default;

 private:
  const headers* of_ = nullptr;
  std::size_t i_ = 0;
};

inline headers::field headers::operator[](std::size_t i) const noexcept {
  return {name_of(places_[i]), value_of(places_[i])};
}
inline headers::iterator headers::begin() const noexcept { return {this, 0}; }
inline headers::iterator headers::end() const noexcept { return {this, size()}; }

/// A request method. The usual ones are numbers, so that comparing them costs nothing. Any other
/// keeps its text. Methods are case-sensitive: "get" is not GET.
class method {
 public:
  enum known : std::uint8_t {
    get,
    head,
    post,
    put,
    delete_,
    patch,
    options,
    connect,
    trace,
    other
  };

  // Implicit, for `m == method::get` and `r.method = method::post`.
  method(known k = get) noexcept : known_(k) {}
  /// Throws bad_value if the text is no token.
  explicit method(std::string_view text);
  method& operator=(known k) noexcept {  // without a temporary's string
    known_ = k;
    text_.clear();
    return *this;
  }

  std::string_view text() const noexcept;
  known kind() const noexcept { return known_; }
  friend bool operator==(const method& a, const method& b) noexcept {
    return a.known_ == b.known_ && (a.known_ != other || a.text_ == b.text_);
  }

 private:
  known known_;
  std::string text_;  // empty unless other
};

enum class version : std::uint8_t { http_1_0, http_1_1 };

/// A request as a server's handlers see it. The server uses the object again for the next request
/// on the connection: what a handler wants to keep, it copies or moves out. If the target names a
/// host, the Host field holds that one (RFC 9112, 3.2.2), without the scheme's own port.
struct request {
  http::method method;
  std::string target;  // as it stood in the request line
  // Decoded, without the query. It begins with "/" or is "*" (for CONNECT it is the target), and
  // holds no NUL. "%2F" stays as it is: an encoded slash is part of a name and separates nothing.
  std::string path;
  http::version version = version::http_1_1;
  http::headers headers;
  std::string body;
  bool keep_alive = true;       // as the client asks
  detail::seat_link seat = {};  // for handlers that take the connection over
  detail::scope_link scope = {};

  /// The host and port in a target of the absolute form ("http://h:8080/x"). Empty in other forms.
  std::string_view target_authority() const noexcept;
  /// The part of the target behind "?", still encoded.
  std::string_view raw_query() const noexcept;
  /// The first value of a query parameter, decoded.
  std::optional<std::string> query(std::string_view name) const;
  std::vector<std::pair<std::string, std::string>> query_params() const;

  // What the server knows of a request, while the request is worked on. A copy of a request, and
  // one that was made by hand, knows nothing of it.

  /// What stands in the path where the route's pattern has "{name}", decoded: "7" of "/u/7" for the
  /// pattern "/u/{id}". Nothing if the pattern has no such name. Valid while the request is.
  [[nodiscard]] std::optional<std::string_view> path_value(std::string_view name) const noexcept;
  /// The pattern of the route that was chosen ("/u/{id}"), with the prefixes of the routers around
  /// it. "" if no route took the request: a name for metrics that no client can choose.
  [[nodiscard]] std::string_view pattern() const noexcept;
  /// The body, read while it arrives. For a route with body_mode::stream; for another one the body
  /// that is there. A body is given out once: then the reader is at its end.
  /// Thread-safety  the reader is for the handler's task; after the handler it throws usage_error
  [[nodiscard]] body_reader body_stream();
  /// Reads the rest of the body into `body`, if that is not done yet. A middleware runs before the
  /// body is read, and calls this if it wants the body. A handler of a route without
  /// body_mode::stream finds it done.
  /// Throws  payload_error if the body is broken, ends early, or is larger than the route allows
  [[nodiscard]] task<> load_body();

  /// server::stop() has begun, so whoever spreads the load is to send no more (health.h).
  [[nodiscard]] bool server_is_stopping() const noexcept;
  /// The figures of the server that this request came to, as server::stats() tells them: for
  /// handlers under run_app(), which have no server at hand. Include
  /// <heddle/io/http/server_stats.h>.
  [[nodiscard]] struct server_stats server_stats() const;

  /// The address of the client, without its port. Empty over a Unix socket. If the connection is
  /// from one of server_options::trusted_proxies, the client is the last address that
  /// X-Forwarded-For or Forwarded names and that is no trusted proxy.
  [[nodiscard]] std::string remote() const;
  /// "https" or "http": as the connection is, or as a trusted proxy says.
  [[nodiscard]] std::string scheme() const;
  /// The host and port that the client asked for: the Host field, or what a trusted proxy says.
  [[nodiscard]] std::string host() const;

  /// All pairs of the Cookie fields in order. A pair that is broken hides no other one.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> cookies() const;
  /// The first cookie of that name.
  [[nodiscard]] std::optional<std::string> cookie(std::string_view name) const;
  /// The pairs of a body of type application/x-www-form-urlencoded, decoded, in order. Throws
  /// status_error 415 for another type.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> form() const;
  /// The parts of a multipart body, read while it arrives: for a route with body_mode::stream; for
  /// another one out of the body that is there. As body_stream(), they are given out once. Include
  /// <heddle/io/http/part_reader.h>.
  /// Throws  part_error for another type (415), or one without a boundary (400)
  [[nodiscard]] part_reader parts();
  [[nodiscard]] part_reader parts(part_limits limits);
  /// The body as JSON. Include <heddle/io/http/typed.h>. Throws status_error 400, which says why.
  template <class T>
  [[nodiscard]] T json() const {
    return detail::json_codec<T>::read(body);
  }
  /// The path of the route that was given this name, with `values` in place of its parameters, in
  /// order, percent-encoded. Throws bad_value for an unknown name, and for more or fewer values.
  [[nodiscard]] std::string url_for(std::string_view name,
                                    const std::vector<std::string>& values = {}) const;

  /// Keeps a value with the request, for handlers and middlewares that come later. One of each
  /// type. It goes when the request has been answered.
  template <class T>
  T& set(T value) {
    auto* kept = new detail::kept_value<T>(std::move(value));
    T& there = kept->value;
    keep(&detail::type_key<T>, heddle::detail::counted_ptr<heddle::detail::counted>(kept));
    return there;
  }
  /// The value of that type, or nullptr.
  template <class T>
  [[nodiscard]] T* find() const noexcept {
    auto* kept = kept_as(&detail::type_key<T>);
    return kept ? &static_cast<detail::kept_value<T>*>(kept)->value : nullptr;
  }

  /// Fills `path` from `target`. False if the target has none of the forms of RFC 9112, 3.2, or
  /// does not decode.
  bool decode_target();
  /// Makes it empty. Memory is kept, except strings that one large message has grown beyond 16 KiB.
  void clear() noexcept;

 private:
  void keep(const void* key, heddle::detail::counted_ptr<heddle::detail::counted> value);
  [[nodiscard]] heddle::detail::counted* kept_as(const void* key) const noexcept;
};

/// A media type that is a literal of the program. It needs no copy, no allocation, and no check at
/// run time.
class media_type {
 public:
  constexpr media_type() noexcept = default;
  template <std::size_t N>
  consteval media_type(const char (&literal)[N]) : text_(literal, N - 1) {
    for (const char c : text_) {
      if (c < ' ' || c > '~') throw "a media type is printable ASCII";
    }
  }
  constexpr std::string_view text() const noexcept { return text_; }
  constexpr bool empty() const noexcept { return text_.empty(); }

 private:
  std::string_view text_;
};

class body_writer;
struct cookie;
struct sse_event;

/// A body that is made while it is sent. If empty, the response's text is its body.
struct body_source {
  std::function<task<>(body_writer&)> write;
  std::optional<std::uint64_t> length;  // none: the body is sent in chunks
  /// For middlewares: changes the bytes on their way. It is called with each piece, and in the end
  /// once with `last`, and appends to `out` what is to be sent. A large piece is cut, and another
  /// thread calls the filter with its parts, one after the other: the loop has others to serve.
  std::function<void(std::string_view piece, bool last, std::string& out)> filter = {};
  bool verbatim = false;  // the bytes do not go through body_writer::write: no filter sees them

  explicit operator bool() const noexcept { return static_cast<bool>(write); }
};

/// A response, as handlers give it and as a client's parser fills it. Framing is not the handler's
/// business: the server writes Content-Length, Transfer-Encoding and Connection. If `Connection:
/// close` stands among the headers, the server closes the connection behind the response.
struct response {
  int status = 200;
  http::headers headers;
  std::string body;
  media_type content_type;  // unless `headers` has a Content-Type of its own
  body_source stream;       // if set, `body` is ignored

  static response text(std::string body, int status = 200);
  static response json(std::string body, int status = 200);
  static response html(std::string body, int status = 200);
  /// The status, its reason phrase and the detail as a short plain text.
  static response error(int status, std::string_view detail = {});

  /// Server-sent events (events.h), each sent at once. The source is asked for the next one when
  /// the client has taken all but 64 KiB, so a slow client makes it wait. If it has nothing for
  /// `keep_alive` (15 s), a comment is sent, which shows whether the client is still there. When
  /// the client is gone the source is closed; when the server stops, too, and the stream ends.
  static response events(async_generator<sse_event> source);
  static response events(async_generator<sse_event> source, any_duration keep_alive);

  /// Adds a Set-Cookie field (cookies.h). Throws bad_value as cookie::text().
  response& set_cookie(const cookie& c);
  /// Adds the field that makes the client forget the cookie of this name, path and domain.
  response& delete_cookie(const cookie& c);
  /// The validator of what is answered, without its quotes. Throws bad_value for a quote or a
  /// control character in it.
  response& etag(std::string_view tag, bool weak = false);
  /// When what is answered was changed last, in seconds since 1970.
  response& last_modified(std::int64_t seconds);

  /// Makes it empty. Memory is kept as by request::clear().
  void clear() noexcept;
};

/// "Not Found" for 404. "Unknown" for a status that has no phrase here.
std::string_view reason_phrase(int status) noexcept;

/// The text as it may stand in a log. Control characters, backslashes and bytes that are not ASCII
/// are written like "\\x0a". "..." stands for what is beyond 200 bytes.
std::string printable(std::string_view text);

/// True if a response of this status never has a body: 1xx, 204, 304.
constexpr bool status_has_no_body(int status) noexcept {
  return (status >= 100 && status < 200) || status == 204 || status == 304;
}

}  // namespace heddle::http
