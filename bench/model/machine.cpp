// SPDX-License-Identifier: MIT
#include "model/machine.h"

#include <algorithm>
#include <map>

namespace bench::model {

constinit clockwork machine;

namespace {

constexpr std::uint64_t line_bytes = 64;

struct alignas(64) line {
  std::uint64_t number = 0;  // address / 64; 0: free
  std::uint64_t readers[most_threads / 64] = {};
  picoseconds busy_until = 0;
  picoseconds spent = 0;
  std::uint32_t transfers = 0;
  std::uint16_t owner = 0;
  bool written = false;  // only the owner has it

  [[nodiscard]] bool has(unsigned t) const noexcept {
    return (readers[t / 64] >> (t % 64) & 1) != 0;
  }
  [[nodiscard]] bool is_new() const noexcept { return (readers[0] | readers[1] | readers[2]) == 0; }
  [[nodiscard]] bool only(unsigned t) const noexcept {
    std::uint64_t others = 0;
    for (unsigned i = 0; i < most_threads / 64; ++i)
      others |= readers[i] & ~(i == t / 64 ? std::uint64_t{1} << (t % 64) : 0);
    return others == 0 && has(t);
  }
  void add(unsigned t) noexcept { readers[t / 64] |= std::uint64_t{1} << (t % 64); }
  void take(unsigned t) noexcept {
    for (auto& r : readers) r = 0;
    add(t);
    owner = static_cast<std::uint16_t>(t);
    written = true;
  }
};

class line_table {
 public:
  line& of(const void* at) {
    const auto number = reinterpret_cast<std::uintptr_t>(at) / line_bytes;
    auto i = place(number);
    for (; lines_[i].number != number; i = (i + 1) & mask()) {
      if (lines_[i].number != 0) continue;
      if (2 * used_ >= lines_.size()) {
        grow();
        return of(at);
      }
      ++used_;
      lines_[i].number = number;
      break;
    }
    return lines_[i];
  }
  [[nodiscard]] std::vector<line>& all() noexcept { return lines_; }
  void clear() {
    lines_.assign(std::size_t{1} << 14, {});
    used_ = 0;
  }

 private:
  [[nodiscard]] std::size_t mask() const noexcept { return lines_.size() - 1; }
  [[nodiscard]] std::size_t place(std::uint64_t number) const noexcept {
    return (number * 0x9e3779b97f4a7c15u >> 20) & mask();
  }
  void grow() {
    std::vector<line> bigger(2 * lines_.size());
    bigger.swap(lines_);
    for (const line& l : bigger) {
      if (l.number == 0) continue;
      auto i = place(l.number);
      while (lines_[i].number != 0) i = (i + 1) & mask();
      lines_[i] = l;
    }
  }
  std::vector<line> lines_{std::size_t{1} << 14};
  std::size_t used_ = 0;
};

line_table table;

struct named {
  std::uintptr_t end;
  std::string name;
};
std::map<std::uintptr_t, named> names;  // by begin

/// True: others ran, look again.
bool overtaken(picoseconds behind) noexcept {
  return machine.held == 0 && machine.next != never && machine.now > machine.next + behind &&
         give_way();
}

void transfer(line& l, bool occupies) noexcept {
  const auto begin = std::max(machine.now, l.busy_until);
  const auto end = begin + cost::transfer;
  if (occupies) l.busy_until = end;
  ++l.transfers;
  l.spent += end - machine.now;
  machine.now = end;
}

}  // namespace

void read(const void* at) noexcept {
  if (!machine.running) return;
  machine.now += cost::plain;
  for (;;) {
    line& l = table.of(at);
    const bool here = l.has(machine.thread);
    if (overtaken(here ? quantum : 0)) continue;
    if (here) return;
    if (!l.is_new()) transfer(l, l.written);
    l.written = false;
    l.add(machine.thread);
    return;
  }
}

void write(const void* at, bool locked) noexcept {
  if (!machine.running) return;
  machine.now += locked ? cost::locked : cost::plain;
  for (;;) {
    line& l = table.of(at);
    const bool here = l.is_new() || l.only(machine.thread);
    if (overtaken(here ? quantum : 0)) continue;
    if (!here) transfer(l, true);
    l.take(machine.thread);
    return;
  }
}

void name_lines(const void* at, std::size_t bytes, std::string name) {
  const auto begin = reinterpret_cast<std::uintptr_t>(at);
  names[begin] = {begin + bytes, std::move(name)};
}

std::vector<transferred> transfers() {
  std::map<std::string, transferred> sums;
  for (const line& l : table.all()) {
    if (l.transfers == 0) continue;
    // All whose bytes are on this line share it.
    std::string name;
    const auto begin = l.number * line_bytes;
    for (const auto& [first, range] : names)
      if (first < begin + line_bytes && range.end > begin)
        if (name.find(range.name) == std::string::npos)
          name += (name.empty() ? "" : " + ") + range.name;
    if (name.empty()) name = "task frames and records";
    auto& sum = sums[name];
    sum.name = name;
    sum.transfers += l.transfers;
    sum.spent += l.spent;
  }
  std::vector<transferred> list;
  for (auto& [name, sum] : sums) list.push_back(std::move(sum));
  std::sort(list.begin(), list.end(),
            [](const auto& a, const auto& b) { return a.spent > b.spent; });
  return list;
}

void reset_transfers() noexcept {
  for (line& l : table.all()) {
    l.transfers = 0;
    l.spent = 0;
  }
}

void reset_machine() {
  table.clear();
  names.clear();
}

}  // namespace bench::model
