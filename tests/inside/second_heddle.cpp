// SPDX-License-Identifier: MIT
// A heddle of another version, as a module may have it: records of another size, with members in
// another order. One task lives in it.
#include <heddle/core/seeing/layout.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace {

using heddle::detail::seeing::field_row;
using heddle::detail::seeing::root_row;

struct extra {
  const void* made = nullptr;
  const void* strands = nullptr;
  std::string message;
  std::string name;
};
struct record {
  extra* more = nullptr;
  std::uint64_t resume = 0;
  const void* wait = nullptr;
  const void* home = nullptr;
  const void* next = nullptr;
  std::uint64_t joiners = 0;
  std::uint64_t word = std::uint64_t{7} << 32;  // active, in its seventh life
  std::uint32_t refs = 1;
  std::uint16_t runtime = 1;
  std::uint8_t kind = 0;
  std::uint8_t flags = 0;
  const void* strand[3] = {};
  std::uint64_t spare[4] = {};
};
struct chunk {
  chunk* next = nullptr;
  std::uint64_t number = 0;
  record records[3];
};

extra of_the_task{.message = {}, .name = "in the module"};
// Two of the records are free.
chunk only{.records = {{.refs = 0}, {.more = &of_the_task}, {.refs = 0}}};
chunk* newest = &only;

constexpr std::uint32_t pointer = sizeof(void*);
HEDDLE_ROW("heddle_fields")
constexpr field_row fields[] = {
    {"eventual.word", offsetof(record, word), 8},
    {"eventual.joiners", offsetof(record, joiners), 8},
    {"eventual.refs", offsetof(record, refs), 4},
    {"eventual.runtime", offsetof(record, runtime), 2},
    {"eventual.kind", offsetof(record, kind), 1},
    {"eventual.flags", offsetof(record, flags), 1},
    {"eventual.next", offsetof(record, next), pointer},
    {"record", 0, sizeof(record)},
    {"record.resume", offsetof(record, resume), 8},
    {"record.wait", offsetof(record, wait), pointer},
    {"record.home_word", offsetof(record, home), pointer},
    {"record.extra", offsetof(record, more), 8},
    {"record.strand_root", offsetof(record, strand), pointer},
    {"record.strand_next", offsetof(record, strand) + 2 * pointer, pointer},
    {"extra.name", offsetof(extra, name), sizeof(std::string)},
    {"extra.message", offsetof(extra, message), sizeof(std::string)},
    {"extra.made", offsetof(extra, made), pointer},
    {"extra.strands", offsetof(extra, strands), pointer},
    {"record_chunk", 0, sizeof(chunk)},
    {"record_chunk.next", offsetof(chunk, next), pointer},
    {"record_chunk.number", offsetof(chunk, number), 8},
    {"record_chunk.records", offsetof(chunk, records), sizeof(record)},
    {"frame.promise", 2 * pointer, 24},
    {"promise.continuation", 0, pointer},
    {"promise.record", pointer, 8},
    {"promise.call_or_end", 2 * pointer, pointer},
};
HEDDLE_ROW("heddle_roots") constexpr root_row root{"record_chunks", &newest};

}  // namespace
