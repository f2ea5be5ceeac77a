// SPDX-License-Identifier: MIT
// What a random program has to do: when each part ends, and how.
//
// The moments of a program are far from each other, so its course does not depend on the schedule.
// The reference computes it by recursion: what a part does follows from when it begins and from the
// moments at which what is around it cancels it. One child may decide about its siblings: a failure
// cancels them. Then the reference computes first what each child would do alone. So it knows the
// first decision, and gives that cancellation to the siblings that are still there.
#pragma once

#include "support/random_program.h"

#include <algorithm>
#include <vector>

namespace random_program {

enum class how : std::uint8_t { value, error, timed_out, group, cancelled };
inline const char* name_of(how h) {
  static constexpr const char* names[] = {"value", "error", "timeout_error", "exception_group",
                                          "cancelled"};
  return names[static_cast<int>(h)];
}

struct ending {
  moment at = 0;
  how was = how::value;
};

struct course {
  bool ran = false;
  moment began = 0;
  ending end;
};

class reference {
 public:
  explicit reference(const program& p) : courses_(static_cast<std::size_t>(p.nodes)) {
    end_ = run(*p.root, 0, p.cancels);
    for (const auto& c : courses_)
      if (c.ran) {
        moments_.push_back(c.began);
        moments_.push_back(c.end.at);
      }
    for (const auto c : p.cancels) moments_.push_back(c);
    too_close();
  }

  [[nodiscard]] ending end() const noexcept { return end_; }
  [[nodiscard]] const course& of(int id) const { return courses_[static_cast<std::size_t>(id)]; }
  /// Two things happen so close to each other that the schedule decides; or the promise leaves open
  /// what happens.
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  /// What is left open includes that it ends.
  [[nodiscard]] bool may_never_end() const noexcept { return may_never_end_; }

 private:
  using moments = std::vector<moment>;

  static moment first_after(const moments& cancels, moment t) {
    const auto it = std::upper_bound(cancels.begin(), cancels.end(), t);
    return it == cancels.end() ? never : *it;
  }
  static bool any_within(const moments& cancels, moment after, moment until) {
    return first_after(cancels, after) <= until;
  }
  static moments with(moments cancels, moment one) {
    cancels.insert(std::upper_bound(cancels.begin(), cancels.end(), one), one);
    return cancels;
  }
  static bool is_failure(how h) { return h != how::value && h != how::cancelled; }

  ending run(const node& n, moment begin, const moments& cancels) {
    const ending e = by_verb(n, begin, cancels);
    if (trying_ == 0) courses_[static_cast<std::size_t>(n.id)] = {true, begin, e};
    return e;
  }
  /// What would happen, without a trace.
  ending would(const node& n, moment begin, const moments& cancels) {
    const auto open = open_;
    const auto never_ends = may_never_end_;
    const auto kept = moments_.size();
    ++trying_;
    const auto e = by_verb(n, begin, cancels);
    --trying_;
    open_ = open;
    may_never_end_ = never_ends;
    moments_.resize(kept);
    return e;
  }

  ending by_verb(const node& n, moment begin, const moments& cancels) {
    switch (n.what) {
      case verb::sequence:
      case verb::generator: return sequence(n, begin, cancels);
      case verb::fork:
      case verb::each: return fork(n, begin, cancels);
      case verb::gather: return gather(n, begin, cancels);
      case verb::settled: return settled(n, begin, cancels);
      case verb::group: return group(n, begin, cancels);
      case verb::timeout:
      case verb::wait_for: return timeout(n, begin, cancels);
      case verb::shield: return apart(n, begin, cancels, false);
      case verb::wait: return apart(n, begin, cancels, true);
      case verb::spawn: return run(*n.below[0], begin, cancels);
      case verb::spawn_cancel:
        moments_.push_back(begin + n.lasts);
        return run(*n.below[0], begin, with(cancels, begin + n.lasts));
      default: return leaf(n, begin, cancels);
    }
  }

  static ending leaf(const node& n, moment begin, const moments& cancels) {
    const moment c = first_after(cancels, begin);
    const moment full = n.what == verb::stuck ? never : begin + n.lasts;
    if (c >= full) return {full, n.what == verb::fails ? how::error : how::value};
    switch (n.what) {
      case verb::converts: return {c, how::error};
      case verb::swallows: return {c, how::value};
      case verb::cleans: return {std::min(c + n.cleanup, first_after(cancels, c)), how::cancelled};
      default: return {c, how::cancelled};
    }
  }

  ending sequence(const node& n, moment begin, const moments& cancels) {
    for (const auto& child : n.below) {
      const auto e = run(*child, begin, cancels);
      if (e.was != how::value || e.at == never) return e;
      begin = e.at;
    }
    return {begin, how::value};
  }

