// SPDX-License-Identifier: MIT
//
// The floor: one blocking socket, and the same messages as heddle::cluster sends for a job with one
// outcome. The job is stored once by its id, an outcome is stored if there is none, and then the
// job is acknowledged. It has no retries, no heartbeats, no cancellation, and no second connection.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>

#include "cluster/plan.h"

namespace {

using clock_type = bench::call_figures::clock;

struct message {
  std::string_view subject, reply, headers, payload;  // until the next one
};

/// NATS over a blocking socket. What is sent goes out when there is nothing left to read.
class wire {
 public:
  explicit wire(unsigned port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(static_cast<std::uint16_t>(port));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) fail("connect");
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    out_ = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";
    subscribe(inbox_ + ">");
  }
  wire(const wire&) = delete;
  ~wire() { ::close(socket_); }

  void subscribe(std::string_view subject) {
    out_ += "SUB " + std::string(subject) + " " + std::to_string(++sid_) + "\r\n";
  }
  void publish(std::string_view subject, std::string_view reply, std::string_view payload) {
    out_.append("PUB ").append(subject).append(" ").append(reply).append(" ");
    out_.append(std::to_string(payload.size())).append("\r\n").append(payload).append("\r\n");
  }
  void publish(std::string_view subject, std::string_view reply, std::string_view headers,
               std::string_view payload) {
    out_.append("HPUB ").append(subject).append(" ").append(reply).append(" ");
    out_.append(std::to_string(headers.size())).append(" ");
    out_.append(std::to_string(headers.size() + payload.size())).append("\r\n");
    out_.append(headers).append(payload).append("\r\n");
  }
  /// Blocks.
  message next() {
    for (;;) {
      const auto line = take_line();
      if (line.starts_with("PING")) out_ += "PONG\r\n";
      if (line.starts_with("-ERR")) throw std::runtime_error(std::string(line));
      if (line.starts_with("MSG ")) return take_message(std::string(line.substr(4)), false);
      if (line.starts_with("HMSG ")) return take_message(std::string(line.substr(5)), true);
    }
  }
  /// Answers to this connection alone come under subjects that begin so.
  [[nodiscard]] const std::string& inbox() const { return inbox_; }
  /// For setting up: the answer's payload.
  std::string ask(std::string_view subject, std::string_view payload) {
    publish(subject, inbox_ + "answer", payload);
    return std::string(next().payload);
  }

 private:
  [[noreturn]] static void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
  }
  void flush() {
    for (std::size_t sent = 0; sent < out_.size();) {
      const auto n = ::send(socket_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
      if (n < 0 && errno != EINTR) fail("send");
      if (n > 0) sent += static_cast<std::size_t>(n);
    }
    out_.clear();
  }
  void fill() {
    flush();
    in_.erase(0, at_);
    at_ = 0;
    const auto old = in_.size();
    in_.resize(old + 65536);
    const auto n = ::recv(socket_, in_.data() + old, 65536, 0);
    if (n == 0) throw std::runtime_error("the server has ended the connection");
    if (n < 0 && errno != EINTR) fail("recv");
    in_.resize(old + (n > 0 ? static_cast<std::size_t>(n) : 0));
  }
  std::string_view take_line() {
    for (;;) {
      const auto end = in_.find("\r\n", at_);
      if (end == std::string::npos) {
        fill();
        continue;
      }
      const std::string_view line(in_.data() + at_, end - at_);
      at_ = end + 2;
      return line;
    }
  }
  /// "subject sid [reply] [headers] size"
  message take_message(std::string line, bool with_headers) {
    line_ = std::move(line);
    std::string_view words[5];
    std::size_t count = 0;
    for (std::string_view rest = line_; !rest.empty() && count < 5;) {
      const auto space = std::min(rest.find(' '), rest.size());
      words[count++] = rest.substr(0, space);
      rest.remove_prefix(std::min(space + 1, rest.size()));
    }
    const auto number = [](std::string_view text) {
      std::size_t n = 0;
      std::from_chars(text.data(), text.data() + text.size(), n);
      return n;
    };
    const std::size_t numbers = with_headers ? 2 : 1;
    const auto total = number(words[count - 1]);
    const auto head = with_headers ? number(words[count - 2]) : 0;
    while (in_.size() - at_ < total + 2) fill();
    message m;
    m.subject = words[0];
    if (count > 2 + numbers) m.reply = words[2];
    m.headers = std::string_view(in_).substr(at_, head);
    m.payload = std::string_view(in_).substr(at_ + head, total - head);
    at_ += total + 2;
    return m;
  }

  int socket_;
  const std::string inbox_ = "in" + std::to_string(::getpid()) + ".";
  unsigned sid_ = 0;
  std::string in_, out_, line_;
  std::size_t at_ = 0;
};

