// SPDX-License-Identifier: MIT
#include "kept_tasks.h"

#include <heddle/core/record/eventual.h>

#include <cstring>
#include <vector>

namespace tool {
namespace {

namespace word = heddle::detail::word;
using seeing::number_in;

constexpr std::uint64_t place_tag = 1;
constexpr std::uint64_t retrieved_flag = 1;

/// "chat.cpp:58", from the place or the extra block of a record.
std::string made_at(const seeing::program& of, address bits) {
  auto& mem = of.mem();
  std::uint64_t place = bits & ~place_tag;
  if ((bits & place_tag) == 0 && !of.load(mem, bits, of.at().extra_made, place)) return "-";
  struct {
    address file;
    address function;
    std::uint32_t line;
    std::uint32_t column;
  } p{};
  char file[256];
  if (place == 0 || place % 8 != 0 || !mem.get(place, p) || p.line == 0) return "-";
  if (!mem.text(p.file, file, sizeof file)) return "?:" + std::to_string(p.line);
  const char* slash = std::strrchr(file, '/');
  return std::string(slash ? slash + 1 : file) + ":" + std::to_string(p.line);
}

void look_at(const seeing::program& of, const unsigned char* record,
             std::map<std::string, kept_at>& to) {
  const auto& at = of.at();
  const auto field = [&](seeing::place p) { return number_in(record + p.at, p.size); };
  const auto state = field(at.word);
  if (field(at.refs) == 0 || field(at.runtime) == 0 || !word::done(state) ||
      field(at.kind) != static_cast<std::uint64_t>(heddle::detail::kind::task))
    return;
  auto& k = to[made_at(of, field(at.extra))];
  ++k.count;
  if (word::result(state) == heddle::detail::outcome::error &&
      (field(at.flags) & retrieved_flag) == 0)
    ++k.unasked;
}

}  // namespace

std::map<std::string, kept_at> kept_tasks(target& of) {
  std::map<std::string, kept_at> found;
  const auto& program = of.see().what();
  const auto& at = program.at();
  std::vector<unsigned char> chunk(at.chunk.size);
  address here = 0;
  if (!program.mem().get(program.record_chunks(), here)) return found;
  // The numbers of the chunks fall, so their list has no circle.
  for (std::uint64_t below = ~std::uint64_t{0}; here != 0;) {
    if (here % 8 != 0 || !program.mem().read(here, chunk.data(), chunk.size())) return found;
    const auto number = number_in(chunk.data() + at.chunk_number.at, at.chunk_number.size);
    if (number >= below) return found;
    below = number;
    for (std::size_t i = at.chunk_records.at; i + at.record.size <= chunk.size();
         i += at.record.size)
      look_at(program, chunk.data() + i, found);
    here = number_in(chunk.data() + at.chunk_next.at, at.chunk_next.size);
  }
  return found;
}

}  // namespace tool
