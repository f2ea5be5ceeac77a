// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: which waiting tasks nobody can wake any more.
//
// A task is taken for leaked if what it waits in cannot be reached from anything that lives: not
// from variables, stacks or reached blocks of the heap, and not from the frames of tasks that are
// not leaked themselves. So tasks that wait only in what each other's frames hold are found too.
// What has a timer, a descriptor or a thread behind it lives by itself. A word that happens to look
// like a pointer counts as one. So some leaks are not found, and what is found is hardly ever wrong.
#pragma once

#include "leak_memory.h"

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace tool {

struct waiting_task {
  address record = 0;
  std::uint64_t word = 0;
  address wait = 0;
  std::string id;
  std::string name;
  std::string does;
  std::string kind;  // what it waits in, without figures
  std::string chain;
  std::string made;
  std::vector<address> frames;
  std::vector<address> waits_for;  // objects whose owner could wake it
  std::vector<address> awaits;     // tasks and futures whose end would wake it
  bool lives = false;
};

class leak_search {
 public:
  /// Reads the tasks. False: the list of them breaks off.
  bool read_tasks(target& of);
  /// Copies the memory and looks. False: it could not be read.
  bool look(target& of);

  /// All tasks that wait, by the order of their records.
  [[nodiscard]] const std::vector<waiting_task>& tasks() const { return tasks_; }
  /// Who has what a leaked task waits in, in words.
  [[nodiscard]] std::string where(const waiting_task& t);
  /// How many of the blocks of the heap were told apart; 0: the allocator is none that is known.
  [[nodiscard]] std::size_t blocks() const { return memory_.block_count(); }

 private:
  void add(const seeing::task_view& task, target& of);
  void own_frames();
  void scan(range r);
  void visit(address word);
  void drain();
  [[nodiscard]] bool is_reached(address at);
  [[nodiscard]] bool is_awake(const waiting_task& t);
  void revive(waiting_task& t);

  leak_memory memory_;
  std::vector<waiting_task> tasks_;
  std::unordered_map<address, std::size_t> by_record_;
  std::vector<address> first_frames_;  // of tasks that do not wait
  std::vector<range> in_records_;      // results, and what hangs off a record
  std::vector<heap_block*> reached_;   // and not looked through yet
  std::set<address> pointed_;          // places in frames of tasks that do not live so far
};

}  // namespace tool