void ensure_stream(wire& w, const std::string& name, const std::string& subject,
                   const std::string& more) {
  const auto answer =
      w.ask("$JS.API.STREAM.CREATE." + name,
            "{\"name\":\"" + name + "\",\"subjects\":[\"" + subject +
                "\"],\"storage\":\"file\",\"discard\":\"new\",\"max_bytes\":1073741824,"
                "\"duplicate_window\":120000000000,\"allow_direct\":true,\"num_replicas\":1," +
                more + "}");
  if (answer.find("\"error\"") != std::string::npos) throw std::runtime_error(answer);
}

void set_up(wire& w) {
  ensure_stream(w, "HJ_bench", "h.bench.j.>", "\"retention\":\"workqueue\",\"max_msgs\":1000000");
  ensure_stream(w, "HR_bench", "h.bench.r.>",
                "\"retention\":\"limits\",\"max_age\":3600000000000,"
                "\"republish\":{\"src\":\"h.bench.r.>\",\"dest\":\"h.bench.d.>\"}");
  const auto made = w.ask("$JS.API.CONSUMER.DURABLE.CREATE.HJ_bench.work",
                          "{\"stream_name\":\"HJ_bench\",\"config\":{\"durable_name\":\"work\","
                          "\"ack_policy\":\"explicit\",\"deliver_policy\":\"all\","
                          "\"replay_policy\":\"instant\",\"ack_wait\":10000000000,"
                          "\"max_deliver\":-1,\"filter_subject\":\"h.bench.j.default.1.*\","
                          "\"max_ack_pending\":100000,\"max_waiting\":4096}}");
  if (made.find("\"error\"") != std::string::npos) throw std::runtime_error(made);
}

std::string_view last_word(std::string_view subject) {
  return subject.substr(subject.rfind('.') + 1);
}

int serve(const bench::cluster_plan& p) {
  wire w(p.port);
  set_up(w);
  std::unordered_map<std::string, std::string> storing;  // id -> where the job is acknowledged
  unsigned asked = 0;                                    // jobs that the server still owes
  const std::string stored = w.inbox() + "stored.";
  const std::string first = "NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\n";
  for (;;) {
    if (asked <= p.slots / 2) {
      w.publish("$JS.API.CONSUMER.MSG.NEXT.HJ_bench.work", w.inbox() + "pull",
                "{\"batch\":" + std::to_string(p.slots - asked) + ",\"expires\":60000000000}");
      asked = p.slots;
    }
    const auto m = w.next();
    if (m.subject.starts_with(stored)) {
      if (m.payload.find("\"error\"") != std::string_view::npos)
        throw std::runtime_error(std::string(m.payload));
      const auto found = storing.find(std::string(last_word(m.subject)));
      w.publish(found->second, "", "+ACK");
      storing.erase(found);
    } else if (m.reply.empty()) {
      asked = 0;  // the pull has ended
    } else {
      --asked;
      const std::string id(last_word(m.subject));
      storing[id] = std::string(m.reply);
      w.publish("h.bench.r." + id, stored + id,
                first + "Heddle-Kind: value\r\nHeddle-Id: " + id + "\r\n\r\n", m.payload);
    }
  }
}

int call(const bench::cluster_plan& p) {
  wire w(p.port);
  set_up(w);
  w.subscribe("h.bench.d.>");
  std::unordered_map<std::string, clock_type::time_point> under_way;
  std::uint64_t number = 0;
  const auto begin = [&] {
    const auto id = "o" + std::to_string(++number);
    under_way[id] = clock_type::now();
    w.publish("h.bench.j.default.1." + id, w.inbox() + "accepted",
              "NATS/1.0\r\nNats-Msg-Id: " + id +
                  "\r\nNats-Expected-Last-Subject-Sequence: 0\r\nHeddle-Id: " + id +
                  "\r\nHeddle-Job: nothing\r\n\r\n",
              "\x81\x01");
  };
  bench::call_figures figures(p);
  for (unsigned i = 0; i < p.in_flight; ++i) begin();
  for (;;) {
    const auto m = w.next();
    if (!m.subject.starts_with("h.bench.d.")) {
      if (m.payload.find("\"error\"") != std::string_view::npos)
        throw std::runtime_error(std::string(m.payload));
      continue;
    }
    const auto found = under_way.find(std::string(last_word(m.subject)));
    if (found == under_way.end()) throw std::runtime_error("another's outcome has come");
    if (!figures.ended(found->second, clock_type::now())) break;
    under_way.erase(found);
    begin();
  }
  figures.print();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto plan = bench::read_cluster_plan(argc, argv);
  try {
    return plan.serve ? serve(plan) : call(plan);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cluster/plain: %s\n", e.what());
    return 1;
  }
}
