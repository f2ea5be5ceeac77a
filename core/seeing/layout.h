// SPDX-License-Identifier: MIT
// Internal to core.
// Where the members of the library's structs stand, and where its roots are: what a reader has to
// know to see the tasks of a program from outside.
//
// Problem   A reader must find the records of a program that is stripped, and that may be of
//           another version than the reader.
// Rejected  Symbols: `strip` removes them. Debug information: most programs have none, and clang
//           writes none for the frames of optimised coroutines.
// Chosen    A note in the program's first pages (layout.cpp) says where the head of the layout
//           stands. The head leads to three tables, which the linker puts together from rows in
//           many sources. A reader looks rows up by name, and takes offsets from nowhere else.
// Cost      Some 8 KiB of constants in a program, and no instruction.
//
// To add a member that a reader needs: a row beside its class, and a line in offsets.cpp.
#pragma once

#include <heddle/core/base/config.h>

#include <cstddef>
#include <cstdint>

namespace heddle::detail::seeing {

/// No constant expression calls it, so its name is in the compiler's message.
void this_text_is_too_long_for_its_row();

/// A text of at most N - 1 characters, in place: rows have no pointers that a reader must follow.
template <std::size_t N>
struct short_text {
  char chars[N]{};
  consteval short_text(const char* text) {  // NOLINT: from a literal
    std::size_t n = 0;
    for (; text[n] != 0; ++n) chars[n] = text[n];
    if (n >= N) this_text_is_too_long_for_its_row();
  }
};

/// A member: "class.member", its offset and its size. A row without a dot tells the size of the
/// class.
//
// The size of each kind of row is a multiple of 32, so that the linker leaves no gaps between rows
// of different sources.
struct field_row {
  short_text<24> name;
  std::uint32_t offset;
  std::uint32_t size;
};
static_assert(sizeof(field_row) == 32);

/// An object that leads to others: "record_chunks". A row "=mutex" leads to the type_info of a wait
/// that people call so. It is needed only for a core without the program's file, in which the
/// names of classes are missing.
struct root_row {
  short_text<24> name;
  const void* at;
};
static_assert(sizeof(root_row) == 32);

/// A number that a wait is told with: `size` bytes at `at` in the object that the pointer at
/// `object` of the wait leads to. `object` is `here` if the number stands in the wait itself.
struct figure {
  static constexpr std::uint16_t here = 0xffff;
  std::uint16_t object;
  std::uint16_t at;
  std::uint16_t size;
};

/// Where a wait has the eventuals that it waits for, if these are several, or stand behind another.
struct member_list {
  enum how : std::uint16_t {
    none,
    one,     // a pointer to an eventual
    array,   // a pointer to `count` nodes
    vector,  // a std::vector of pointers to eventuals
    ring,    // the head of a ring of nodes: two pointers, before and after
  };
  std::uint16_t kind = none;
  std::uint16_t object = figure::here;  // a pointer in the wait to the object that has them
  std::uint16_t at = 0;                 // in that object
  std::uint16_t count = 0;              // in that object: 8 bytes
  std::uint16_t node_bytes = 0;
  std::uint16_t node_member = 0;  // in a node, or behind its link of the ring: the pointer
};

/// A kind of wait: the class that stands in the frame, and how people call it.
//
// `type` is the class's mangled name, as RTTI has it; a star in it stands for anything. Of several
// rows that fit the first counts, in the order of the table, which within one source is that of the
// rows. A class that no row fits is called by its base.
struct kind_row {
  static constexpr std::uint16_t none = 0xffff;
  short_text<64> type;
  short_text<28> name;
  // What is told behind the name: "%0 of %1" puts figures in. %0h: half of it. %0t: a point in
  // time. %0[a|b]: the word that the number chooses. A part in braces is told only if its first
  // figure is not 0.
  short_text<44> text = "";
  std::uint16_t target = none;  // a pointer to the eventual that is awaited
  std::uint16_t label = none;   // a pointer to a C string, which is the name instead
  figure figures[3]{};
  member_list members{};
  // What a row of an older program has not told is 0.
  struct primitive {
    std::uint16_t at = 0;     // in the wait: a pointer to what is waited in; 0: not told
    std::uint16_t bytes = 0;  // the size of that
  } object{};
  struct lock_word {
    std::uint16_t at = 0;    // in `object`: which task holds it (core/record/owner.h); bit 0: none
    std::uint16_t size = 0;  // 0: it is no lock
  } owner{};
  // What can end the wait.
  static constexpr std::uint16_t tasks = 1;  // tasks and threads alone: no timer and no descriptor
  std::uint16_t ended_by = 0;
  // Of `members` one that ends is enough.
  std::uint16_t one_is_enough = 0;
  std::uint16_t unused[5]{};
};
static_assert(sizeof(kind_row) == 192);

/// The head of all. A reader of one major version understands every minor version of it.
struct layout_head {
  static constexpr std::uint32_t major_version = 1;
  static constexpr std::uint32_t minor_version = 0;

  short_text<16> magic = "heddle layout";
  std::uint32_t major = major_version;
  std::uint32_t minor = minor_version;
  std::uint32_t field_bytes = sizeof(field_row);
  std::uint32_t root_bytes = sizeof(root_row);
  std::uint32_t kind_bytes = sizeof(kind_row);
  std::uint32_t unused = 0;
  const field_row* fields;
  const field_row* fields_end;
  const root_row* roots;
  const root_row* roots_end;
  const kind_row* kinds;
  const kind_row* kinds_end;
};
static_assert(sizeof(layout_head) == 88);

/// The head of this program's layout.
[[nodiscard]] const layout_head& own_layout() noexcept;

}  // namespace heddle::detail::seeing
