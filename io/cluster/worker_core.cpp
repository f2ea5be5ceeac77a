// SPDX-License-Identifier: MIT
// Slots, pulls, and what is asked of a worker.
#include <heddle/core/errors.h>
#include <heddle/io/cluster/token.h>
#include <heddle/io/cluster/worker_core.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <unistd.h>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace heddle::cluster::detail {

namespace {

/// How long a pull waits at the server.
constexpr duration long_pull = std::chrono::seconds(60);
/// A pull that did not end by itself so long after its time was lost.
constexpr duration pull_grace = std::chrono::seconds(5);
/// So many jobs are asked for at one time, at most.
constexpr int most_at_once = 64;
/// After a pull that the server refuses, and after a consumer that could not be made.
constexpr duration refused_pause = std::chrono::milliseconds(500);
/// How long the end of a worker waits for the server to take its last words.
constexpr duration last_words = std::chrono::seconds(5);

}  // namespace

worker_core::worker_core(const std::shared_ptr<remote>& place, worker_options o,
                         class runtime& loops)
    : place_(place),
      engine_(place->core()),
      options_(std::move(o)),
      loops_(loops),
      free_(heddle::detail::narrow<int>(options_.slots)) {}

/// Wakes what waits for a change, if that has something to do: not for each job.
void worker_core::changed() {
  const bool idle = !draining_ && held_.empty() && !pulling_ &&
                    std::none_of(sources_.begin(), sources_.end(),
                                 [this](const source& s) { return may_pull() && more_of(s) > 0; });
  if (!idle) changed_.set();
}

task<> worker_core::later(duration pause) {
  const auto self = shared_from_this();
  co_await sleep(pause);
  changed();
}

void worker_core::lend() noexcept {
  ++free_;
  while (!taking_back_.empty() && free_ > 0) {
    auto next = std::move(taking_back_.front());
    taking_back_.pop_front();
    --free_;
    if (!next.try_set_value()) ++free_;
  }
  if (free_ > 0) changed();
}

task<> worker_core::take_back() {
  if (free_ > 0) {
    --free_;
    co_return;
  }
  promise<void> mine;
  auto turn = mine.get_future();
  taking_back_.push_back(std::move(mine));
  try {
    co_await turn;
  } catch (const cancelled_error&) {
    if (!turn.cancelled()) lend();  // it was given a slot at the same time
    throw;
  }
}

/// Consumers and the server's clock.
task<> worker_core::prepare() {
  const auto end = saturating_add(clock::now(), duration(engine_.settings().submit_within));
  for (;;) {
    auto waiting = engine_.ready(end);
    co_await std::move(waiting);
    std::string trouble;
    try {
      auto making = make_consumers();
      co_await std::move(making);
      break;
    } catch (const unavailable&) { throw; } catch (const std::exception& e) {
      trouble = e.what();
    }
    if (clock::now() >= end)
      throw unavailable(
          "the cluster makes no consumer for the worker " + options_.name + ": " + trouble, false);
    co_await sleep(refused_pause);
  }
  auto learning = learn_server_clock();
  (void)co_await std::move(learning);  // it is learned again before a job is called late
}

task<> worker_core::make_consumers() {
  auto& e = engine_;
  sources_.clear();
  for (unsigned first = 0; first < priorities; ++first)
    for (const auto& queue : options_.queues) {
      source s;
      s.queue = queue;
      s.first = first;
      s.durable = queue + "_" + std::to_string(first);
      s.now_inbox = e.link.private_subject();
      s.wait_inbox = e.link.private_subject();
      auto making =
          e.js.ensure_consumer(e.names.jobs, s.durable,
                               e.names.root + "j." + queue + "." + std::to_string(first) + ".>");
      const auto state = co_await std::move(making);
      if (!state.as_planned && first == 0)
        e.warn("the consumer " + s.durable + " of " + e.names.jobs +
               " has other settings than this program's; they are left as they are");
      ack_wait_ = std::max(state.ack_wait, duration(std::chrono::milliseconds(1)));
      sources_.push_back(std::move(s));
    }
}

void worker_core::subscribe_waiting(source& s) {
  s.wait_sid = engine_.link.subscribe(
      s.wait_inbox, [this, &s](nats_message&& m) { take_waited(s, std::move(m)); });
}

