// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: its command line.
#pragma once

#include <cstdint>
#include <string>

namespace tool {

struct options {
  std::string command;
  std::string target;  // a process, by number or name, or a core; empty: all of this machine
  std::string task;    // of commands that look at one task: its id or its name
  bool all_frames = false;
  bool all = false;  // each task a line, however many there are
  bool json = false;
  bool stacks = false;  // running threads are stopped for a moment, to see where they are
  bool html = false;    // trace
  bool folded = false;  // stalls: for programs that draw flame graphs
  bool lines = false;   // stalls
  bool once = false;    // top
  bool memory = false;  // top
  // Only the tasks that fit; empty: all.
  std::string name;
  std::string waiting;
  std::string at;
  std::string loop;
  std::string older_text;
  std::uint64_t older = 0;  // ns; only tasks whose last step is so long ago
  // trace
  std::string last;
  std::string duration;
  std::string output;
  // Where else to read.
  std::string exe;     // the program's file, for a core; "none": without it
  std::string reader;  // "IN,OUT": descriptors on which a debugger answers
  // A thread that stands still: what its registers and the top of its stack have.
  std::string thread;
  std::string words;
  std::string watch;     // leaks: look again after so long
  std::string interval;  // top: a number and its unit
};

/// Returns -1, or the status to exit with: help was printed, or the usage is wrong.
int parse(int argc, char** argv, options& to);

}  // namespace tool
