// SPDX-License-Identifier: MIT
// The jobs of the cluster's cases: this program runs them, and heddle_cluster_worker.
#pragma once

#include <heddle/io/cluster_job.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace jobs {

namespace cl = heddle::cluster;

struct scene {
  std::string name;
  int frames = 0;
  std::vector<double> lights;
  bool operator==(const scene&) const = default;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(scene, name, frames, lights)

extern const cl::job<std::string(std::string)> echo;
extern const cl::job<int(int)> twice;
/// Writes its number and its worker behind the file, then waits so many ms. Yields the worker.
extern const cl::job<std::string(std::string file, int number, int ms)> log_and_wait;
/// The same as a function on a thread, which ends early once it shall stop.
extern const cl::job<std::string(std::string file, int number, int ms)> log_and_block;
/// Throws std::runtime_error with a nested one.
extern const cl::job<int(std::string)> fails;
extern const cl::job<int()> throws_an_int;
/// Writes the attempt behind the file, and fails until the attempt is `good`.
extern const cl::job<unsigned(std::string file, unsigned good)> fails_until;
extern const cl::job<int(std::string file)> fails_for_good;
extern const cl::job<int()> crashes;
extern const cl::job<std::string(std::size_t)> makes_bytes;
/// Awaits itself `depth` times.
extern const cl::job<int(int depth)> nested;
/// Hogs all loops of its worker for so many ms.
extern const cl::job<int(std::string file, int ms)> hogs;
extern const cl::job<int(int steps)> tells;
extern const cl::job<void(int)> nothing;
extern const cl::job<std::int64_t(std::int64_t)> same_integer;
extern const cl::job<std::uint64_t(std::uint64_t)> same_natural;
extern const cl::job<double(double)> same_double;
extern const cl::job<std::vector<std::byte>(std::vector<std::byte>)> same_bytes;
extern const cl::job<std::optional<std::optional<int>>(std::optional<std::optional<int>>)>
    same_optional;
extern const cl::job<std::map<int, std::string>(std::map<int, std::string>)> same_map;
extern const cl::job<scene(scene)> same_scene;
/// Implemented by nobody.
extern const cl::job<int(int)> nobodys;
/// Implemented by heddle_cluster_worker alone.
extern const cl::job<int(int)> of_others;

/// How many runs of log_and_wait and its kin were going at most, in this process.
extern std::atomic<int> running_now, running_most;

}  // namespace jobs
