// SPDX-License-Identifier: MIT
// The numbers of fields are those of the public schema; beside each stands its name there.
#include "trace_files.h"

#include <array>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tool {
namespace {

/// A message on its way into its bytes.
class message {
 public:
  void varint(std::uint32_t field, std::uint64_t value) {
    raw(std::uint64_t{field} << 3);
    raw(value);
  }
  void fixed64(std::uint32_t field, std::uint64_t value) {
    raw(std::uint64_t{field} << 3 | 1);
    for (int i = 0; i < 8; ++i) bytes_ += static_cast<char>(value >> (8 * i));
  }
  void text(std::uint32_t field, std::string_view bytes) {
    raw(std::uint64_t{field} << 3 | 2);
    raw(bytes.size());
    bytes_ += bytes;
  }
  void inside(std::uint32_t field, const message& m) { text(field, m.bytes_); }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void raw(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

constexpr std::uint64_t process_uuid = 1;
constexpr std::uint64_t first_track = 2;
constexpr std::uint32_t sequence = 1;
// TracePacket.SequenceFlags
constexpr std::uint32_t state_cleared = 1;
constexpr std::uint32_t needs_state = 2;
// TrackEvent.Type
constexpr std::uint32_t slice_begin = 1;
constexpr std::uint32_t slice_end = 2;
constexpr std::uint32_t instant = 3;

constexpr std::array kinds{timeline::what::step,   timeline::what::strand, timeline::what::callback,
                           timeline::what::parked, timeline::what::job,    timeline::what::span,
                           timeline::what::moment, timeline::what::gap,    timeline::what::stall};
constexpr std::array notes{"task", "name", "function", "made", "by", "detail"};
enum note : std::uint32_t { of_task = 1, of_name, of_function, of_made, of_by, of_detail };

class writer {
 public:
  writer(file_writer& to, const timeline& t) : to_(&to), t_(&t) {}
  void write();

 private:
  void packet(const message& m) {
    message trace;
    trace.inside(1, m);  // Trace.packet
    to_->put(trace.bytes());
  }
  void put_interned();
  void put_tracks();
  void put_items();
  void put_begin(std::uint32_t index);
  void put_end(std::uint32_t track, std::int64_t at);
  void event(std::int64_t at, const message& track_event);
  static void annotate(message& event, note what, const std::string& text);

  file_writer* to_;
  const timeline* t_;
  std::unordered_map<std::uint32_t, std::vector<std::uint64_t>> leave_, arrive_;  // by item
};

// All texts at once, so that each event says a number.
void writer::put_interned() {
  message data;
  const auto entry = [&](std::uint32_t field, std::uint64_t iid, std::string_view name) {
    message m;
    m.varint(1, iid);  // iid
    m.text(2, name);   // name
    data.inside(field, m);
  };
  for (std::size_t i = 0; i < kinds.size(); ++i)
    entry(1, i + 1, category(kinds[i]));  // InternedData.event_categories
  for (std::size_t i = 0; i < t_->texts.size(); ++i) entry(2, i + 1, t_->texts[i]);  // event_names
  for (std::size_t i = 0; i < notes.size(); ++i)
    entry(3, i + 1, notes[i]);  // debug_annotation_names
  message m;
  m.varint(10, sequence);                     // TracePacket.trusted_packet_sequence_id
  m.varint(13, state_cleared | needs_state);  // sequence_flags
  m.inside(12, data);                         // interned_data
  packet(m);
}

void writer::put_tracks() {
  const auto descriptor = [&](const message& track) {
    message m;
    m.varint(10, sequence);
    m.inside(60, track);  // TracePacket.track_descriptor
    packet(m);
  };
  message process, track;
  process.varint(1, static_cast<std::uint64_t>(t_->process));  // ProcessDescriptor.pid
  process.text(6, t_->command);                                // process_name
  track.varint(1, process_uuid);                               // TrackDescriptor.uuid
  track.inside(3, process);                                    // process
  descriptor(track);
  for (std::size_t i = 0; i < t_->tracks.size(); ++i) {
    const auto& from = t_->tracks[i];
    message one;
    one.varint(1, first_track + i);
    const bool is_thread = from.kind == track_kind::loop || from.kind == track_kind::thread;
    if (is_thread) {
      message thread;
      thread.varint(1, static_cast<std::uint64_t>(t_->process));  // ThreadDescriptor.pid
      thread.varint(2, static_cast<std::uint64_t>(from.thread));  // tid
      thread.text(5, from.name);                                  // thread_name
      one.inside(4, thread);                                      // TrackDescriptor.thread
    } else {
      one.text(2, from.name);  // name
      one.varint(5, from.under == timeline::none ? process_uuid
                                                 : first_track + from.under);  // parent_uuid
    }
    descriptor(one);
  }
}

void writer::event(std::int64_t at, const message& track_event) {
  message m;
  m.varint(8, static_cast<std::uint64_t>(at));  // TracePacket.timestamp
  m.varint(10, sequence);
  m.varint(13, needs_state);
  m.inside(11, track_event);  // track_event
  packet(m);
}

void writer::annotate(message& event, note what, const std::string& text) {
  if (text.empty()) return;
  message m;
  m.varint(1, what);   // DebugAnnotation.name_iid
  m.text(6, text);     // string_value
  event.inside(4, m);  // TrackEvent.debug_annotations
}

void writer::put_begin(std::uint32_t index) {
  const auto& i = t_->items[index];
  message e;
  e.varint(9, i.begin == i.end ? instant : slice_begin);  // TrackEvent.type
  e.varint(11, first_track + i.on);                       // track_uuid
  e.varint(3, static_cast<std::uint64_t>(i.kind) + 1);    // category_iids
  e.varint(10, std::uint64_t{i.name} + 1);                // name_iid
  if (i.task != timeline::none) {
    const auto& task = t_->tasks[i.task];
    annotate(e, of_task, task.id);
    annotate(e, of_name, task.name);
    annotate(e, of_made, made_at(task));
    if (i.kind == timeline::what::moment) {  // not with each step: it would double the file
      annotate(e, of_function, task.function);
      annotate(e, of_by, task.by);
    }
  }
  if (i.detail != timeline::none) annotate(e, of_detail, t_->text(i.detail));
  if (const auto at = leave_.find(index); at != leave_.end())
    for (const auto id : at->second) e.fixed64(47, id);  // flow_ids
  if (const auto at = arrive_.find(index); at != arrive_.end())
    for (const auto id : at->second) e.fixed64(48, id);  // terminating_flow_ids
  event(i.begin, e);
}

void writer::put_end(std::uint32_t track, std::int64_t at) {
  message e;
  e.varint(9, slice_end);
  e.varint(11, first_track + track);
  event(at, e);
}

// Items are sorted, and slices nest: so the ends come between the beginnings, from the innermost.
void writer::put_items() {
  std::vector<std::vector<std::int64_t>> open(t_->tracks.size());
  for (std::uint32_t k = 0; k < t_->items.size(); ++k) {
    const auto& i = t_->items[k];
    auto& ends = open[i.on];
    for (; !ends.empty() && ends.back() <= i.begin && ends.back() < i.end; ends.pop_back())
      put_end(i.on, ends.back());
    put_begin(k);
    if (i.begin != i.end) ends.push_back(i.end);
  }
  for (std::uint32_t track = 0; track < open.size(); ++track)
    for (auto& ends = open[track]; !ends.empty(); ends.pop_back()) put_end(track, ends.back());
}

void writer::write() {
  for (std::size_t i = 0; i < t_->flows.size(); ++i) {
    leave_[t_->flows[i].from].push_back(i + 1);
    arrive_[t_->flows[i].to].push_back(i + 1);
  }
  put_interned();
  put_tracks();
  put_items();
}

}  // namespace

void write_perfetto(file_writer& to, const timeline& t) { writer(to, t).write(); }

}  // namespace tool
