// SPDX-License-Identifier: MIT
#include "work.h"

#include <heddle/core/errors.h>
#include <heddle/sched/sleep.h>

#include <algorithm>
#include <array>
#include <complex>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fcntl.h>
#include <unistd.h>

namespace cluster_render {
namespace {

namespace h = heddle;

constexpr unsigned depth = 255;  // iterations: a pixel is a byte

std::string run_log;

/// One write behind the others: a line is whole or not there, whoever is killed meanwhile.
void note_run(unsigned number) {
  if (run_log.empty()) return;
  const int file = ::open(run_log.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file < 0) return;  // the demonstration is over
  const auto line = std::to_string(number) + "\n";
  [[maybe_unused]] const auto written = ::write(file, line.data(), line.size());
  ::close(file);
}

/// How soon z*z + c leaves the circle of 2: a pixel of the picture.
char pixel(double x, double y) {
  double a = 0, b = 0;
  unsigned n = 0;
  for (; n < depth && a * a + b * b < 4; ++n) {
    const double next = a * a - b * b + x;
    b = 2 * a * b + y;
    a = next;
  }
  return static_cast<char>(n);
}

std::string paint(const tile& t) {
  if (t.tiles == 0 || t.edge % t.tiles != 0 || t.number >= t.tiles * t.tiles)
    throw h::cluster::permanent("there is no such tile");
  const unsigned side = t.edge / t.tiles;
  const unsigned left = t.number % t.tiles * side;
  const unsigned top = t.number / t.tiles * side;
  constexpr double middle_x = -0.7436, middle_y = 0.1318, width = 0.012;
  std::string pixels;
  pixels.reserve(std::size_t{side} * side);
  for (unsigned y = top; y < top + side; ++y)
    for (unsigned x = left; x < left + side; ++x)
      pixels.push_back(pixel(middle_x + (double(x) / t.edge - 0.5) * width,
                             middle_y + (double(y) / t.edge - 0.5) * width));
  return pixels;
}

std::string digest(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be read");
  checksum sum;
  std::array<char, 65536> piece;
  while (in.read(piece.data(), piece.size()) || in.gcount() > 0)
    sum.add({piece.data(), static_cast<std::size_t>(in.gcount())});
  return sum.text();
}

h::task<answer> run_tile(h::cluster::context& c, tile what, unsigned number, std::int64_t ms) {
  note_run(number);
  std::string pixels = paint(what);
  c.progress(0.5);
  co_await h::sleep(std::chrono::milliseconds(ms));
  co_return answer(c.worker(), std::move(pixels));
}

h::task<answer> run_file(h::cluster::context& c, std::string path, unsigned number,
                         std::int64_t ms) {
  note_run(number);
  auto reading = h::to_thread([path] { return digest(path); });
  std::string sum = co_await std::move(reading);
  c.progress(0.5);
  co_await h::sleep(std::chrono::milliseconds(ms));
  co_return answer(c.worker(), std::move(sum));
}

/// Workers die all the time here: a job may lose many of them before it is lost itself.
h::cluster::job_options hard_to_lose() {
  h::cluster::job_options o;
  o.attempts = 1000;
  return o;
}

std::vector<std::string> files_below(const std::string& directory) {
  std::vector<std::string> found;
  std::error_code error;
  std::filesystem::recursive_directory_iterator all(directory, error), end;
  for (; !error && all != end; all.increment(error))
    if (all->is_regular_file(error)) found.push_back(std::filesystem::absolute(*all).string());
  if (error) throw h::bad_value("--files " + directory + ": " + error.message());
  if (found.empty()) throw h::bad_value("--files " + directory + ": there is no file in it");
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

const h::cluster::job<answer(tile, unsigned, std::int64_t)> render_tile{"render_tile",
                                                                        hard_to_lose()};
const h::cluster::job<answer(std::string, unsigned, std::int64_t)> digest_file{"digest_file",
                                                                               hard_to_lose()};

namespace {
const auto how_to_render = h::cluster::implement(render_tile, run_tile);
const auto how_to_digest = h::cluster::implement(digest_file, run_file);
}  // namespace

void log_runs_to(std::string file) { run_log = std::move(file); }

work::work(const settings& s) : edge_(s.edge), tiles_(s.tiles), ms_(s.work.count()) {
  if (!s.files.empty()) files_ = files_below(s.files);
  count_ = files_.empty() ? std::size_t{tiles_} * tiles_ : files_.size();
}

std::string work::name(std::size_t item) const {
  return files_.empty() ? "tile " + std::to_string(item) : files_[item];
}

h::task<h::cluster::handle<answer>> work::submit(std::size_t item) const {
  const auto number = static_cast<unsigned>(item);
  if (files_.empty()) return h::cluster::submit(render_tile, {edge_, tiles_, number}, number, ms_);
  return h::cluster::submit(digest_file, files_[item], number, ms_);
}

h::cluster::handle<answer> work::attach(const std::string& id) const {
  return files_.empty() ? h::cluster::attach(render_tile, id) : h::cluster::attach(digest_file, id);
}

std::string work::bytes_here(std::size_t item) const {
  if (files_.empty()) return paint({edge_, tiles_, static_cast<unsigned>(item)});
  return digest(files_[item]);
}

void checksum::add(std::string_view bytes) noexcept {
  for (const char c : bytes) {
    value_ ^= static_cast<unsigned char>(c);
    value_ *= 0x100000001b3U;
  }
}

std::string checksum::text() const {
  std::array<char, 17> digits;
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(value_));
  return digits.data();
}

}  // namespace cluster_render
