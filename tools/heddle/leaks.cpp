// SPDX-License-Identifier: MIT
#include "leaks.h"

#include "frame_blocks.h"
#include "kept_tasks.h"
#include "leak_search.h"

#include <heddle/core/checked.h>
#include <heddle/core/seeing/output.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>

namespace tool {
namespace {

using seeing::output;

constexpr std::size_t most_named = 8;  // tasks of one place
constexpr auto between_looks = std::chrono::milliseconds(300);
constexpr std::uint64_t most_seconds = 86400;

/// Where a task waits, and where it was made.
using site = std::tuple<std::string, std::string, std::string>;
site site_of(const waiting_task& t) { return {t.kind, t.chain, t.made}; }

void put_site(output& to, const site& s) {
  const auto& [kind, chain, made] = s;
  to.escaped(kind, 40);
  to.put(" in ");
  to.escaped(chain.empty() ? "-" : chain, 200);
  to.put(", made at ");
  to.escaped(made, 80);
  to.put('\n');
}

struct leaked {
  std::string id;
  std::string name;
  std::string does;
  std::string where;
};
using leaked_by_site = std::map<site, std::vector<leaked>>;
using looked_at = std::map<std::pair<address, std::uint64_t>, address>;  // record, word -> wait

/// One look. `before`: only tasks that were found then too, in the same wait.
int look_once(target& t, const looked_at* before, looked_at& now, leaked_by_site& found) {
  const auto search = std::make_unique<leak_search>();
  if (!search->read_tasks(t))
    if (const int r = t.broke_off(); r != good) return r;
  const bool looked = search->look(t);
  if (!looked || search->blocks() == 0)
    std::fputs(
        "heddle: the blocks of this heap cannot be told apart, so that little is found: "
        "another allocator than glibc's, or a sanitizer's\n",
        stderr);
  if (!looked) return good;
  for (const auto& w : search->tasks()) {
    if (w.lives) continue;
    now[{w.record, w.word}] = w.wait;
    if (before) {
      const auto same = before->find({w.record, w.word});
      if (same == before->end() || same->second != w.wait) continue;
    }
    found[site_of(w)].push_back({w.id, w.name, w.does, search->where(w)});
  }
  return good;
}

void put_leaked(output& to, const leaked_by_site& found) {
  for (const auto& [where, tasks] : found) {
    to.number(tasks.size());
    to.put(tasks.size() == 1 ? " task waits for what nobody can bring: "
                             : " tasks wait for what nobody can bring: ");
    put_site(to, where);
    for (std::size_t i = 0; i < tasks.size() && i < most_named; ++i) {
      to.put("    ");
      to.put(tasks[i].id);
      to.put(' ');
      if (!tasks[i].name.empty()) to.escaped(tasks[i].name, 60), to.put(' ');
      to.put(' ');
      to.escaped(tasks[i].does, 120);
      to.put(": ");
      to.put(tasks[i].where);
      to.put('\n');
    }
    if (tasks.size() > most_named) {
      to.put("    and ");
      to.number(tasks.size() - most_named);
      to.put(" more\n");
    }
  }
}

bool put_kept(output& to, target& t) {
  const auto kept = kept_tasks(t);
  for (const auto& [made, k] : kept) {
    to.number(k.count);
    to.put(k.count == 1 ? " task has ended and is kept by a handle"
                        : " tasks have ended and are kept by handles");
    if (k.unasked != 0) {
      to.put(", ");
      to.number(k.unasked);
      to.put(" of them with an error that nobody asked for");
    }
    to.put(": made at ");
    to.escaped(made, 80);
    to.put('\n');
  }
  return !kept.empty();
}

/// Coroutines that nobody has awaited, by their frames: which they are.
using not_awaited = std::map<address, std::string>;
not_awaited frames_not_awaited(target& t) {
  not_awaited found;
  frame_blocks blocks;
  if (!blocks.load(t.see())) return found;
  for (const auto& b : blocks.all) {
    if (b.not_awaited == 0) continue;
    std::string text = t.see().names().function(b.resume);
    if (const auto* p = t.see().names().place({b.resume, b.not_awaited, 1}))
      text = std::string(p->function) + " " + p->short_file() + ":" + std::to_string(p->line);
    found[b.at] = std::move(text);
  }
  return found;
}

/// Of a living program only those that are there after a moment too: the others were on their way.
bool put_not_awaited(output& to, target& t, const not_awaited& before) {
  const auto now = frames_not_awaited(t);
  std::map<std::string, std::uint64_t> counts;
  for (const auto& [at, what] : now)
    if (const auto was = before.find(at); was != before.end() && was->second == what)
      ++counts[what];
  for (const auto& [what, count] : counts) {
    to.number(count);
    to.put(count == 1 ? " coroutine was made, and nobody has awaited it: "
                      : " coroutines were made, and nobody has awaited them: ");
    to.escaped(what, 200);
    to.put('\n');
  }
  return !counts.empty();
}

int print_leaks(const options&, target& t) {
  if (t.elsewhere() && !t.core()) {
    std::fputs("heddle: leaks are looked for in a process or a core, and not through a debugger\n",
               stderr);
    return usage;
  }
  looked_at first, second;
  leaked_by_site found;
  const auto frames = frames_not_awaited(t);
  if (!t.core() && !frames.empty()) std::this_thread::sleep_for(between_looks);
  if (const int r = look_once(t, nullptr, first, found); r != good) return r;
  // A living program goes on while it is read. What is found twice in the same wait stands still.
  if (!t.core() && !first.empty()) {
    found.clear();
    if (const int r = t.open(t.which()); r != good) return r;
    if (const int r = look_once(t, &first, second, found); r != good) return r;
  }
  output to(STDOUT_FILENO);
  put_leaked(to, found);
  const bool any_kept = put_kept(to, t);
  const bool any_frames = put_not_awaited(to, t, frames);
  to.flush();
  if (!found.empty() || any_kept || any_frames) return good;
  std::fputs("heddle: nothing that looks like a leak\n", stderr);
  return nothing;
}

std::map<site, std::uint64_t> count_by_site(target& t) {
  const auto search = std::make_unique<leak_search>();
  std::map<site, std::uint64_t> counts;
  (void)search->read_tasks(t);
  for (const auto& w : search->tasks()) ++counts[site_of(w)];
  return counts;
}

/// "5s", "500ms" or "5". False: it is none of these.
bool parse_time(std::string_view text, std::chrono::milliseconds& to) {
  std::uint64_t scale = 1000, value = 0;
  if (text.ends_with("ms"))
    scale = 1, text.remove_suffix(2);
  else if (text.ends_with("s"))
    text.remove_suffix(1);
  if (!heddle::detail::parse_number(text, value, most_seconds)) return false;
  to = std::chrono::milliseconds(value * scale);
  return true;
}

int print_growth(const options& o, target& t) {
  std::chrono::milliseconds time{};
  if (!parse_time(o.watch, time)) {
    std::fputs("heddle: --watch wants a time, like 5s\n", stderr);
    return usage;
  }
  if (t.elsewhere()) {
    std::fputs("heddle: only a living process can be watched\n", stderr);
    return usage;
  }
  const auto before = count_by_site(t);
  std::this_thread::sleep_for(time);
  if (const int r = t.open(t.which()); r != good) return r;
  std::vector<std::tuple<std::uint64_t, std::uint64_t, site>> grown;
  for (const auto& [where, count] : count_by_site(t)) {
    const auto was = before.find(where);
    const std::uint64_t had = was == before.end() ? 0 : was->second;
    if (count > had) grown.emplace_back(count - had, count, where);
  }
  std::sort(grown.rbegin(), grown.rend());
  output to(STDOUT_FILENO);
  for (const auto& [more, count, where] : grown) {
    to.put('+');
    to.number(more);
    to.put(" in ");
    to.escaped(o.watch, 20);
    to.put(", now ");
    to.number(count);
    to.put(": ");
    put_site(to, where);
  }
  to.flush();
  if (!grown.empty()) return good;
  std::fputs("heddle: tasks became more nowhere\n", stderr);
  return nothing;
}

}  // namespace

int leaks(const options& o) {
  return for_each_target(o, o.watch.empty() ? &print_leaks : &print_growth);
}

}  // namespace tool
