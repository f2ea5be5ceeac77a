// SPDX-License-Identifier: MIT
#include <heddle/io/http/inspecting/picture.h>

#include <heddle/core/seeing/report.h>

#include <algorithm>
#include <exception>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace heddle::http::detail {

namespace seeing = heddle::detail::seeing;

namespace {

constexpr std::size_t most_circles = 100;

const char* state_of(const seeing::task_view& t, const seeing::loops_view& loops) noexcept {
  if (loops.runs(t.at)) return "running";
  switch (t.what) {
    case seeing::doing::waits: return "waits";
    case seeing::doing::not_started: return "not started";
    case seeing::doing::moving: return "moving";
    case seeing::doing::active: break;
  }
  return loops.find(t.at) ? "ready" : "active";
}

seen_task seen(const seeing::task_view& t, seeing::sight& from) {
  seen_task s;
  char text[256];
  seeing::short_writer id(text);
  seeing::put_id(id, t.number, t.generation);
  s.id = text;
  s.name = t.name;
  s.state = state_of(t, from.loops());
  seeing::short_writer does(text);
  seeing::put_doing(does, t, from.loops());
  s.does = text;
  s.at = seeing::place_of(t, from.names(), false);
  if (t.made_line != 0) {
    std::string_view file = t.made_file;
    file.remove_prefix(file.rfind('/') + 1);  // npos + 1 is 0
    s.made = std::string(file) + ":" + std::to_string(t.made_line);
  }
  s.is_strand = t.is_strand;
  s.number = t.number;
  s.record = t.at;
  if (t.is_strand) s.parent = t.below != 0 ? t.below : t.task;
  if (t.what != seeing::doing::waits) return s;
  if (t.is_locked && t.owner_number != 0 && !t.owner_ended) {
    s.holder = t.owner;
    s.holder_is_exact = !t.owner_has_strands;
  }
  if (t.target != 0) s.awaited.push_back(t.target);
  from.tasks().each_member(
      t,
      [](void* to, seeing::address member) {
        static_cast<std::vector<std::uint64_t>*>(to)->push_back(member);
      },
      &s.awaited);
  s.awaits_one = t.target != 0 && s.awaited.size() == 1;
  return s;
}

/// Who waits for whom, as far as the tasks themselves tell: joins, gathers, groups, strands, and
/// the holders of locks. The one place that knows of edges.
void add_edges(picture& all) {
  std::unordered_map<std::uint64_t, std::size_t> place;
  for (std::size_t i = 0; i < all.tasks.size(); ++i) place[all.tasks[i].record] = i;
  const auto add = [&](std::size_t from, std::uint64_t record, bool is_only) {
    if (const auto at = place.find(record); at != place.end())
      all.edges.push_back({from, at->second, is_only});
  };
  for (std::size_t i = 0; i < all.tasks.size(); ++i) {
    const auto& t = all.tasks[i];
    for (const auto record : t.awaited) add(i, record, t.awaits_one);
    if (const auto at = place.find(t.holder); t.holder != 0 && at != place.end())
      all.edges.push_back({i, at->second, t.holder_is_exact, true});
    if (t.parent == 0) continue;
    if (const auto above = place.find(t.parent); above != place.end())
      all.edges.push_back({above->second, i, false});
  }
  // A target may be a member too: the edge that says more is kept.
  std::ranges::sort(all.edges, {}, [](const wait_edge& e) {
    return std::tuple(e.from, e.to, !e.is_only, e.is_lock);
  });
  const auto twice = std::ranges::unique(
      all.edges, {}, [](const wait_edge& e) { return std::pair(e.from, e.to); });
  all.edges.erase(twice.begin(), twice.end());
}

/// The edges of each of so many tasks: those of `i` begin at begin_of[i].
std::vector<std::size_t> begins(std::size_t tasks, const std::vector<wait_edge>& edges) {
  std::vector<std::size_t> begin_of(tasks + 1);
  for (const auto& e : edges) ++begin_of[e.from + 1];
  for (std::size_t i = 1; i < begin_of.size(); ++i) begin_of[i] += begin_of[i - 1];
  return begin_of;
}

enum class mark : unsigned char { unseen, on_path, done };

/// The part of the path from `task` on is a circle.
void note_circle(picture& all, const std::vector<std::pair<std::size_t, std::size_t>>& path,
                 std::size_t task) {
  if (all.circles.size() == most_circles) return;
  wait_circle c;
  c.is_deadlock = true;
  auto at = path.size();
  while (path[--at].first != task) {}
  for (; at < path.size(); ++at) {
    c.tasks.push_back(path[at].first);
    c.is_deadlock = c.is_deadlock && all.edges[path[at].second - 1].is_only;
  }
  all.circles.push_back(std::move(c));
}

// Each step of the path: a task, and the edge behind the one that was taken last. A path of its own
// and no recursion: tasks may wait for each other a million deep.
void find_circles(picture& all) {
  const auto begin_of = begins(all.tasks.size(), all.edges);
  std::vector<mark> marks(all.tasks.size());
  std::vector<std::pair<std::size_t, std::size_t>> path;
  for (std::size_t top = 0; top < all.tasks.size(); ++top) {
    if (marks[top] != mark::unseen) continue;
    path.emplace_back(top, begin_of[top]);
    marks[top] = mark::on_path;
    while (!path.empty()) {
      auto& [task, next] = path.back();
      if (next == begin_of[task + 1]) {
        marks[task] = mark::done;
        path.pop_back();
        continue;
      }
      const auto to = all.edges[next++].to;
      if (marks[to] == mark::on_path) note_circle(all, path, to);
      if (marks[to] != mark::unseen) continue;
      marks[to] = mark::on_path;
      path.emplace_back(to, begin_of[to]);
    }
  }
}

class tree_maker {
 public:
  explicit tree_maker(const picture& all)
      : edges_(without_locks(all.edges)),
        begin_of_(begins(all.tasks.size(), edges_)),
        marks_(all.tasks.size()),
        above_(all.tasks.size()) {
    for (const auto& e : edges_) above_[e.to].push_back(e.from);
  }
  std::vector<tree_line> make() {
    for (std::size_t i = 0; i < marks_.size(); ++i)
      if (above_[i].empty()) put_from(i);
    for (std::size_t i = 0; i < marks_.size(); ++i)  // those in circles have no top
      if (marks_[i] == mark::unseen) put_from(i);
    return std::move(lines_);
  }

