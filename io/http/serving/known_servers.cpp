// SPDX-License-Identifier: MIT
#include <heddle/io/http/serving/known_servers.h>

#include <mutex>

namespace heddle::http::detail {
namespace {

struct server_list {
  std::mutex lock;
  known_server* first = nullptr;
  server_stats gone;  // what servers had counted that are gone
};

/// Immortal: a server may be a static object.
server_list& servers() noexcept {
  static auto& all = *new server_list;
  return all;
}

}  // namespace

known_server::known_server(figures f, const void* server) noexcept : figures_(f), server_(server) {
  auto& all = servers();
  const std::lock_guard hold(all.lock);
  next_ = all.first;
  if (next_) next_->previous_ = this;
  all.first = this;
}

known_server::~known_server() {
  auto& all = servers();
  const std::lock_guard hold(all.lock);
  auto last = figures_(server_);
  last.connections = last.working = last.waiting = 0;
  all.gone += last;
  (previous_ ? previous_->next_ : all.first) = next_;
  if (next_) next_->previous_ = previous_;
}

server_stats stats_of_all_servers() {
  auto& all = servers();
  const std::lock_guard hold(all.lock);
  server_stats sum = all.gone;
  for (const auto* s = all.first; s; s = s->next_) sum += s->figures_(s->server_);
  return sum;
}

}  // namespace heddle::http::detail
