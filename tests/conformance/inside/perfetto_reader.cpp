// SPDX-License-Identifier: MIT
#include "perfetto_reader.h"

#include <algorithm>
#include <utility>

namespace conformance {
namespace {

struct field {
  std::uint32_t number = 0;
  std::uint32_t type = 0;
  std::uint64_t value = 0;
  std::string_view bytes;
};

/// The fields of one message, one after the other.
class fields {
 public:
  explicit fields(std::string_view bytes) : left_(bytes) {}
  bool next(field& to) {
    if (left_.empty()) return false;
    const auto key = varint();
    to.number = static_cast<std::uint32_t>(key >> 3);
    to.type = static_cast<std::uint32_t>(key & 7);
    if (to.type == 0) {
      to.value = varint();
    } else if (to.type == 1) {
      to.bytes = take(8);
      to.value = 0;
      for (std::size_t i = 0; i < to.bytes.size(); ++i)
        to.value |= std::uint64_t{static_cast<unsigned char>(to.bytes[i])} << (8 * i);
    } else if (to.type == 2) {
      to.bytes = take(varint());
    } else {
      broken_ = true;
    }
    return !broken_;
  }
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (left_.empty()) break;
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    broken_ = true;
    return 0;
  }
  std::string_view take(std::uint64_t n) {
    if (n > left_.size()) {
      broken_ = true;
      return {};
    }
    const auto part = left_.substr(0, static_cast<std::size_t>(n));
    left_.remove_prefix(static_cast<std::size_t>(n));
    return part;
  }
  std::string_view left_;
  bool broken_ = false;
};

class reader {
 public:
  perfetto_trace read(std::string_view bytes) {
    each(bytes, "Trace", [&](const field& f) {
      if (f.number != 1 || f.type != 2) return fault("Trace has another field than packet");
      packet(f.bytes);
    });
    for (auto& [track, open] : open_)
      if (!open.empty()) fault("a slice of " + trace_.tracks[track].name + " has no end");
    link();
    return std::move(trace_);
  }

 private:
  void fault(const std::string& what) { trace_.faults.push_back(what); }
  template <class F>
  void each(std::string_view bytes, const char* message, F&& see) {
    fields in(bytes);
    field f;
    while (in.next(f)) see(f);
    if (in.broken()) fault(std::string(message) + " is broken");
  }

  void packet(std::string_view bytes) {
    std::uint64_t at = 0, sequence = 0, flags = 0;
    std::string_view event, descriptor, interned;
    each(bytes, "TracePacket", [&](const field& f) {
      switch (f.number) {
        case 8: at = f.value; break;
        case 10: sequence = f.value; break;
        case 11: event = f.bytes; break;
        case 12: interned = f.bytes; break;
        case 13: flags = f.value; break;
        case 60: descriptor = f.bytes; break;
        default: fault("TracePacket has field " + std::to_string(f.number));
      }
    });
    if (sequence == 0) fault("a packet has no sequence");
    if ((flags & 1) != 0) cleared_ = true;
    if (!interned.empty()) intern(interned);
    if (!descriptor.empty()) describe(descriptor);
    if (event.empty()) return;
    if ((flags & 2) == 0 || !cleared_) fault("an event uses names that are not announced");
    see(event, at);
  }

  void intern(std::string_view bytes) {
    each(bytes, "InternedData", [&](const field& f) {
      if (f.number < 1 || f.number > 3) return fault("InternedData has another field");
      std::uint64_t iid = 0;
      std::string name;
      each(f.bytes, "an interned name", [&](const field& g) {
        if (g.number == 1) iid = g.value;
        if (g.number == 2) name = g.bytes;
      });
      if (iid == 0) fault("an interned name has no number");
      if (!names_[f.number].emplace(iid, name).second) fault("a number is given to two names");
    });
  }

  void describe(std::string_view bytes) {
    perfetto_track t;
    std::uint64_t uuid = 0;
    each(bytes, "TrackDescriptor", [&](const field& f) {
      if (f.number == 1) uuid = f.value;
      if (f.number == 2) t.name = f.bytes;
      if (f.number == 3) t.is_process = true;
      if (f.number == 4)
        each(f.bytes, "ThreadDescriptor", [&](const field& g) {
          if (g.number == 2) t.thread = g.value;
          if (g.number == 5) t.name = g.bytes;
        });
      if (f.number == 5) t.parent = f.value;
    });
    if (uuid == 0) fault("a track has no uuid");
    if (t.parent != 0 && trace_.tracks.count(t.parent) == 0) fault("a track's parent is not known");
    if (!trace_.tracks.emplace(uuid, t).second) fault("two tracks have one uuid");
  }

  std::string name(std::uint32_t of, std::uint64_t iid) {
    const auto at = names_[of].find(iid);
    if (at != names_[of].end()) return at->second;
    fault("a number has no name");
    return {};
  }

  void annotate(std::string_view bytes, perfetto_slice& to) {
    std::string key, value;
    each(bytes, "DebugAnnotation", [&](const field& f) {
      if (f.number == 1) key = name(3, f.value);
      if (f.number == 6) value = f.bytes;
    });
    to.notes[key] = value;
  }

  void see(std::string_view bytes, std::uint64_t at) {
    perfetto_slice s;
    std::uint64_t type = 0;
    s.begin = s.end = at;
    each(bytes, "TrackEvent", [&](const field& f) {
      switch (f.number) {
        case 3: s.category = name(1, f.value); break;
        case 4: annotate(f.bytes, s); break;
        case 9: type = f.value; break;
        case 10: s.name = name(2, f.value); break;
        case 11: s.track = f.value; break;
        case 47: s.leave.push_back(f.value); break;
        case 48: s.arrive.push_back(f.value); break;
        default: fault("TrackEvent has field " + std::to_string(f.number));
      }
      if ((f.number == 47 || f.number == 48) && f.type != 1) fault("a flow is not fixed64");
    });
    if (trace_.tracks.count(s.track) == 0) fault("an event's track is not known");
    auto& last = last_[s.track];
    if (at < last) fault("time runs backwards on " + trace_.track_of(s));
    last = at;
    auto& open = open_[s.track];
    if (type == 2) {
      if (open.empty()) return fault("an end without a beginning on " + trace_.track_of(s));
      trace_.slices[open.back()].end = at;
      open.pop_back();
      return;
    }
    if (type != 1 && type != 3) fault("an event of another type");
    if (s.name.empty()) fault("an event without a name");
    s.is_instant = type == 3;
    if (type == 1) open.push_back(trace_.slices.size());
    trace_.slices.push_back(std::move(s));
  }

  // A flow has one beginning and one end, and goes forwards in time.
  void link() {
    std::map<std::uint64_t, perfetto_flow> all;
    for (const auto& s : trace_.slices) {
      for (const auto id : s.leave)
        if (std::exchange(all[id].from, &s)) fault("a flow begins twice");
      for (const auto id : s.arrive)
        if (std::exchange(all[id].to, &s)) fault("a flow ends twice");
    }
    for (const auto& [id, f] : all) {
      if (!f.from || !f.to)
        fault("a flow has one end");
      else if (f.from->begin > f.to->begin)
        fault("a flow goes back in time: " + f.to->name);
      else
        trace_.flows.push_back(f);
    }
  }

  perfetto_trace trace_;
  std::map<std::uint64_t, std::string> names_[4];
  std::map<std::uint64_t, std::vector<std::size_t>> open_;
  std::map<std::uint64_t, std::uint64_t> last_;
  bool cleared_ = false;
};

}  // namespace

perfetto_trace read_perfetto(std::string_view bytes) { return reader().read(bytes); }

}  // namespace conformance
