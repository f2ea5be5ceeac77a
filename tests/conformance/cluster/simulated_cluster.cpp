// SPDX-License-Identifier: MIT
#include "simulated_cluster.h"

#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/to_thread.h>

#include <algorithm>
#include <stdexcept>

namespace conformance {

namespace h = heddle;
using namespace std::chrono_literals;

namespace {

simulated_cluster* running_trial = nullptr;  // a case has one at a time

h::options jobs_loops(unsigned loops) {
  h::options o;
  o.loops = loops;
  o.threads = 1;
  return o;
}

cl::worker_options worker_of(std::string name, unsigned slots) {
  cl::worker_options o;
  o.name = std::move(name);
  o.slots = slots;
  return o;
}

h::task<> drain_core(std::shared_ptr<cl::detail::worker_core> core) {
  core->drain();
  co_return;
}

struct counted_run {
  explicit counted_run(int number) {
    auto& t = simulated_cluster::now();
    ++t.begun[number];
    t.running_most = std::max(t.running_most, ++t.running);
  }
  counted_run(const counted_run&) = delete;
  ~counted_run() { --simulated_cluster::now().running; }
};

}  // namespace

const cl::job<int(int, int)> simulated_work{"simulated_work"};
const cl::job<int(int)> simulated_poison{"simulated_poison", {.attempts = 3}};

namespace {

h::task<int> work(int number, int ms) {
  const counted_run one(number);
  if (ms > 0) co_await h::sleep(std::chrono::milliseconds(ms));
  ++simulated_cluster::now().ended[number];
  co_return 2 * number;
}

h::task<int> poison(cl::context& c, int number) {
  const counted_run one(number);
  simulated_cluster::now().kill(c.worker());
  co_await h::sleep(24h);  // a dead process goes on to nothing
  co_return 0;
}

[[maybe_unused]] const auto all = [] {
  cl::implement(simulated_work, work);
  return cl::implement(simulated_poison, poison);
}();

}  // namespace

simulated_client::simulated_client(simulated_nats& s, cl::options o, unsigned latency) : server(s) {
  wire.latency = latency;
  place = std::make_shared<cl::detail::remote>(o, s.dialer(wire));
}

void simulated_client::die() {
  wire.open = false;
  server.cut(wire);
}

simulated_worker::simulated_worker(simulated_nats& s, cl::options o, unsigned latency,
                                   std::string name, unsigned slots, h::runtime& loops)
    : simulated_client(s, std::move(o), latency),
      name(std::move(name)),
      core_(std::make_shared<cl::detail::worker_core>(place, worker_of(this->name, slots), loops)),
      served_(place->post(core_->run())) {}

simulated_worker::~simulated_worker() {
  die();
  // The engine's runtime goes first, and with it the tasks that keep the core.
  auto core = std::move(core_);
  place = nullptr;
}

h::task<> simulated_worker::drain() {
  (void)place->post(drain_core(core_));
  (void)co_await served_;
}

simulated_cluster::simulated_cluster(unsigned n, unsigned latency)
    : loops(jobs_loops(n)), latency_(latency) {
  running_trial = this;
  options.servers = {{"simulated", 1}};
  options.name = "s";
  options.ack_wait = 1s;
  options.submit_within = 10min;
  options.request_limit = 2s;
}

simulated_cluster::~simulated_cluster() {
  for (auto& w : workers) w.die();
  for (auto& c : clients) c.die();
  loops.close();  // the jobs' tasks hold clients, which are to be destroyed here
  workers.clear();
  clients.clear();
  running_trial = nullptr;
}

simulated_cluster& simulated_cluster::now() { return *running_trial; }

simulated_client& simulated_cluster::add_client() {
  return clients.emplace_back(server, options, latency_);
}
simulated_worker& simulated_cluster::add_worker(unsigned slots) {
  return workers.emplace_back(server, options, latency_, "w" + std::to_string(++named_), slots,
                              loops);
}

void simulated_cluster::run(simulated_client& by, const std::function<h::task<>()>& body) {
  loops.run([](const simulated_client& c, const std::function<h::task<>()>& f) -> h::task<> {
    c.use();
    auto running = f();
    co_await std::move(running);
    cl::detail::set_current_backend(nullptr);
  }(by, body));
}

void simulated_cluster::kill(const std::string& name) {
  for (auto& w : workers) {
    if (w.name != name || !w.wire.open) continue;
    w.die();
    ++killed;
    auto starting = h::to_thread([this] { (void)add_worker(); });  // no loop makes a client
    (void)h::create_task(std::move(starting));
  }
}

h::task<> simulated_cluster::until_empty() const {
  for (int i = 0; i < 20'000; ++i) {
    if (server.count("HJ_") == 0 && server.unacknowledged() == 0) co_return;
    co_await h::sleep(20ms);
  }
  throw std::logic_error("jobs stay in the queue");
}

}  // namespace conformance
