// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: its command line.
#pragma once

#include <string>

namespace tool {

struct options {
  std::string command;
  std::string target;  // a process, by number or name; empty: all of this machine
  bool all_frames = false;
  bool all = false;  // each task a line, however many there are
  bool json = false;
  // Only the tasks that fit; empty: all.
  std::string name;
  std::string waiting;
  std::string at;
  std::string loop;
};

/// Returns -1, or the status to exit with: help was printed, or the usage is wrong.
int parse(int argc, char** argv, options& to);

}  // namespace tool