 private:
  static constexpr std::size_t nobody = ~std::size_t{0};

  static std::vector<wait_edge> without_locks(std::vector<wait_edge> edges) {
    std::erase_if(edges, [](const wait_edge& e) { return e.is_lock; });
    return edges;
  }
  void put(std::size_t task, std::size_t depth, std::size_t under) {
    tree_line line{task, depth};
    for (const auto other : above_[task])
      if (other != under) line.also.push_back(other);
    lines_.push_back(std::move(line));
    marks_[task] = mark::on_path;
    path_.emplace_back(task, begin_of_[task]);
  }
  void put_from(std::size_t top) {
    put(top, 0, nobody);
    while (!path_.empty()) {
      auto& [task, next] = path_.back();
      if (next == begin_of_[task + 1]) {
        marks_[task] = mark::done;
        path_.pop_back();
        continue;
      }
      const auto to = edges_[next++].to;
      if (marks_[to] == mark::on_path)
        lines_.push_back({to, path_.size(), true});
      else if (marks_[to] == mark::unseen)  // else it stands under another one, which it names
        put(to, path_.size(), task);
    }
  }

  const std::vector<wait_edge> edges_;
  const std::vector<std::size_t> begin_of_;
  std::vector<mark> marks_;
  std::vector<std::vector<std::size_t>> above_;
  std::vector<std::pair<std::size_t, std::size_t>> path_;
  std::vector<tree_line> lines_;
};

}  // namespace

picture take_picture(seeing::sight& from, std::size_t most) {
  struct context {
    picture all;
    seeing::sight& from;
    std::size_t most;
    std::exception_ptr error;
  } c{{}, from, most, {}};
  (void)from.look_at_loops();
  c.all.is_whole = from.tasks().each(
      [](void* to, const seeing::task_view& t) {
        auto& here = *static_cast<context*>(to);
        if (here.all.tasks.size() == here.most) {
          ++here.all.left_out;
          return true;
        }
        try {
          here.all.tasks.push_back(seen(t, here.from));
        } catch (...) { here.error = std::current_exception(); }
        return !here.error;
      },
      &c);
  if (c.error) std::rethrow_exception(c.error);
  std::ranges::sort(c.all.tasks, {}, &seen_task::number);
  add_edges(c.all);
  find_circles(c.all);
  return std::move(c.all);
}

std::vector<tree_line> tree_of(const picture& all) { return tree_maker(all).make(); }

}  // namespace heddle::http::detail
