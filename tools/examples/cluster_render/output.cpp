// SPDX-License-Identifier: MIT
#include "output.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <system_error>

namespace cluster_render {
namespace {

constexpr std::size_t most_errors = 5;  // that are told one by one

void add_little(std::string& to, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to.push_back(static_cast<char>(value >> (8 * i) & 0xffU));
}

/// Blue, green, red of an iteration count: the page has the same colours.
std::array<char, 3> colour_of(unsigned char n) {
  if (n == 255) return {0, 0, 0};
  const auto wave = [n](double phase) {
    return static_cast<char>(std::lround(127.5 + 127.5 * std::sin(n * 0.11 + phase)));
  };
  return {wave(2.2), wave(1.1), wave(0)};
}

/// A BMP of 24 bits a pixel; lines come from the lowest to the highest.
std::string picture_of(const work& w, const demonstration& run) {
  const std::size_t edge = w.edge(), tiles = w.tiles(), side = edge / tiles;
  const std::size_t padding = (4 - edge * 3 % 4) % 4;
  const std::uint64_t pixels = (edge * 3 + padding) * edge;
  std::string bytes = "BM";
  add_little(bytes, 54 + pixels, 4);
  add_little(bytes, 0, 4);
  add_little(bytes, 54, 4);
  add_little(bytes, 40, 4);
  add_little(bytes, edge, 4);
  add_little(bytes, edge, 4);
  add_little(bytes, 1, 2);
  add_little(bytes, 24, 2);
  add_little(bytes, 0, 24);
  for (std::size_t y = edge; y-- > 0;) {
    for (std::size_t x = 0; x < edge; ++x) {
      const auto& got = run.items()[y / side * tiles + x / side].got;
      const char n = got ? got->second[y % side * side + x % side] : '\xff';
      const auto colour = colour_of(static_cast<unsigned char>(n));
      bytes.append(colour.data(), colour.size());
    }
    bytes.append(padding, '\0');
  }
  return bytes;
}

std::string list_of(const work& w, const demonstration& run) {
  std::string lines;
  for (std::size_t n = 0; n < w.size(); ++n) {
    const auto& got = run.items()[n].got;
    lines += (got ? got->second : "-") + "  " + w.name(n) + "\n";
  }
  return lines;
}

void report_errors(const work& w, const demonstration& run) {
  std::size_t told = 0;
  for (std::size_t n = 0; n < w.size(); ++n) {
    const auto& i = run.items()[n];
    if (i.error.empty()) continue;
    if (++told <= most_errors)
      std::fprintf(stderr, "cluster_render: %s: %s\n", w.name(n).c_str(), i.error.c_str());
  }
  if (told > most_errors)
    std::fprintf(stderr, "cluster_render: and %zu more\n", told - most_errors);
}

}  // namespace

void write_output(const std::string& file, const work& w, const demonstration& run) {
  std::ofstream out(file, std::ios::binary);
  out << (w.is_picture() ? picture_of(w, run) : list_of(w, run));
  out.close();
  if (!out) throw std::system_error(errno, std::generic_category(), "--out " + file);
}

int report(const work& w, const demonstration& run, const crew* processes) {
  const double seconds = run.seconds();
  std::fprintf(stderr, "cluster_render: %zu of %zu jobs ended in %.1f s, %.0f a second\n",
               run.finished().size(), w.size(), seconds,
               seconds > 0 ? static_cast<double>(run.finished().size()) / seconds : 0.0);
  if (processes)
    std::fprintf(stderr,
                 "cluster_render: killed: workers %u times, the server %u times; runs "
                 "beyond the first of a job: %zu\n",
                 processes->deaths_of_workers(), processes->server().deaths, run.run_again());
  report_errors(w, run);
  const auto& v = run.judged();
  if (!v) return 1;
  std::printf(
      "%zu jobs, %zu lost, %zu with two outcomes, %zu other than in one process; "
      "checksum %s\n",
      w.size(), v->missing, v->two, v->different, v->checksum.c_str());
  return v->fine() ? 0 : 1;
}

}  // namespace cluster_render
