// SPDX-License-Identifier: MIT
//
// The machine of the model: one clock a virtual thread, and who has which cache line.
//
// Each access goes through read() or write(), by charging_atomic.h. The thread whose clock is
// earliest runs (world.cpp): before an access that another thread's cache is asked for, whoever is
// behind goes first; before others only when it is behind by more than `quantum`.
//
// A line is in one cache, and may be written there, or in several, and may be read. Getting it from
// another cache takes a transfer, and meanwhile nobody else gets it: so threads that write the same
// line wait for each other. What was never touched, and what fits no cache, costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench::model {

using picoseconds = std::int64_t;
inline constexpr picoseconds ps_per_ns = 1000;
inline constexpr picoseconds never = INT64_MAX;

// In ps, measured on two processors of a virtual machine (Sapphire Rapids, 2 GHz).
namespace cost {
inline constexpr picoseconds transfer = 102'000;        // of a cache line, one way
inline constexpr picoseconds locked = 9'000;            // locked operation on a line that is here
inline constexpr picoseconds plain = 500;               // load or store of a line that is here
inline constexpr picoseconds wake_call = 2'000'000;     // write to an eventfd that wakes somebody
inline constexpr picoseconds wake_latency = 7'000'000;  // from that call until the woken one runs
inline constexpr picoseconds poll = 227'000;            // epoll_wait that finds nothing
inline constexpr picoseconds clock = 40'000;            // clock_gettime
inline constexpr picoseconds spin = 356'000;            // a searcher's 16 pauses
inline constexpr picoseconds pass = 40'000;             // a pause of who waits for a lock
inline constexpr picoseconds turn = 5'000;              // of a loop: its own branches and calls
}  // namespace cost
inline constexpr picoseconds quantum = 50'000;
inline constexpr unsigned most_threads = 192;

/// The running virtual thread's clock; of who runs, and of the next one.
struct clockwork {
  bool running = false;      // inside a simulation
  unsigned thread = 0;       // who runs
  picoseconds now = 0;       // its clock
  picoseconds next = never;  // the earliest other one
  int held = 0;              // not 0: nobody overtakes
};
extern constinit clockwork machine;

/// Others run, until the caller is the earliest. By the world. False: they must not, just now.
bool give_way() noexcept;

void read(const void* at) noexcept;
void write(const void* at, bool locked) noexcept;

inline void spend(picoseconds ps) noexcept { machine.now += ps; }
/// Names the lines from `at` on, for transfers(). What is not named counts as "task frames and
/// records".
void name_lines(const void* at, std::size_t bytes, std::string name);

struct transferred {
  std::string name;
  std::uint64_t transfers = 0;
  picoseconds spent = 0;  // waiting for them, by all threads
};
/// Since reset_transfers(): the most expensive names first.
std::vector<transferred> transfers();
void reset_transfers() noexcept;
/// Forgets all lines and names.
void reset_machine();

}  // namespace bench::model
