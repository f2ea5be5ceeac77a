// SPDX-License-Identifier: MIT
// heddle: shows what the tasks of a program do, running or dead. See `heddle --help`.
#include "backtrace.h"
#include "doctor.h"
#include "gdb.h"
#include "leaks.h"
#include "loop_list.h"
#include "options.h"
#include "processes.h"
#include "ps.h"
#include "stalls.h"
#include "top.h"
#include "trace.h"
#include "tree.h"
#include "why.h"

#include <cstdio>

int main(int argc, char** argv) {
  tool::options o;
  if (const int status = tool::parse(argc, argv, o); status >= 0) return status;
  if (o.command == "ps") return tool::ps(o);
  if (o.command == "pstree") return tool::pstree(o);
  if (o.command == "trace") return tool::trace(o);
  if (o.command == "loops") return tool::loops(o);
  if (o.command == "bt") return tool::backtrace(o);
  if (o.command == "leaks") return tool::leaks(o);
  if (o.command == "gdb") return tool::gdb(o);
  if (o.command == "stalls") return tool::stalls(o);
  if (o.command == "top") return tool::top(o);
  if (o.command == "why") return tool::why(o);
  if (o.command == "doctor") return tool::doctor(o);
  std::fprintf(stderr, "heddle: there is no command %s\nheddle --help tells more.\n",
               o.command.c_str());
  return tool::usage;
}
