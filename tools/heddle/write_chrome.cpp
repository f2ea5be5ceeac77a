// SPDX-License-Identifier: MIT
#include "trace_files.h"

#include <cstdio>
#include <vector>

namespace tool {

namespace {

/// How many bytes of `text` are one letter of UTF-8; 0: its first byte begins none.
std::size_t letter(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t n = byte(0) < 0x80 ? 1 : byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (n == 1) return 1;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  return n;
}

}  // namespace

// A name need not be UTF-8, and JSON has to be.
void file_writer::json(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    const auto n = letter(text);
    const char c = text[0];
    if (n == 0) {
      quoted += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      quoted += escaped;
    } else {
      quoted += text.substr(0, n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  put(quoted += '"');
}

const char* category(timeline::what kind) {
  switch (kind) {
    case timeline::what::step: return "step";
    case timeline::what::strand: return "strand";
    case timeline::what::callback: return "callback";
    case timeline::what::parked: return "parked";
    case timeline::what::job: return "job";
    case timeline::what::span: return "span";
    case timeline::what::gap: return "gap";
    case timeline::what::stall: return "stall";
    default: return "moment";
  }
}

std::string made_at(const timeline::task& t) {
  return t.file.empty() ? std::string() : t.file + ":" + std::to_string(t.line);
}

namespace {

constexpr int first_made_up_thread = 0x40000000;  // the system's numbers end at 2^22

class writer {
 public:
  writer(file_writer& to, const timeline& t) : to_(&to), t_(&t), leaves_(t.items.size()) {}

  void write() {
    for (const auto& f : t_->flows) leaves_[f.from] = true;
    to_->put("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
    put_names();
    for (std::uint32_t i = 0; i < t_->items.size(); ++i) put_item(i);
    for (std::size_t i = 0; i < t_->flows.size(); ++i) put_flow(i);
    to_->put("\n]}\n");
  }

 private:
  void begin(const char* phase, std::uint32_t track) {
    to_->put(first_ ? "" : ",\n");
    first_ = false;
    to_->put("{\"ph\":\"");
    to_->put(phase);
    to_->put("\",\"pid\":");
    to_->number(t_->process);
    to_->put(",\"tid\":");
    to_->number(thread_of(track));
  }
  void end() { to_->put('}'); }
  [[nodiscard]] int thread_of(std::uint32_t track) const {
    const int thread = t_->tracks[track].thread;
    return thread != 0 ? thread : first_made_up_thread + static_cast<int>(track);
  }
  /// Microseconds, exactly.
  void time(const char* key, std::int64_t ns) {
    char text[64];
    std::snprintf(text, sizeof text, ",\"%s\":%lld.%03lld", key, static_cast<long long>(ns / 1000),
                  static_cast<long long>(ns % 1000));
    to_->put(text);
  }
  void field(const char* key, std::string_view text) {
    to_->put(",\"");
    to_->put(key);
    to_->put("\":");
    to_->json(text);
  }
  void put_names() {
    for (std::uint32_t i = 0; i < t_->tracks.size(); ++i) {
      begin("M", i);
      to_->put(",\"name\":\"thread_name\",\"args\":{\"name\":");
      to_->json(t_->tracks[i].name);
      to_->put('}');
      end();
      begin("M", i);
      to_->put(",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":");
      to_->number(i);
      to_->put('}');
      end();
    }
    if (t_->tracks.empty()) return;
    begin("M", 0);
    to_->put(",\"name\":\"process_name\",\"args\":{\"name\":");
    to_->json(t_->command);
    to_->put('}');
    end();
  }
  // A flow binds to a slice (X) and to nothing else. So a moment that one leaves is a slice of a
  // nanosecond.
  void put_item(std::uint32_t index) {
    const auto& i = t_->items[index];
    const bool is_moment = i.begin == i.end && !leaves_[index];
    begin(is_moment ? "i" : "X", i.on);
    field("name", t_->text(i.name));
    field("cat", category(i.kind));
    time("ts", i.begin - t_->begin);
    if (is_moment)
      to_->put(",\"s\":\"t\"");
    else
      time("dur", i.end > i.begin ? i.end - i.begin : 1);
    put_arguments(i);
    end();
  }
  void put_arguments(const timeline::item& i) {
    if (i.task == timeline::none && i.detail == timeline::none) return;
    to_->put(",\"args\":{\"id\":");
    if (i.task == timeline::none) {
      to_->put("null");
    } else {
      const auto& task = t_->tasks[i.task];
      to_->json(task.id);
      if (!task.name.empty()) field("task", task.name);
      if (!task.function.empty()) field("function", task.function);
      if (!task.file.empty()) field("made", made_at(task));
      if (!task.by.empty()) field("by", task.by);
    }
    if (i.detail != timeline::none) field("detail", t_->text(i.detail));
    to_->put('}');
  }
  void put_flow(std::size_t index) {
    const auto& f = t_->flows[index];
    const auto& from = t_->items[f.from];
    const auto& to = t_->items[f.to];
    begin("s", from.on);
    put_flow_end(f, index, from.begin);
    begin("f", to.on);
    to_->put(",\"bp\":\"e\"");
    put_flow_end(f, index, to.begin);
  }
  void put_flow_end(const timeline::flow& f, std::size_t index, std::int64_t at) {
    field("name", f.name);
    field("cat", "flow");
    to_->put(",\"id\":");
    to_->number(static_cast<std::int64_t>(index) + 1);
    time("ts", at - t_->begin);
    end();
  }

  file_writer* to_;
  const timeline* t_;
  std::vector<bool> leaves_;
  bool first_ = true;
};

}  // namespace

void write_chrome(file_writer& to, const timeline& t) { writer(to, t).write(); }

}  // namespace tool
