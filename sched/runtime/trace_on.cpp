// SPDX-License-Identifier: MIT
#include <heddle/sched/runtime/trace_on.h>

#include <heddle/core/checked.h>
#include <heddle/core/clock.h>
#include <heddle/core/seeing/output.h>
#include <heddle/core/seeing/short_writer.h>
#include <heddle/core/seeing/snapshot.h>
#include <heddle/sched/loop/trace_ring.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace heddle::detail {
namespace {

using seeing::short_writer;
using seeing::snapshot_part;

constexpr std::size_t most_an_hour = 60;
constexpr std::uint64_t usual_an_hour = 4;
constexpr unsigned most_numbers = 10000;  // of files of one process number
constexpr std::size_t most_rings_written = 512;
constexpr std::size_t most_cell_bytes = std::size_t{64} << 20;

constexpr std::string_view names[] = {"stall", "rest"};

struct wish {
  bool on[2] = {};
  std::uint64_t an_hour = usual_an_hour;
  const char* folder = ".";
};

void tell(std::string_view a, std::string_view b = {}, std::string_view c = {},
          std::string_view d = {}) noexcept {
  seeing::output to(STDERR_FILENO);
  for (const auto text : {a, b, c, d}) to.put(text);
  to.put('\n');
}

wish read_environment() noexcept {
  wish w;
  const char* said = std::getenv("HEDDLE_TRACE_ON");
  for (std::string_view left = said ? said : ""; !left.empty();) {
    const auto word = left.substr(0, left.find(','));
    left.remove_prefix(word.size() < left.size() ? word.size() + 1 : left.size());
    if (word == names[0])
      w.on[0] = true;
    else if (word == names[1])
      w.on[1] = true;
    else
      tell("heddle: HEDDLE_TRACE_ON is \"", said,
           "\", which is not understood: use stall, rest, or stall,rest");
  }
  if (const char* folder = std::getenv("HEDDLE_TRACE_DIR"); folder && *folder) w.folder = folder;
  if (const char* most = std::getenv("HEDDLE_TRACE_AN_HOUR");
      most && (!parse_number(std::string_view(most), w.an_hour, std::uint64_t{most_an_hour}) ||
               w.an_hour == 0)) {
    tell("heddle: HEDDLE_TRACE_AN_HOUR is \"", most, "\": use a number from 1 to 60; it is 4 now");
    w.an_hour = usual_an_hour;
  }
  return w;
}

const wish& wished() noexcept {
  static const wish w = read_environment();
  return w;
}

constinit atomic<bool> writes{false};
// While `writes` is set, its setter's.
constinit duration::rep written_at[most_an_hour] = {};  // ns, of the steady clock
constinit std::uint64_t written_ever = 0;
constinit unsigned last_number = 0;

/// False: there were too many in the last hour.
bool may_write(const wish& w, duration now) noexcept {
  return written_ever < w.an_hour ||
         now - duration(written_at[(written_ever - w.an_hour) % most_an_hour]) >=
             std::chrono::hours(1);
}

/// The rings as they are now, and what is written in place of them.
struct ring_copies {
  seeing::trace_ring_image heads[most_rings_written];
  snapshot_part parts[2 * most_rings_written];
  std::size_t count = 0;  // of parts
  seeing::trace_cell cells[most_cell_bytes / sizeof(seeing::trace_cell)];

  void take() noexcept {
    std::size_t rings = 0, used = 0;
    // pairs with the exchange in trace_ring::claim()
    for (auto* r = tracing.rings.load(acquire); r; r = r->made_before()) {
      if (rings == most_rings_written || r->capacity() > std::size(cells) - used) {
        if (rings != 0) heads[rings - 1].next = 0;  // the list ends there
        return;
      }
      auto& head = heads[rings++];
      head = r->picture(cells + used);
      parts[count++] = {reinterpret_cast<std::uintptr_t>(r), &head, sizeof head};
      if (head.head != 0)
        parts[count++] = {head.cells, cells + used, head.head * sizeof(seeing::trace_cell)};
      used += head.head;
    }
  }
};

/// A new file in the folder. -1: errno tells why not.
int create(const wish& w, trace_trigger why, char* path, std::size_t room) noexcept {
  while (++last_number < most_numbers) {
    short_writer name(path, room);
    name.put(w.folder);
    name.put("/heddle-");
    name.number(static_cast<std::uint64_t>(::getpid()));
    name.put('-');
    name.put(names[static_cast<std::size_t>(why)]);
    name.put('-');
    name.number(last_number);
    name.put(".core");
    const int file = ::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file >= 0 || errno != EEXIST) return file;
  }
  return -1;
}

void write_file(const wish& w, trace_trigger why) noexcept {
  char path[4096];
  void* room = ::mmap(nullptr, sizeof(ring_copies), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return tell("heddle: no memory to write what was recorded");
  auto* rings = static_cast<ring_copies*>(room);  // fresh pages are zeros, and that is empty
  rings->take();
  note_trace_clocks();
  const int file = create(w, why, path, sizeof path);
  const bool good = file >= 0 && seeing::write_snapshot(file, rings->parts, rings->count);
  const int code = errno;
  ::munmap(room, sizeof(ring_copies));
  if (file >= 0) ::close(file);
  if (good)
    return tell("heddle: ", path, ": what was recorded before ",
                why == trace_trigger::stall ? "this stall; heddle trace, ps and why read it"
                                            : "all came to rest; heddle trace, ps and why read it");
  if (file >= 0) ::unlink(path);
  char reason[128];
  tell("heddle: ", path, " cannot be written: ", ::strerror_r(code, reason, sizeof reason));
}

}  // namespace

void arrange_traces() noexcept { (void)wished(); }

void write_trace_on(trace_trigger why) noexcept {
  const wish& w = wished();
  if (!w.on[static_cast<std::size_t>(why)]) return;
  // pairs with the store below
  if (writes.exchange(true, acquire)) return;
  const duration now = std::chrono::steady_clock::now().time_since_epoch();
  if (may_write(w, now)) {
    written_at[written_ever++ % most_an_hour] = now.count();
    write_file(w, why);
  }
  // pairs with the exchange above
  writes.store(false, release);
}

}  // namespace heddle::detail