  // The first failure, a cancelled child included, cancels those that are still there; the join
  // waits for all.
  ending fork(const node& n, moment begin, const moments& cancels) {
    const auto known = abandoned_.size();
    moment failed = never;
    for (const auto& child : n.below) {
      const auto e = would(*child, begin, cancels);
      if (e.was != how::value) failed = std::min(failed, e.at);
    }
    // What waits for a join further in that failed before was told then, and is not told again.
    bool told = false;
    for (auto i = known; i < abandoned_.size(); ++i)
      if (abandoned_[i].began < failed && failed < abandoned_[i].end.at) told = true;
    open_ = open_ || told;
    abandoned_.resize(known);
    // A child that ends cancelled since all were cancelled tells its siblings nothing new.
    const bool from_outside = first_after(cancels, begin) <= failed;
    ending all{begin, how::value};
    how error = how::value;
    bool cancelled = false;
    for (const auto& child : n.below) {
      auto e = would(*child, begin, cancels);
      if (e.at > failed) {
        if (from_outside) open_ = true;
        // It has swallowed the one cancellation that it gets, and no other may come.
        if ((from_outside || told) && e.at == never) may_never_end_ = true;
        e = run(*child, begin, with(cancels, failed));
      } else {
        e = run(*child, begin, cancels);
      }
      all.at = std::max(all.at, e.at);
      if (is_failure(e.was) && error == how::value) error = e.was;
      cancelled = cancelled || e.was == how::cancelled;
    }
    all.was = error != how::value ? error : cancelled ? how::cancelled : how::value;
    if (failed < all.at) abandoned_.push_back({true, failed, all});
    // Cancelled, and no child says so: whether the join throws or the next wait does is not
    // promised.
    if (any_within(cancels, begin, all.at) && all.was != how::cancelled) open_ = true;
    return all;
  }

  // The first child that does not end well ends it; the others go on, out of reach.
  ending gather(const node& n, moment begin, const moments& cancels) {
    ending first{never, how::value};
    moment last = begin;
    for (const auto& child : n.below) {
      const auto e = would(*child, begin, cancels);
      if (e.was != how::value && e.at < first.at) first = e;
      // Several end at one moment, when all are cancelled: which is the first?
      else if (e.was != how::value && e.at == first.at && e.was != first.was)
        open_ = true;
      last = std::max(last, e.at);
    }
    const auto end = std::min(first.at, last);
    moments reach(cancels.begin(), std::upper_bound(cancels.begin(), cancels.end(), end));
    for (const auto& child : n.below) run(*child, begin, reach);
    if (first.at != never) return first;
    return {last, any_within(cancels, begin, last) ? how::cancelled : how::value};
  }

  ending settled(const node& n, moment begin, const moments& cancels) {
    moment last = begin;
    for (const auto& child : n.below) last = std::max(last, run(*child, begin, cancels).at);
    return {last, any_within(cancels, begin, last) ? how::cancelled : how::value};
  }

  ending group(const node& n, moment begin, const moments& cancels) {
    const auto children = n.below.size() - 1;
    const node& body = *n.below[children];
    auto of_body = would(body, begin, cancels);
    moment aborted = of_body.was != how::value ? of_body.at : never;
    moment last = of_body.at;
    for (std::size_t i = 0; i < children; ++i) {
      const auto e = would(*n.below[i], begin, {});
      if (is_failure(e.was)) aborted = std::min(aborted, e.at);
      last = std::max(last, e.at);
    }
    // Cancelled while it waits for its children: they are cancelled then.
    const moment while_leaving = first_after(cancels, of_body.at);
    if (while_leaving < last) aborted = std::min(aborted, while_leaving);
    of_body =
        of_body.at > aborted ? run(body, begin, with(cancels, aborted)) : run(body, begin, cancels);
    last = of_body.at;
    bool failed = is_failure(of_body.was);
    for (std::size_t i = 0; i < children; ++i) {
      auto e = would(*n.below[i], begin, {});
      e = run(*n.below[i], begin, e.at > aborted ? moments{aborted} : moments{});
      failed = failed || is_failure(e.was);
      last = std::max(last, e.at);
    }
    const bool outside = any_within(cancels, begin, last);
    if (failed) {
      if (outside) open_ = true;  // thrown at the next wait
      return {last, how::group};
    }
    const bool interrupted = any_within(cancels, of_body.at, last);
    return {last, of_body.was == how::cancelled || interrupted ? how::cancelled : how::value};
  }

  ending timeout(const node& n, moment begin, const moments& cancels) {
    const node& body = *n.below[0];
    const moment deadline = begin + n.lasts;
    moments_.push_back(deadline);
    if (would(body, begin, cancels).at < deadline) return run(body, begin, cancels);
    const auto e = run(body, begin, with(cancels, deadline));
    if (e.was != how::cancelled) return e;
    if (!any_within(cancels, begin, e.at)) return {e.at, how::timed_out};
    // An enclosing limit that passes during the clean-up: the first due throws. Anybody else's
    // cancellation gets out.
    if (any_within(cancels, deadline, e.at)) open_ = true;
    return {e.at, how::cancelled};
  }

  // The children are tasks that a cancellation of the waiting one does not reach.
  ending apart(const node& n, moment begin, const moments& cancels, bool all) {
    ending e{begin, how::value};
    for (const auto& child : n.below) {
      const auto of_child = run(*child, begin, {});
      e.at = std::max(e.at, of_child.at);
      if (!all) e.was = of_child.was;
    }
    const auto c = first_after(cancels, begin);
    return c < e.at ? ending{c, how::cancelled} : e;
  }

  void too_close() {
    std::sort(moments_.begin(), moments_.end());
    for (std::size_t i = 1; i < moments_.size(); ++i) {
      const auto apart = moments_[i] - moments_[i - 1];
      if (apart != 0 && apart < second) open_ = true;
    }
  }

  std::vector<course> courses_;
  moments moments_;
  std::vector<course> abandoned_;  // joins, from their failure to their end
  ending end_;
  bool open_ = false;
  bool may_never_end_ = false;
  int trying_ = 0;  // inside would()
};

}  // namespace random_program