/// After a reconnect. The server may not have noticed the loss: then it still owes what was asked
/// for, and would send that in addition. So what is asked for now comes under another subject.
void worker_core::forget_owed(source& s) {
  if (s.owed == 0) return;
  s.owed = 0;
  engine_.link.unsubscribe(s.wait_sid);
  s.wait_inbox = engine_.link.private_subject();
  subscribe_waiting(s);
}

class worker_core::connected {
 public:
  explicit connected(worker_core& w) : w_(w) {
    auto& e = w.engine_;
    for (auto& s : w.sources_) {
      s.now_sid =
          e.link.subscribe(s.now_inbox, [&w](nats_message&& m) { w.take_now(std::move(m)); });
      w.subscribe_waiting(s);
    }
    const auto on = [&](std::string subject, auto f) {
      subscriptions_.push_back(e.link.subscribe(std::move(subject), f));
    };
    on(e.names.cancel(">"), [&w](nats_message&& m) { w.told_cancel(m); });
    on(e.names.root + "s.>", [&w](nats_message&& m) { w.asked_status(m); });
    on(e.names.who(), [&w](nats_message&& m) { w.asked_who(m); });
    for (const auto& queue : w.options_.queues)
      on(e.names.serves(queue), [&w](nats_message&& m) { w.asked_who(m); });
    e.on_ready.emplace_front([&w] {
      for (auto& s : w.sources_) w.forget_owed(s);
      w.acknowledge_again();
      w.changed();
    });
    ready_ = e.on_ready.begin();
    e.on_lost.emplace_front([&w] {
      if (w.pulling_) (void)w.pulling_->over.try_set_value();
    });
    lost_ = e.on_lost.begin();
  }
  connected(const connected&) = delete;
  ~connected() {
    auto& e = w_.engine_;
    e.on_ready.erase(ready_);
    e.on_lost.erase(lost_);
    for (auto& s : w_.sources_) {
      e.link.unsubscribe(s.now_sid);
      e.link.unsubscribe(s.wait_sid);
    }
    for (const auto sid : subscriptions_) e.link.unsubscribe(sid);
  }

 private:
  worker_core& w_;
  std::vector<std::uint64_t> subscriptions_;
  std::list<std::function<void()>>::iterator ready_, lost_;
};

void worker_core::take_now(nats_message&& m) {
  const bool job = !m.reply.empty();
  if (job) arrived(std::move(m));
  if (!pulling_) return;
  if (job) {
    ++pulling_->came;
    --pulling_->left;
  }
  if (!job || pulling_->left == 0) (void)pulling_->over.try_set_value();
}

void worker_core::take_waited(source& s, nats_message&& m) {
  if (!m.reply.empty()) {
    s.owed = std::max(0, s.owed - 1);
    s.share = std::min(most_at_once, 2 * s.share);
    arrived(std::move(m));
    if (may_pull() && held_.empty()) ask_for_more(s);
    return;
  }
  const int status = m.headers.status();
  int left = s.owed;
  (void)heddle::detail::parse_number(m.headers.get("Nats-Pending-Messages"), left);
  s.owed = std::max(0, s.owed - left);
  if (status == 404 || status == 408) {
    // Its time is over, so nothing is there: the next one is sent without a look at the others.
    s.share = 1;
    if (may_pull() && held_.empty())
      ask_for_more(s);
    else
      changed();
  } else {
    create_task(later(refused_pause));
  }
}

/// Stores a message and reads its time: jobs are late by the server's clock, not by ours. False:
/// the server does not tell now.
task<bool> worker_core::learn_server_clock() {
  const auto subject = engine_.names.note("clock." + random_token());
  try {
    auto sending = engine_.js.publish(subject, {}, {});
    (void)co_await std::move(sending);
    const auto now = clock::now();
    auto asking = engine_.js.last(engine_.names.outcomes, subject);
    const auto found = co_await std::move(asking);
    if (!found || !found->stored_ns) co_return false;
    clock_learned_ = now;
    clock_offset_ns_ = found->stored_ns - now.time_since_epoch().count();
    auto erasing = engine_.js.erase(engine_.names.outcomes, found->sequence);
    (void)co_await std::move(erasing);
    co_return true;
  } catch (const std::exception&) { co_return false; }
}

std::int64_t worker_core::server_now_ns() const noexcept {
  return clock::now().time_since_epoch().count() + clock_offset_ns_;
}

