// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/layout.h>

using heddle::detail::seeing::field_row;
using heddle::detail::seeing::kind_row;
using heddle::detail::seeing::layout_head;
using heddle::detail::seeing::root_row;

#pragma GCC visibility push(hidden)
extern "C" {
// The names of the linker for the two ends of each table. Weak: a program that makes no task has no
// rows, as the tool.
[[gnu::weak]] extern const field_row __start_heddle_fields[];
[[gnu::weak]] extern const field_row __stop_heddle_fields[];
[[gnu::weak]] extern const root_row __start_heddle_roots[];
[[gnu::weak]] extern const root_row __stop_heddle_roots[];
[[gnu::weak]] extern const kind_row __start_heddle_kinds[];
[[gnu::weak]] extern const kind_row __stop_heddle_kinds[];

// In .data, not in .rodata: a core has that.
extern layout_head heddle_layout;
[[gnu::used]] constinit layout_head heddle_layout{.fields = __start_heddle_fields,
                                                  .fields_end = __stop_heddle_fields,
                                                  .roots = __start_heddle_roots,
                                                  .roots_end = __stop_heddle_roots,
                                                  .kinds = __start_heddle_kinds,
                                                  .kinds_end = __stop_heddle_kinds};
}
#pragma GCC visibility pop

// The note: owner "heddle", type 1. Its contents are the distance from there to the layout. So it
// needs no relocation, and holds wherever the program is loaded. It stands in a loaded segment, as
// the build id does, and `strip` leaves it.
asm(R"(
  .pushsection .note.heddle, "a", %note
  .balign 4
  .long 7
  .long 8
  .long 1
  .asciz "heddle"
  .balign 4
1:
  .quad heddle_layout - 1b
  .popsection
)");

// The tables are constants, and a core has no constants: the kernel leaves out what a file has. So
// each table gets an empty piece that may be written. The linker then puts the whole table beside
// the variables, and a core can be read without the program's file.
asm(R"(
  .pushsection heddle_fields, "aw", %progbits
  .popsection
  .pushsection heddle_roots, "aw", %progbits
  .popsection
  .pushsection heddle_kinds, "aw", %progbits
  .popsection
)");

namespace heddle::detail::seeing {
const layout_head& own_layout() noexcept { return heddle_layout; }
}  // namespace heddle::detail::seeing
