// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/stillness.h>

#include <heddle/core/seeing/circle.h>
#include <heddle/core/seeing/graph.h>

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace heddle::detail::seeing {
namespace {

constexpr std::size_t most_nodes = 1000;
constexpr std::size_t most_edges = 4000;
constexpr std::size_t table_places = 2048;
constexpr std::uint64_t most_told = 100;     // tasks
constexpr std::uint64_t most_read = 100000;  // tasks: a look must not last

/// The graph's room, in pages of its own: zeroed, and given back whole.
struct graph_room {
  wait_graph::node nodes[most_nodes];
  wait_graph::edge edges[most_edges];
  std::uint32_t table[table_places];
};

void put_threads(output& to, const foreign_thread* threads, std::size_t count) noexcept {
  constexpr std::size_t most_named = 3;
  if (count == 0) return;
  to.put(", unless thread ");
  for (std::size_t i = 0; i < count && i < most_named; ++i) {
    if (i != 0) to.put(" or ");
    to.number(static_cast<std::uint64_t>(threads[i].number));
    to.put(" (");
    to.escaped(threads[i].name, 16);
    to.put(')');
  }
  if (count > most_named) to.put(" or another one");
  to.put(" does something");
}

void put_tasks(output& to, sight& from, wait_graph* graph) noexcept {
  struct context {
    output& to;
    sight& from;
    wait_graph* graph;
    std::uint64_t told = 0;
  } c{to, from, graph};
  (void)from.tasks().each(
      [](void* p, const task_view& task) {
        auto& here = *static_cast<context*>(p);
        if (here.graph) (void)here.graph->add(task, here.from.tasks());
        if (here.told++ >= most_told) return here.told < most_nodes;
        here.to.put("  ");
        put_id_and_name(here.to, task);
        here.to.put("  ");
        put_wait(here.to, task, here.from);
        here.to.put('\n');
        return true;
      },
      &c);
  if (c.told > most_told) to.put("  ... and more\n");
}

}  // namespace

stillness how_still(sight& from, std::uint64_t& tasks) noexcept {
  if (!from.look_at_loops()) return stillness::unclear;
  const auto self = ::gettid();
  for (std::size_t i = 0; i < from.loops().size(); ++i) {
    const auto& l = from.loops()[i];
    if (l.timers != 0) return stillness::moves;
    if (l.current != 0 || l.ready != 0 || (!l.parked && l.thread != self))
      return stillness::unclear;
  }
  struct context {
    std::uint64_t waiting = 0;
    bool still = true;
  } c;
  const bool whole = from.tasks().each(
      [](void* p, const task_view& task) {
        auto& here = *static_cast<context*>(p);
        const bool waits =
            task.what == doing::waits && task.ended_by_tasks && task.gives_up_in == 0;
        const bool for_strands = task.what == doing::active && task.strands != 0;
        here.still = (waits || for_strands) && here.waiting < most_read;
        ++here.waiting;
        return here.still;
      },
      &c);
  tasks = c.waiting;
  return whole && c.still && c.waiting != 0 ? stillness::still : stillness::moves;
}

void put_stillness(output& to, sight& from, std::uint64_t tasks, const foreign_thread* threads,
                   std::size_t thread_count) noexcept {
  to.put("heddle: nothing can happen any more");
  put_threads(to, threads, thread_count);
  to.put(": ");
  to.number(tasks);
  to.put(tasks == 1 ? " task waits" : " tasks wait");
  to.put(", and no timer, job, descriptor");
  to.put(thread_count == 0 ? ", handler or other thread is left to wake one.\n"
                           : " or handler is left to wake one.\n");
  void* pages = ::mmap(nullptr, sizeof(graph_room), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return put_tasks(to, from, nullptr);
  auto* room = static_cast<graph_room*>(pages);
  wait_graph graph({room->nodes, most_nodes, room->edges, most_edges, room->table, table_places});
  put_tasks(to, from, &graph);
  graph.link();
  const auto n = graph.find_circles(false);
  for (std::size_t i = 1; i <= n; ++i) put_circle(to, from, graph, i);
  ::munmap(pages, sizeof(graph_room));
}

}  // namespace heddle::detail::seeing