task<int> worker_core::run() {
  const auto self = shared_from_this();
  auto preparing = prepare();
  co_await std::move(preparing);
  const connected here(*this);
  struct beat {
    task_handle<> going;
    ~beat() { going.cancel(); }
  } const beating{create_task(heartbeats())};
  auto pulling = pull_loop();
  co_await std::move(pulling);
  auto finishing = finish();
  co_await std::move(finishing);
  co_return left_over_ ? 1 : 0;
}

/// Gives back what was not begun, and waits for the rest.
task<> worker_core::finish() {
  for (auto& s : sources_) engine_.link.retire(s.wait_sid);
  std::vector<job_ptr> unstarted(held_.begin(), held_.end());
  held_.clear();
  for (const auto& j : unstarted) create_task(return_unstarted(j, duration::zero()));
  while (!active_.empty()) {
    changed_.clear();
    if (!stopped_) {
      try {
        (void)co_await wait_for(changed_.wait(), time_left(drain_end_, clock::now()));
      } catch (const timeout_error&) { stop(); }
      continue;
    }
    bool over = false;
    try {
      (void)co_await wait_for(changed_.wait(), last_words);
    } catch (const timeout_error&) { over = true; }
    if (over) break;
  }
}

void worker_core::drain() {
  if (draining_) return;
  draining_ = true;
  drain_end_ = saturating_add(clock::now(), duration(options_.drain));
  changed();
}

/// Ends what runs: tasks are cancelled, functions are left to themselves, both are given back.
void worker_core::stop() {
  draining_ = true;
  if (stopped_) return;
  stopped_ = true;
  for (auto& [ack, j] : active_) {
    if (!j->started || j->result) continue;
    left_over_ = true;
    j->give_back = true;
    j->run->stop();
    if (j->code->function) {
      (void)j->concluded.try_set_value();
    } else {
      (void)j->running.cancel();
    }
  }
  changed();
}

task<> worker_core::pull_loop() {
  while (!draining_) {
    changed_.clear();
    if (free_ > 0 && storing_ == 0 && begin_held()) continue;
    if (may_pull()) {
      bool more = false;
      try {
        auto sweeping = sweep();
        more = co_await std::move(sweeping);
        if (!more && may_pull())
          for (auto& s : sources_) ask_for_more(s);
      } catch (const link_lost&) {  // on_ready goes on
      }
      if (more) continue;
    }
    if (changed_.is_set()) continue;
    try {
      (void)co_await wait_for(changed_.wait(), long_pull + pull_grace);
    } catch (const timeout_error&) { changed_.clear(); }
  }
}

/// Takes what is there, the highest class first. True: there may be more.
task<bool> worker_core::sweep() {
  bool more = false;
  for (auto& s : sources_) {
    if (free_ <= 0 || draining_) break;
    if (s.owed > 0) continue;  // the server would have sent it
    const int most = std::min(free_, most_at_once);
    auto pulling = pull_now(s, most);
    const auto came = co_await std::move(pulling);
    if (came >= static_cast<std::size_t>(most)) more = true;
  }
  co_return more;
}

task<std::size_t> worker_core::pull_now(source& s, int most) {
  pull mine{most};
  auto end = mine.over.get_future();
  struct current {
    worker_core& w;
    current(worker_core& worker, pull& p) noexcept : w(worker) { w.pulling_ = &p; }
    ~current() { w.pulling_ = nullptr; }
  } one(*this, mine);
  engine_.link.publish("$JS.API.CONSUMER.MSG.NEXT." + engine_.names.jobs + "." + s.durable,
                       s.now_inbox, {},
                       "{\"batch\":" + std::to_string(most) + ",\"no_wait\":true}");
  try {
    auto waiting = wait_for(std::move(end), duration(engine_.settings().request_limit));
    co_await std::move(waiting);
  } catch (const timeout_error&) { engine_.link.drop(); }
  co_return mine.came;
}

/// How many jobs to ask for beside those that are owed. What is owed has a slot, so that no job
/// stands here while another worker has one; but each source is owed one job at least. It is asked
/// again when half of its share has come, and not for each job.
int worker_core::more_of(const source& s) const noexcept {
  int owed = 0;
  for (const auto& each : sources_) owed += each.owed;
  const int more = std::min(s.share - s.owed, free_ - owed);
  if (s.owed == 0) return std::max(more, 1);
  return more >= s.owed ? more : 0;
}

