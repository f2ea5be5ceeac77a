// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/running.h>

#include <elf.h>
#include <link.h>

#include <cstring>

namespace heddle::detail::seeing {
namespace {

constexpr std::size_t most_stack = 64 * 1024;  // bytes above the stack pointer that are looked at
constexpr std::size_t piece = 4096;
constexpr std::size_t most_candidates = 64;
constexpr std::uint64_t strand_tag = 1;

/// Calls `see(word)` for what stands on the thread's stack, from its top, until it returns true.
template <class F>
void each_on_stack(memory& from, const native_stack& t, F see) noexcept {
  address words[piece / 8];
  address at = (t.stack + 7) & ~address{7};
  for (const address end = at + most_stack; at < end;) {
    const std::size_t bytes =
        piece - at % piece;  // up to the end of the page: there may be no next
    if (!from.read(at, words, bytes)) return;
    for (std::size_t i = 0; i < bytes / 8; ++i)
      if (see(words[i])) return;
    at += bytes;
  }
}

struct candidate {
  address frame;
  address resume;
  address owner;
};

/// The frames of the task that the thread knows of.
class candidates {
 public:
  candidates(const program& of, address record) noexcept : program_(&of), record_(record) {}

  void look_at(address word) noexcept {
    const auto& at = program_->at();
    address resume = 0;
    std::uint64_t owner = 0;
    if (word == 0 || word % 8 != 0 || count_ == most_candidates || has(word) ||
        !program_->mem().get(word, resume) || !program_->code().is_code(resume) ||
        !program_->load(program_->mem(), word + at.frame_promise.at, at.promise_record, owner) ||
        (owner & ~strand_tag) != record_)
      return;
    all_[count_++] = {word, resume, owner};
  }
  /// The only one whose resume function begins at `start`; nullptr: none or several.
  [[nodiscard]] const candidate* only(address start) const noexcept {
    const candidate* found = nullptr;
    for (std::size_t i = 0; i < count_; ++i) {
      if (all_[i].resume != start) continue;
      if (found) return nullptr;
      found = &all_[i];
    }
    return found;
  }
  [[nodiscard]] bool any(address start) const noexcept {
    for (std::size_t i = 0; i < count_; ++i)
      if (all_[i].resume == start) return true;
    return false;
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  [[nodiscard]] bool has(address frame) const noexcept {
    for (std::size_t i = 0; i < count_; ++i)
      if (all_[i].frame == frame) return true;
    return false;
  }

  const program* program_;
  address record_;
  std::size_t count_ = 0;
  candidate all_[most_candidates];
};

/// What the program headers of the module say that the code belongs to.
struct unwind_table {
  address begin = 0;  // of .eh_frame_hdr
  std::uint32_t count = 0;
};

bool find_table(const program& of, address head, unwind_table& to) noexcept {
  ElfW(Ehdr) elf;
  if (!of.mem().get(head, elf) || std::memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0) return false;
  address load = 0, table = 0;
  bool loaded = false;
  for (unsigned i = 0; i < elf.e_phnum && i < 64; ++i) {
    ElfW(Phdr) h;
    if (!of.mem().get(head + elf.e_phoff + i * sizeof h, h)) return false;
    if (h.p_type == PT_LOAD && !loaded) {
      load = head - (h.p_vaddr - h.p_offset);
      loaded = true;
    }
    if (h.p_type == PT_GNU_EH_FRAME) table = h.p_vaddr;
  }
  if (!loaded || table == 0) return false;
  struct {
    unsigned char version, frame_encoding, count_encoding, table_encoding;
    std::int32_t frame;
    std::uint32_t count;
  } start{};
  constexpr unsigned char four_bytes = 0x03, relative_to_table = 0x3b, relative = 0x1b;
  if (!of.mem().get(load + table, start) || start.version != 1 ||
      start.frame_encoding != relative || start.count_encoding != four_bytes ||
      start.table_encoding != relative_to_table || start.count > (1u << 24))
    return false;
  to = {load + table, start.count};
  return true;
}

}  // namespace

// The table is sorted: pairs of a function's beginning and its entry, relative to the table.
address function_start(const program& of, address at) noexcept {
  if (!of.code().is_code(at)) return 0;
  address head = 0;
  for (std::size_t i = 0; i < of.code().head_count(); ++i)
    if (of.code().heads()[i] <= at && of.code().heads()[i] > head) head = of.code().heads()[i];
  unwind_table t;
  if (head == 0 || !find_table(of, head, t)) return 0;
  constexpr std::size_t before = 12;
  std::uint32_t low = 0, high = t.count;
  address found = 0;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    std::int32_t begin = 0;
    if (!of.mem().get(t.begin + before + std::uint64_t{middle} * 8, begin)) return 0;
    const address start = t.begin + static_cast<address>(static_cast<std::int64_t>(begin));
    if (start <= at) {
      found = start;
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return found;
}

address running_frame(const program& of, const native_stack& thread, address record,
                      address& owner) noexcept {
  candidates all(of, record);
  for (std::size_t i = 0; i < thread.register_count; ++i) all.look_at(thread.registers[i]);
  each_on_stack(of.mem(), thread, [&](address word) {
    all.look_at(word);
    return false;
  });
  if (all.size() == 0) return 0;
  // The innermost function of the thread that is a resume function: the one that is executed, or
  // the first that a return address leads to, which stands behind the call.
  address in = function_start(of, thread.code);
  if (!all.any(in)) {
    in = 0;
    each_on_stack(of.mem(), thread, [&](address word) {
      if (!of.code().is_code(word - 1)) return false;
      const address start = function_start(of, word - 1);
      if (!all.any(start)) return false;
      in = start;
      return true;
    });
  }
  const candidate* live = in != 0 ? all.only(in) : nullptr;
  if (!live) return 0;
  owner = live->owner;
  return live->frame;
}

}  // namespace heddle::detail::seeing
