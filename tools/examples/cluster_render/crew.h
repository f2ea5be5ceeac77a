// SPDX-License-Identifier: MIT
// The processes of the demonstration: a nats-server and the workers. Whoever dies is started again.
//
// All of it runs on one loop. So nothing here is locked.
#pragma once

#include "settings.h"

#include <heddle/heddle.h>

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace cluster_render {

class crew {
 public:
  struct member {
    std::string name;
    heddle::process process = {};
    bool up = false;
    unsigned deaths = 0;
  };

  /// Data of the server and the log of runs stand in `folder`, which outlives this object.
  crew(const settings& s, std::string folder);

  /// Starts the server. Throws std::runtime_error that says why there is none.
  [[nodiscard]] heddle::task<> start_server();
  /// Keep the server, and a worker, until they are cancelled: whoever was killed is started again.
  /// Throw std::runtime_error for one that ended in another way.
  [[nodiscard]] heddle::task<> keep_server();
  [[nodiscard]] heddle::task<> keep_worker(std::size_t number);
  /// Kill at random, as often as the settings say.
  [[nodiscard]] heddle::task<> kill_workers();
  [[nodiscard]] heddle::task<> kill_servers();
  /// False: none of them is up.
  bool kill_one();
  bool kill_server();
  /// Ends all. Gently: asks them, and kills those that have not ended after some seconds. The
  /// keepers must have ended.
  [[nodiscard]] heddle::task<> stop(bool gently);

  [[nodiscard]] std::string url() const;
  [[nodiscard]] const std::string& run_log() const noexcept { return run_log_; }
  [[nodiscard]] const member& server() const noexcept { return server_; }
  [[nodiscard]] const std::vector<member>& workers() const noexcept { return workers_; }
  [[nodiscard]] unsigned deaths_of_workers() const noexcept;

 private:
  [[nodiscard]] heddle::task<bool> listens() const;
  [[nodiscard]] heddle::duration about(std::chrono::milliseconds pause, std::mt19937_64& luck);

  const settings settings_;
  const std::string folder_;
  const std::string run_log_;
  std::string program_;  // of the server
  std::uint16_t port_ = 0;
  member server_;
  std::vector<member> workers_;
  std::mt19937_64 luck_;         // of the workers
  std::mt19937_64 server_luck_;  // of its own: so one does not change the other's deaths
};

}  // namespace cluster_render
