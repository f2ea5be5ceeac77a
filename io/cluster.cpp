// SPDX-License-Identifier: MIT
#include <heddle/core/context.h>
#include <heddle/core/errors.h>
#include <heddle/io/cluster.h>
#include <heddle/io/cluster/call.h>

#include <mutex>

namespace heddle::cluster {
namespace {

std::string place_text(const job_place& p) {
  std::string text = "the job " + (p.job.empty() ? "?" : p.job) + " (" + p.id;
  if (!p.worker.empty() && !p.worker.starts_with('-')) {
    text += " on " + p.worker;
    if (!p.host.empty() && p.worker.find(p.host) == std::string::npos) text += ", host " + p.host;
    text += ", attempt " + std::to_string(p.attempt);
  }
  return text + ")";
}

std::string failed_text(const std::string& type, const std::vector<std::string>& texts,
                        const job_place& p) {
  std::string text = place_text(p) + " threw " + type;
  if (!texts.empty() && texts.front() != type) text += ": " + texts.front();
  for (std::size_t i = 1; i < texts.size(); ++i) text += "\n  because of " + texts[i];
  return text;
}

std::string lost_text(const std::vector<std::string>& workers, const job_place& p) {
  std::string text = place_text(p) + " was lost: all of its attempts are used up";
  if (!workers.empty()) text += "; workers that had it:";
  for (const auto& w : workers) text += " " + w;
  return text + ". It is kept as a dead letter (tools/cluster dead)";
}

context_var<std::shared_ptr<detail::backend>>& chosen() {
  static auto* v = new context_var<std::shared_ptr<detail::backend>>("heddle.cluster", nullptr);
  return *v;
}

std::shared_ptr<detail::backend> backend_of(const options& o) {
  o.check();
  return o.servers.empty() ? detail::make_local(o) : detail::make_remote(o);
}

/// The process's own client, made at its first use and closed when the process ends.
const client& process_client() {
  static const client c(options::from_environment());
  return c;
}

}  // namespace

job_failed::job_failed(std::string type, std::vector<std::string> texts, job_place place)
    : error(failed_text(type, texts, place)),
      type_(std::move(type)),
      texts_(std::move(texts)),
      place_(std::move(place)) {}
job_lost::job_lost(std::vector<std::string> workers, job_place place)
    : error(lost_text(workers, place)), workers_(std::move(workers)), place_(std::move(place)) {}
job_cancelled::job_cancelled(job_place place)
    : error(place_text(place) + " was cancelled by another"), place_(std::move(place)) {}

client::client(const options& o) : place_(backend_of(o)) {}

client client::current() {
  auto mine = chosen().get(nullptr);
  client c = process_client();
  if (mine) c.place_ = std::move(mine);
  return c;
}

void use(client c) { detail::set_current_backend(c.place()); }

namespace {
task<> connect_to(std::shared_ptr<detail::backend> place) {
  auto connecting = place->connect();
  co_await std::move(connecting);
}
task<bool> cancel_at(std::shared_ptr<detail::backend> place, std::string id) {
  auto cancelling = place->cancel(std::move(id));
  co_return co_await std::move(cancelling);
}
}  // namespace

task<> client::connect() { return connect_to(place_); }
task<bool> client::cancel(std::string id) {
  return cancel_at(place_, detail::checked_id(std::move(id)));
}
statistics client::stats() const { return place_->stats(); }
bool client::local() const noexcept { return place_->local(); }

const std::string& context::id() const noexcept { return run_->id; }
unsigned context::attempt() const noexcept { return run_->attempt; }
const std::string& context::worker() const noexcept { return run_->worker; }
bool context::stopping() const noexcept { return run_->stopping(); }
void context::progress(double done) noexcept {
  try {
    if (run_->tell) run_->tell(done < 0 ? 0 : done > 1 ? 1 : done);
  } catch (...) {  // NOLINT(bugprone-empty-catch): what is not told is lost, as on the way
  }
}

namespace detail {

std::shared_ptr<backend> current_backend() {
  if (auto mine = chosen().get(nullptr)) return mine;
  return process_client().place();
}

void set_current_backend(std::shared_ptr<backend> place) { (void)chosen().set(std::move(place)); }

std::string value_or_throw(outcome&& o) {
  const auto first = o.texts.empty() ? std::string() : ": " + o.texts.front();
  switch (o.kind) {
    case outcome_kind::value: return std::move(o.value);
    case outcome_kind::failed:
      throw job_failed(std::move(o.type), std::move(o.texts), std::move(o.place));
    case outcome_kind::lost: throw job_lost(std::move(o.texts), std::move(o.place));
    case outcome_kind::cancelled: throw job_cancelled(std::move(o.place));
    case outcome_kind::timeout: throw timeout_error(place_text(o.place) + " took too long" + first);
    case outcome_kind::too_large:
      throw too_large("the result of " + place_text(o.place) + " is too large" + first, o.size,
                      o.limit);
    case outcome_kind::bad_arguments:
      throw bad_arguments(place_text(o.place) + " could not begin" + first);
    case outcome_kind::no_such_job:
      throw no_such_job(place_text(o.place) +
                        " is known to no worker that was asked: implement it, or link what "
                        "implements it" +
                        first);
  }
  throw error("an outcome of an unknown kind");
}

}  // namespace detail
}  // namespace heddle::cluster
