// SPDX-License-Identifier: MIT
// A reader of Perfetto's protobuf that knows nothing of the writer: the fields of the public schema
// (protos/perfetto/trace), and what its trace processor asks for. What breaks a rule is a fault.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace conformance {

struct perfetto_track {
  std::string name;
  std::uint64_t parent = 0;
  std::uint64_t thread = 0;
  bool is_process = false;
};

struct perfetto_slice {
  std::uint64_t track = 0;
  std::string name;
  std::string category;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool is_instant = false;
  std::map<std::string, std::string> notes;
  std::vector<std::uint64_t> leave, arrive;  // flows
};

struct perfetto_flow {
  const perfetto_slice* from = nullptr;
  const perfetto_slice* to = nullptr;
};

struct perfetto_trace {
  std::map<std::uint64_t, perfetto_track> tracks;
  std::vector<perfetto_slice> slices;
  std::vector<perfetto_flow> flows;
  std::vector<std::string> faults;

  [[nodiscard]] std::string track_of(const perfetto_slice& s) const {
    const auto at = tracks.find(s.track);
    return at == tracks.end() ? std::string() : at->second.name;
  }
};

/// Reads a whole trace. Never throws: what is wrong stands in `faults`.
perfetto_trace read_perfetto(std::string_view bytes);

}  // namespace conformance
