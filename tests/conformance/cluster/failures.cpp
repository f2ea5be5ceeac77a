// SPDX-License-Identifier: MIT
// CLU-FLT: the failures that a cluster promises to stand, and that no other group brings about.
#include "cluster_cases.h"
#include "raw_nats.h"

#include <support/small_disk.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace {

using namespace conformance;

CLUSTER_CASES(CLU_FLT);

/// A process that submits jobs and writes their ids, one a line, behind each other.
child submitter_process(const cl::options& o, const std::string& file, int n) {
  return child({HEDDLE_CLUSTER_WORKER, "submit", file, std::to_string(n)},
               {"HEDDLE_CLUSTER=" + url_of(o)});
}

TEST_P(CLU_FLT, CLU_FLT_01_AcceptedJobsOutliveTheirSubmitter) {
  auto o = fresh_cluster();
  cluster(o, [&](cl::client c) -> h::task<> {
    const auto file = fresh_file();
    {
      auto dying = submitter_process(o, file, 1'000'000);
      const auto some = co_await eventually([&] { return lines_of(file).size() >= 20; });
      HOLDS(some);
      dying.send(SIGKILL);
      EQUAL(dying.wait(), 1000 + SIGKILL);
    }
    auto ids = lines_of(file);
    std::ifstream whole(file, std::ios::ate);
    whole.seekg(-1, std::ios::end);
    if (whole.peek() != '\n') ids.pop_back();  // it was cut off
    here_worker w(c);
    int wrong = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto handle = cl::attach(jobs::twice, ids[i]);
      const int got = co_await handle.result();
      wrong += got != 2 * static_cast<int>(i);
    }
    EQUAL(wrong, 0);
    raw_nats raw(c);
    const auto empty = co_await eventually([&] { return raw.jobs() == 0; });
    HOLDS(empty);
    (void)co_await w.stop();
  });
}

TEST_P(CLU_FLT, CLU_FLT_02_AFullDiskLosesNothingThatWasAccepted) {
  const own_folder folder;
  const support::small_disk disk(folder.path(), "4m");
  if (!disk.mounted()) GTEST_SKIP() << "this user may mount nothing";
  const auto settings = fresh_file();  // or the server would keep within the disk by itself
  std::ofstream(settings) << "jetstream: {max_file_store: 1073741824}\n";
  nats_server server({"-c", settings, "-sd", folder.path()});
  auto o = fresh_cluster();
  o.servers = {{"127.0.0.1", server.port()}};
  o.submit_within = 2s;
  o.request_limit = 1s;
  cluster(o, [&](cl::client) -> h::task<> {
    std::vector<cl::handle<std::string>> accepted;
    std::string text;
    for (int i = 0; i < 100 && text.empty(); ++i) {
      try {
        auto one =
            co_await cl::submit(jobs::echo, std::string(100'000, static_cast<char>('a' + i % 20)));
        accepted.push_back(std::move(one));
      } catch (const cl::unavailable& e) { text = e.what(); } catch (const cl::queue_full& e) {
        text = e.what();
      }
    }
    HOLDS(!text.empty());
    HOLDS(!accepted.empty());
    server.kill();  // with a full disk 2.9 does not end by itself
    HOLDS(disk.grow("64m"));
    server.start();
    cl::client again(o);
    cl::use(again);
    here_worker w(again);
    int wrong = 0;
    for (std::size_t i = 0; i < accepted.size(); ++i) {
      const auto handle = cl::attach(jobs::echo, accepted[i].id());
      const auto value = co_await handle.result();
      wrong += value != std::string(100'000, static_cast<char>('a' + i % 20));
    }
    EQUAL(wrong, 0);
    (void)co_await w.stop();
  });
}

/// How often the threads of a process have gone to sleep.
std::uint64_t sleeps_of(pid_t pid) {
  std::uint64_t n = 0;
  for (const auto& t :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::ifstream status(t.path() / "status");
    for (std::string word; status >> word;) {
      std::uint64_t times = 0;
      if (word == "voluntary_ctxt_switches:" && status >> times) n += times;
    }
  }
  return n;
}

TEST_P(CLU_FLT, CLU_WRK_09_AnIdleWorkerSleeps) {
  auto o = fresh_cluster();
  cluster(o, [&](cl::client) -> h::task<> {
    auto idle = worker_process(o, "idle", 2);
    const int value = co_await h::to_cluster(jobs::twice, 1);
    EQUAL(value, 2);
    co_await h::sleep(1s);
    const auto before = sleeps_of(idle.pid());
    const auto seconds = cluster_size(5, 60);
    co_await h::sleep(std::chrono::seconds(seconds));
    // Three pulls a minute that end, their answers, a ping, and what the kernel adds to each.
    // A sanitizer's own thread wakes up ten times a second.
    if (!sanitized) HOLDS(sleeps_of(idle.pid()) - before <= 10 + seconds);
  });
}

}  // namespace
