// SPDX-License-Identifier: MIT
// Internal to the tool `heddle`: a timeline as a file, in three forms.
#pragma once

#include "timeline.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace tool {

/// Bytes on their way to a file. After a failure the rest is dropped.
class file_writer {
 public:
  explicit file_writer(const std::string& path) : to_(path, std::ios::binary | std::ios::trunc) {}

  void put(std::string_view bytes) {
    written_ += bytes.size();
    to_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  void put(char c) { put(std::string_view(&c, 1)); }
  void number(std::int64_t n) { put(std::to_string(n)); }
  /// As a string of JSON with its quotes, which may stand in a script of HTML too.
  void json(std::string_view text);
  /// False: something could not be written.
  [[nodiscard]] bool close() {
    to_.close();
    return to_.good();
  }
  [[nodiscard]] std::uint64_t written() const { return written_; }

 private:
  std::ofstream to_;
  std::uint64_t written_ = 0;
};

/// Perfetto's protobuf, for ui.perfetto.dev and its trace processor: track events by the public
/// schema (protos/perfetto/trace/track_event/*.proto).
void write_perfetto(file_writer& to, const timeline& t);
/// The Trace Event Format of Chrome, for chrome://tracing, Perfetto, speedscope and others.
void write_chrome(file_writer& to, const timeline& t);
/// One page of HTML with its own viewer, which needs no network.
void write_page(file_writer& to, const timeline& t);

/// "step", "parked": the category of an item.
[[nodiscard]] const char* category(timeline::what kind);
/// "chat.cpp:58", or empty.
[[nodiscard]] std::string made_at(const timeline::task& t);

}  // namespace tool
