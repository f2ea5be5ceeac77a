// SPDX-License-Identifier: MIT
// Addresses that refuse, that swallow packets, and names that have such addresses.
#pragma once

#include "reactor_cases.h"

#include <heddle/io/address.h>
#include <heddle/io/resolver.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace conformance {

/// A bound socket. While it lives its port is given to nobody else; who connects is refused.
class refusing {
 public:
  explicit refusing(const std::string& host = "127.0.0.1")
      : socket_(::socket(h::address::ip(host, 0).family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto at = h::address::ip(host, 0);
    const int on = 1;
    (void)::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket_, at.data(), at.size()) != 0) throw std::runtime_error("bind to " + host);
  }
  refusing(const refusing&) = delete;
  ~refusing() { ::close(socket_); }
  [[nodiscard]] h::address at() const { return h::address::local_of(socket_); }
  [[nodiscard]] int socket() const { return socket_; }

 private:
  int socket_;
};

/// A listener whose backlog is full: it drops whoever connects, without an answer.
class swallowing {
 public:
  explicit swallowing(const std::string& host = "127.0.0.1") : listener_(host) {
    if (::listen(listener_.socket(), 0) != 0) throw std::runtime_error("listen");
    const auto to = at();
    filler_ = ::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(filler_, to.data(), to.size()) != 0) throw std::runtime_error("connect");
    // The client may know of its connection before the listener has it in its backlog.
    tcp_info info{};
    do {
      socklen_t length = sizeof info;
      if (::getsockopt(listener_.socket(), IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
        throw std::runtime_error("TCP_INFO");
    } while (info.tcpi_unacked == 0);
  }
  ~swallowing() { ::close(filler_); }
  [[nodiscard]] h::address at() const { return listener_.at(); }

 private:
  refusing listener_;
  int filler_ = -1;
};

/// Names with the addresses that were set, answered at once and without a thread.
class fixed_names final : public h::resolver {
 public:
  using addresses = std::vector<h::address>;

  void set(const std::string& name, addresses to) {
    const std::lock_guard hold(lock_);
    names_[name] = std::move(to);
  }
  h::task<h::name_answer> look_up(h::name_query q) override {
    ++asked;
    h::name_answer a;
    {
      const std::lock_guard hold(lock_);
      const auto found = names_.find(q.host);
      if (found == names_.end()) h::throw_name_error(h::name_error::no_such_name, q.host);
      a.addresses = found->second;
    }
    co_return a;
  }
  std::atomic<int> asked{0};

 private:
  std::mutex lock_;
  std::map<std::string, addresses> names_;
};

/// A runtime whose only name is "x.test".
inline std::shared_ptr<fixed_names> name_these(fixed_names::addresses to) {
  auto names = std::make_shared<fixed_names>();
  names->set("x.test", std::move(to));
  h::set_resolver(names);
  return names;
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace conformance
