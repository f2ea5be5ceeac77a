// SPDX-License-Identifier: MIT
#include "groups.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

namespace tool {

using namespace heddle::detail::seeing;

namespace {

/// FNV-1a: groups that it mixes up would have to be of one program, of which there are few.
class mixed {
 public:
  void add(std::string_view text) {
    for (const char c : text) add_byte(static_cast<unsigned char>(c));
    add_byte(0xff);
  }
  void add(std::uint64_t number) {
    for (int i = 0; i < 8; ++i) add_byte(static_cast<unsigned char>(number >> (8 * i)));
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  void add_byte(unsigned char b) { value_ = (value_ ^ b) * 0x100000001b3; }
  std::uint64_t value_ = 0xcbf29ce484222325;
};

/// What it waits in, without its figures and the id of what it awaits: those differ.
std::string kind_of(const task_view& task, const loops_view& loops) {
  char text[256];
  short_writer does(text);
  put_doing(does, task, loops);
  std::string kind(text);
  const auto ends = kind.find_first_of("0123456789#,");
  if (ends != std::string::npos) kind.resize(ends);
  while (!kind.empty() && kind.back() == ' ') kind.pop_back();
  return kind;
}

}  // namespace

void groups::add(const task_view& task, sight& from) {
  const std::string kind = kind_of(task, from.loops());
  mixed key;
  key.add(kind);
  key.add(std::uint64_t{task.is_strand});
  for (std::size_t i = 0; i < task.runs; ++i) {
    key.add(task.frames[i].resume);
    key.add(task.frames[i].place);
    key.add(task.frames[i].count);
  }
  key.add(std::string_view(task.made_file));
  key.add(std::uint64_t{task.made_line});
  auto& g = all_[key.value()];
  if (task.since_known) g.longest = std::max(g.longest, task.since);
  if (g.count++ != 0) return;
  g.does = kind;
  for (std::size_t i = 0; i < task.runs; ++i) {
    if (is_of_library(from.names().function(task.frames[i])) &&
        (i + 1 < task.runs || !g.chain.empty()))
      continue;
    g.chain += (g.chain.empty() ? "" : " < ") + std::string(from.names().frame(task.frames[i]));
  }
  if (task.made_line != 0) {
    const char* slash = std::strrchr(task.made_file, '/');
    g.made = std::string(slash ? slash + 1 : task.made_file) + ":" + std::to_string(task.made_line);
  }
  char id[40];
  short_writer one(id);
  put_id(one, task.number, task.generation);
  g.one = id;
}

void groups::put(output& to) const {
  std::vector<const group*> sorted;
  for (const auto& [key, g] : all_) sorted.push_back(&g);
  std::sort(sorted.begin(), sorted.end(), [](const group* a, const group* b) {
    return a->count != b->count ? a->count > b->count : a->one < b->one;
  });
  to.put(
      "TASKS     ONE OF THEM     WAITS IN                            LONGEST     AT"
      "                                  MADE\n");
  for (const group* g : sorted) {
    to.number(g->count);
    to.column(10);
    to.put(g->one);
    to.column(26);
    to.escaped(g->does, 60);
    to.column(62);
    char text[32];
    short_writer age(text);
    put_age(age, g->longest);
    to.put(age.text());
    to.column(74);
    to.escaped(g->chain.empty() ? "-" : g->chain, 200);
    to.column(110);
    to.escaped(g->made.empty() ? "-" : g->made, 80);
    to.put('\n');
  }
}

}  // namespace tool