/// Leaves a pull at the server.
void worker_core::ask_for_more(source& s) {
  const auto now = clock::now();
  if (s.owed > 0 && now >= s.owed_until) s.owed = 0;  // its end was lost
  const int batch = more_of(s);
  if (batch == 0) return;
  s.owed += batch;
  s.owed_until = now + long_pull + pull_grace;
  engine_.link.publish("$JS.API.CONSUMER.MSG.NEXT." + engine_.names.jobs + "." + s.durable,
                       s.wait_inbox, {},
                       "{\"batch\":" + std::to_string(batch) +
                           ",\"expires\":" + std::to_string(long_pull.count()) + "}");
}

void worker_core::arrived(nats_message&& m) {
  auto j = std::make_shared<held_job>();
  if (!read_ack_subject(m.reply, j->from)) return;
  j->ack = std::move(m.reply);
  j->job = job_of(m.headers, std::move(m.payload));
  if (!is_id(j->job.id) || !m.subject.ends_with("." + j->job.id)) {
    engine_.warn("a message at " + m.subject + " is no job: its id is not that of its subject");
    engine_.link.publish(j->ack, {}, {}, "+TERM");
    return;
  }
  j->since = clock::now();
  active_[j->ack] = j;
  busy_.set();
  if (draining_) {
    create_task(return_unstarted(j, duration::zero()));
  } else if (free_ > 0 && storing_ == 0) {
    begin(std::move(j));
  } else {
    held_.push_back(std::move(j));
  }
  changed();
}

void worker_core::begin(job_ptr j) {
  --free_;
  create_task(run_delivery(std::move(j)));
}

bool worker_core::begin_held() {
  if (held_.empty()) return false;
  const auto first = [](const job_ptr& a, const job_ptr& b) {
    return a->job.call.first < b->job.call.first;
  };
  const auto at = std::min_element(held_.begin(), held_.end(), first);
  auto j = *at;
  held_.erase(at);
  begin(std::move(j));
  return true;
}

/// Tells the server of everything that this worker has, three times in an ack_wait.
task<> worker_core::heartbeats() {
  for (;;) {
    if (active_.empty()) busy_.clear();
    co_await busy_.wait();
    co_await sleep(ack_wait_ / 3);
    if (!engine_.link.up()) continue;
    const auto old = clock::now() - duration(engine_.settings().keep) / 3;
    try {
      for (const auto& [ack, j] : active_) {
        engine_.link.publish(ack, {}, {}, "+WPI");
        if (j->started && j->from.times > 1 && j->noted < old) {  // before the note is dropped
          j->noted = clock::now();
          create_task(note_start(j));
        }
      }
    } catch (const link_lost&) {  // it beats again when there is a connection
    }
  }
}

void worker_core::told_cancel(const nats_message& m) {
  const auto id = m.subject.substr(std::min(m.subject.size(), engine_.names.cancel("").size()));
  for (const auto& [ack, j] : active_)
    if (j->job.id == id) {
      j->cancelled = true;
      cancel_run(j);
    }
}

void worker_core::cancel_run(const job_ptr& j) noexcept {
  j->run->stop();
  if (j->started && !j->code->function) (void)j->running.cancel();
}

void worker_core::asked_status(const nats_message& m) {
  const auto id = m.subject.substr(std::min(m.subject.size(), engine_.names.root.size() + 2));
  for (const auto& [ack, j] : active_)
    if (j->job.id == id && j->started && !m.reply.empty() && engine_.link.up()) {
      engine_.link.publish(m.reply, {}, {}, options_.name);
      return;
    }
}

/// A line for tools/cluster ps.
void worker_core::asked_who(const nats_message& m) {
  if (m.reply.empty() || !engine_.link.up()) return;
  nlohmann::json running = nlohmann::json::array();
  const auto now = clock::now();
  for (const auto& [ack, j] : active_) {
    if (!j->started) continue;
    running.push_back({{"id", j->job.id},
                       {"job", j->place.job},
                       {"seconds", std::chrono::duration<double>(now - j->since).count()},
                       {"attempt", j->place.attempt},
                       {"progress", j->progress},
                       {"stuck", j->stuck}});
  }
  const nlohmann::json line{
      {"worker", options_.name},   {"host", host_name()},   {"pid", ::getpid()},
      {"slots", options_.slots},   {"free", free_},         {"held", held_.size()},
      {"queues", options_.queues}, {"draining", draining_}, {"running", running}};
  using handler = nlohmann::json::error_handler_t;
  engine_.link.publish(m.reply, {}, {}, line.dump(-1, ' ', true, handler::replace));
}

}  // namespace heddle::cluster::detail
