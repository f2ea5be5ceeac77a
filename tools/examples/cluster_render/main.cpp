// SPDX-License-Identifier: MIT
// A picture, or the files of a directory, over worker processes that are killed at random. At the
// end nothing is lost, and each job has one outcome, which is that of a run in one process.
#include "arguments.h"
#include "crew.h"
#include "demonstration.h"
#include "output.h"
#include "page.h"

#include <heddle/heddle.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace h = heddle;
using namespace cluster_render;
using namespace std::chrono_literals;

constexpr auto last_look = 1500ms;  // a page that is open asks again within this
constexpr auto page_grace = 500ms;  // for answers that are under way

/// Serves the page until it is cancelled.
h::task<> serve_page(shown& s, const settings& how) {
  h::http::server server(make_page(s));
  auto starting = server.start(h::http::listen(how.page));
  co_await std::move(starting);
  for (const auto& at : server.addresses())
    std::fprintf(stderr, "cluster_render: http://%s/ shows it\n", at.to_string().c_str());
  std::exception_ptr ended;
  h::event never;
  try {
    co_await never.wait();  // not serve_forever(): that waits for pages that go on asking
  } catch (...) { ended = std::current_exception(); }
  auto stopping = server.stop(page_grace);
  co_await std::move(stopping);
  std::rethrow_exception(ended);
}

/// All jobs and the check, as far as the limit allows.
h::task<> work_and_check(const settings& how, demonstration& run,
                         std::vector<h::task_handle<void>> killers) {
  bool late = false;
  try {
    auto running = h::wait_for(run.run_all(), how.limit);
    co_await std::move(running);
  } catch (const h::timeout_error&) { late = true; }
  for (auto& k : killers) k.cancel();
  if (late) {
    std::fprintf(stderr, "cluster_render: --limit: not all jobs ended within %lld s\n",
                 static_cast<long long>(how.limit.count()));
    co_return;
  }
  auto checking = run.check();
  co_await std::move(checking);
}

/// The same, with the page and the processes beside it.
h::task<> perform(const settings& how, demonstration& run, shown& page, crew* processes) {
  const h::cluster::client client(processes ? h::cluster::options::from_url(processes->url())
                                            : h::cluster::options());
  h::cluster::use(client);
  h::task_group beside;
  auto all = h::with_task_group(beside, [&](h::task_group&) -> h::task<> {
    if (how.page != "none") beside.create_task(serve_page(page, how));
    std::vector<h::task_handle<void>> killers;
    if (processes) {
      beside.create_task(processes->keep_server());
      for (std::size_t n = 0; n < processes->workers().size(); ++n)
        beside.create_task(processes->keep_worker(n));
      killers.push_back(beside.create_task(processes->kill_workers()));
      killers.push_back(beside.create_task(processes->kill_servers()));
      beside.create_task(run.count_runs());
    }
    auto working = work_and_check(how, run, std::move(killers));
    co_await std::move(working);
    run.count_runs_now();
    h::event never;
    if (how.stay) co_await never.wait();
    if (h::clock::now() - page.last_asked < last_look) co_await h::sleep(last_look);
    beside.cancel();
  });
  co_await std::move(all);
}

/// The same, from the server's start to the end of all processes.
h::task<> with_processes(const settings& how, demonstration& run, shown& page, crew* processes) {
  std::exception_ptr failure;
  try {
    if (processes) {
      auto starting = processes->start_server();
      co_await std::move(starting);
    }
    auto performing = perform(how, run, page, processes);
    co_await std::move(performing);
  } catch (...) { failure = std::current_exception(); }
  if (processes) {
    auto stopping = processes->stop(!failure);
    co_await std::move(stopping);
  }
  if (failure) std::rethrow_exception(failure);
}

h::task<> cancel_at_signal(h::task_handle<void> running, bool& interrupted) {
  h::signal_set signals{SIGINT, SIGTERM};
  auto waiting = signals.wait();
  (void)co_await std::move(waiting);
  interrupted = true;
  running.cancel();
}

/// Yields the exit status.
h::task<int> demonstrate(const settings& how) {
  const work items(how);
  auto making = h::temporary_directory::make();
  auto folder = co_await std::move(making);
  std::optional<crew> processes;
  if (how.workers > 0) processes.emplace(how, folder.path());
  auto* const some = processes ? &*processes : nullptr;
  demonstration run(how, items, some);
  shown page{items, run, some};
  bool interrupted = false;
  auto running = h::create_task(with_processes(how, run, page, some));
  auto listening = h::create_task(cancel_at_signal(running, interrupted));
  try {
    co_await running;
  } catch (const h::cancelled_error&) {
    if (!interrupted) throw;
  }
  listening.cancel();
  auto removing = folder.remove();
  co_await std::move(removing);
  if (!how.out.empty() && run.judged()) write_output(how.out, items, run);
  const int status = report(items, run, some);
  co_return interrupted && !run.judged() ? 130 : status;
}

h::task<int> serve(const worker_arguments& a) {
  log_runs_to(a.run_log);
  const h::cluster::client client(h::cluster::options::from_url(a.url));
  h::cluster::worker_options o;
  o.slots = a.slots;
  o.name = a.name;
  o.drain = 2s;
  h::cluster::worker w(o, client);
  auto serving = w.serve();
  co_return co_await std::move(serving);
}

int run_all(int count, char** words) {
  if (is_worker(count, words)) return h::run(serve(read_worker_arguments(words)));
  const auto how = read_arguments(count, words);
  h::options one_loop;  // what is shared needs no locks then
  one_loop.loops = 1;
  return h::run(demonstrate(how), one_loop);
}

}  // namespace

int main(int count, char** words) {
  if (count == 2 && std::string_view(words[1]) == "--help") {
    std::fputs(help, stdout);
    return 0;
  }
  try {
    return run_all(count, words);
  } catch (const h::bad_value& e) {
    std::fprintf(stderr, "cluster_render: %s\n\n%s", e.what(), help);
    return 2;
  } catch (const h::exception_group& all) {
    for (const auto& one : all.exceptions()) {
      try {
        std::rethrow_exception(one);
      } catch (const std::exception& e) { std::fprintf(stderr, "cluster_render: %s\n", e.what()); }
    }
    return 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "cluster_render: %s\n", e.what());
    return 1;
  }
}
