// SPDX-License-Identifier: MIT
#include <heddle/io/ares_resolver.h>

#include <heddle/io/resolving/ares/name_engine.h>
#include <heddle/io/resolving/look_ups.h>
#include <heddle/io/resolving/own_families.h>

#include <netinet/in.h>

#include <memory>
#include <string>
#include <utility>

namespace heddle {
namespace detail {
namespace {

/// A task's part in a job. When the task goes without the answer, the engine is told.
class name_asker {
 public:
  name_asker(name_engine& engine, const name_query& q)
      : engine_(engine), job_(std::make_shared<name_job>(q)) {
    engine.begin(job_);
  }
  name_asker(const name_asker&) = delete;
  ~name_asker() { engine_.give_up(*job_); }
  [[nodiscard]] future<name_outcome> answered() const { return job_->answered; }

 private:
  name_engine& engine_;
  const std::shared_ptr<name_job> job_;
};

/// The system's resolver, on a thread for names.
task<name_answer> ask_system(name_query q) {
  auto looking = look_ups::here().call([q = std::move(q)] { return system_look_up(q); });
  name_answer a = co_await std::move(looking);
  co_return a;
}

/// The port of a service, which stands in a file.
task<std::uint16_t> port_of(name_query q) {
  q.host = q.family == AF_INET6 ? "::1" : "127.0.0.1";
  q.only_own_families = q.canonical_name = false;
  task<name_answer> looking = ask_system(std::move(q));
  const name_answer a = co_await looking;
  co_return a.addresses.front().port();
}

task<name_answer> ask_engine(name_engine& engine, const name_query& q) {
  const name_asker asker(engine, q);
  auto answered = asker.answered();
  name_outcome o = co_await answered;
  name_answer a = std::move(o.answer);
  if (o.system) {
    task<name_answer> looking = ask_system(q);
    a = co_await looking;
  }
  co_return a;
}

}  // namespace
}  // namespace detail

ares_resolver::ares_resolver(const ares_resolver_options& options)
    : engine_(std::make_unique<detail::name_engine>(options)) {}

ares_resolver::~ares_resolver() = default;

std::shared_ptr<ares_resolver> ares_resolver::make(const ares_resolver_options& options) {
  return std::shared_ptr<ares_resolver>(new ares_resolver(options));
}

bool ares_resolver::is_available() noexcept { return true; }

void ares_resolver::flush() { engine_->flush(); }

task<name_answer> ares_resolver::look_up(name_query q) {
  const std::string host = q.host;
  if (q.only_own_families) q.family = detail::own_family(q.family, host);
  std::uint16_t port = q.port;
  if (!q.service.empty()) {
    task<std::uint16_t> finding = detail::port_of(q);
    port = co_await finding;
  }
  name_answer a;
  if (q.fresh || !engine_->find_kept(q, a)) {
    task<name_answer> asking = detail::ask_engine(*engine_, q);
    a = co_await asking;
  }
  for (address& at : a.addresses) at.set_port(port);
  co_return a;
}

}  // namespace heddle
