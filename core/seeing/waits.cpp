// SPDX-License-Identifier: MIT
#include <heddle/core/seeing/waits.h>

#include <cstring>

namespace heddle::detail::seeing {
namespace {

constexpr int most_bases = 8;
constexpr std::uint64_t no_bound = std::uint64_t{1} << 62;

/// The last part of a mangled name: "N3app7waitingE" -> "waiting".
void plain_name(const char* type, char* to, std::size_t room) noexcept {
  short_writer out(to, room);
  const char* last = type;
  std::size_t length = std::strlen(type);
  for (const char* at = type; *at != 0;) {
    if (*at < '1' || *at > '9') {
      if (*at == 'I') break;  // arguments of a template
      ++at;
      continue;
    }
    std::size_t n = 0;
    while (*at >= '0' && *at <= '9') n = n * 10 + static_cast<std::size_t>(*at++ - '0');
    if (n > std::strlen(at)) break;
    last = at;
    length = n;
    at += n;
  }
  out.put({last, length});
}

}  // namespace

bool fits(const char* pattern, const char* type) noexcept {
  const char* star = nullptr;
  const char* again = nullptr;
  while (*type != 0) {
    if (*pattern == '*') {
      star = ++pattern;
      again = type;
    } else if (*pattern == *type) {
      ++pattern;
      ++type;
    } else if (star) {
      pattern = star;
      type = ++again;
    } else {
      return false;
    }
  }
  while (*pattern == '*') ++pattern;
  return *pattern == 0;
}

const kind_row* wait_reader::row_for(const char* type) const noexcept {
  for (std::size_t i = 0; i < program_->kind_count(); ++i)
    if (program_->kinds()[i].type.chars[0] != 0 && fits(program_->kinds()[i].type.chars, type))
      return &program_->kinds()[i];
  return nullptr;
}

// The table of virtual functions has two words in front: how far the object's beginning is, and the
// type_info. That has the name as its second word, and behind it the base, or flags, a count and
// the bases.
const wait_reader::known* wait_reader::look_up(memory& from, address table) noexcept {
  auto& k = known_[(table / 16) % slots];
  if (k.table == table) return k.kind || k.plain[0] != 0 ? &k : nullptr;
  struct {
    std::int64_t to_top;
    address type;
  } front{};
  if (table % 8 != 0 || !from.get(table - sizeof front, front)) return nullptr;
  if (front.to_top > 0 || front.to_top < -65536) return nullptr;
  k = {};
  k.table = table;
  k.to_top = front.to_top;
  address type = front.type;
  for (int i = 0; i < most_bases && type != 0; ++i) {
    struct {
      address marks;
      address name;
    } info{};
    char name[256];
    if (type % 8 != 0 || !from.get(type, info)) break;
    const bool has_bases =
        info.marks != 0 && (info.marks == program_->one_base() || info.marks == program_->bases());
    const kind_row* row = nullptr;
    if (from.text(info.name, name, sizeof name)) {
      const char* text = name[0] == '*' ? name + 1 : name;
      if (i == 0) plain_name(text, k.plain, sizeof k.plain);
      row = row_for(text);
    } else if (!has_bases) {
      break;
    } else {
      // A core without its program's file has no constants, and so no names of classes.
      const char* called = program_->name_of_type(type);
      for (std::size_t n = 0; called && n < program_->kind_count() && !row; ++n)
        if (std::strcmp(program_->kinds()[n].name.chars, called) == 0) row = &program_->kinds()[n];
      if (i == 0 || (called && !row))
        short_writer(k.plain, sizeof k.plain).put(called ? called : "a wait without a name");
    }
    if (row) {
      if (!k.kind) k.kind = row;
      if (!k.target && row->target != kind_row::none) k.target = row;
      if (!k.members && row->members.kind != member_list::none) k.members = row;
    }
    address base = 0;
    if (info.marks == program_->one_base())
      (void)from.get(type + 16, base);
    else if (info.marks == program_->bases())
      (void)from.get(type + 24, base);  // the first one, which stands at the beginning
    type = base;
  }
  return k.kind || k.plain[0] != 0 ? &k : nullptr;
}

bool wait_reader::describe(memory& from, address at, task_view& to) noexcept {
  address table = 0;
  if (at % 8 != 0 || !from.get(at, table)) return false;
  const known* k = look_up(from, table);
  if (!k) return false;
  const address top = at + static_cast<address>(k->to_top);
  short_writer out(to.waits_in);
  if (k->kind)
    write(from, top, *k->kind, out);
  else
    out.put(k->plain);
  to.target = 0;
  if (k->kind) find_object(from, top, *k->kind, to);
  if (k->target) (void)from.get(top + k->target->target, to.target);
  return true;
}

void wait_reader::each_member(memory& from, address at, void (*see)(void*, address),
                              void* context) noexcept {
  constexpr std::uint64_t most = 100000;
  address table = 0;
  if (at % 8 != 0 || !from.get(at, table)) return;
  const known* k = look_up(from, table);
  if (!k || !k->members) return;
  const auto& m = k->members->members;
  address object = at + static_cast<address>(k->to_top);
  if (m.object != figure::here && !from.get(object + m.object, object)) return;
  object += m.at;
  address first = 0, member = 0;
  std::uint64_t n = 1;
  if (m.kind == member_list::array) {
    if (!from.get(object, first) || !from.get(object - m.at + m.count, n)) return;
    for (std::uint64_t i = 0; i < n && i < most; ++i)
      if (from.get(first + i * m.node_bytes + m.node_member, member)) see(context, member);
  } else if (m.kind == member_list::ring) {
    // Behind the link to the one before stands the link to the one after.
    if (!from.get(object + 8, first)) return;
    for (std::uint64_t i = 0; first != object && i < most; ++i) {
      if (from.get(first + m.node_member, member)) see(context, member);
      if (first % 8 != 0 || !from.get(first + 8, first)) return;
    }
  } else {  // one pointer, or a vector of them
    address end = object + 8;
    first = object;
    if (m.kind == member_list::vector && (!from.get(object, first) || !from.get(object + 8, end)))
      return;
    for (std::uint64_t i = 0; first + i * 8 < end && i < most; ++i)
      if (from.get(first + i * 8, member)) see(context, member);
  }
}

bool wait_reader::value(memory& from, address top, const figure& f,
                        std::uint64_t& to) const noexcept {
  address object = top;
  if (f.object != figure::here && !from.get(top + f.object, object)) return false;
  return f.size <= 8 && program_->load(from, object, {f.at, f.size}, to);
}

bool wait_reader::is_in_a_wait(memory& from, address at) noexcept {
  for (std::size_t i = 0; i < program_->kind_count(); ++i) {
    const auto distance = program_->kinds()[i].object.at;
    address table = 0;
    if (distance == 0 || distance > at || !from.get(at - distance, table)) continue;
    // Only what is a table of virtual functions of such a class; a wild pointer is none.
    const known* k = table != 0 && table % 8 == 0 ? look_up(from, table) : nullptr;
    if (k && k->kind && k->kind->object.at == distance) return true;
  }
  return false;
}

bool wait_reader::time_left(memory& from, address node, std::uint64_t& left) const noexcept {
  const auto& at = program_->at();
  std::uint64_t timers = 0, place = 0, heap = 0, deadline = 0, there = 0;
  if (now_ == 0 || !program_->load(from, node, at.node_timers, timers) ||
      !program_->load(from, node, at.node_place, place) || place > 0xfffffffe ||
      !program_->load(from, timers, {at.heap.at, 8}, heap) ||
      !program_->load(from, heap + place * at.entry.size, at.entry_node, there) || there != node ||
      !program_->load(from, heap + place * at.entry.size, at.entry_deadline, deadline))
    return false;
  constexpr auto for_ever = static_cast<std::uint64_t>(INT64_MAX);
  left = deadline >= for_ever ? for_ever : deadline > now_ ? deadline - now_ : 0;
  return true;
}

void wait_reader::put_deadline(memory& from, address node, short_writer& to) noexcept {
  std::uint64_t left = 0;
  if (!time_left(from, node, left)) return;
  if (left == static_cast<std::uint64_t>(INT64_MAX)) return to.put(" for ever");
  to.put(", ");
  put_time(to, left);
  to.put(" left");
}

// The primitive, and of a lock the task that holds it (core/record/owner.h).
void wait_reader::find_object(memory& from, address top, const kind_row& row,
                              task_view& to) noexcept {
  to.ended_by_tasks = row.ended_by == kind_row::tasks;
  to.one_is_enough = row.one_is_enough != 0;
  if (row.object.at == 0 || !from.get(top + row.object.at, to.object)) return;
  to.object_bytes = row.object.bytes;
  std::uint64_t word = 0;
  if (row.owner.size != 8 || !from.get(to.object + row.owner.at, word)) return;
  to.is_locked = (word & 1) == 0;
  if (!to.is_locked) return;
  to.owner = word & 0x0000ffffffffffe0;
  to.owner_generation = static_cast<std::uint32_t>(word >> 48);  // its low half
}

void wait_reader::write(memory& from, address top, const kind_row& row, short_writer& to) noexcept {
  char label[32] = "";
  address text = 0;
  if (row.label != kind_row::none && from.get(top + row.label, text) &&
      from.text(text, label, sizeof label))
    to.put(label);
  else
    to.put(row.name.chars);
  bool told = true;  // false: in braces whose figure is 0
  for (const char* c = row.text.chars; *c != 0; ++c) {
    if (*c == '{' || *c == '}') {
      told = true;
      if (*c == '{') {
        const char* mark = std::strchr(c, '%');
        std::uint64_t v = 0;
        if (mark && mark[1] >= '0' && mark[1] <= '2' &&
            (!value(from, top, row.figures[mark[1] - '0'], v) || v == 0 || v >= no_bound))
          told = false;
      }
      continue;
    }
    if (*c != '%' || c[1] < '0' || c[1] > '2') {
      if (told) to.put(*c);
      continue;
    }
    const auto& f = row.figures[*++c - '0'];
    if (c[1] == 'T') {
      ++c;
      put_deadline(from, (f.object == figure::here ? top : 0) + f.at, to);
      continue;
    }
    std::uint64_t v = 0;
    const bool read = value(from, top, f, v);
    if (c[1] == 'h') ++c, v /= 2;
    if (c[1] == '[') {
      const char* word = c + 2;
      while (v != 0 && *word != 0 && *word != ']') v -= *word++ == '|' ? 1 : 0;
      while (told && read && *word != 0 && *word != '|' && *word != ']') to.put(*word++);
      const char* end = std::strchr(c, ']');
      if (!end) return;
      c = end;
    } else if (told) {
      if (read)
        to.number(v);
      else
        to.put('?');
    }
  }
}

}  // namespace heddle::detail::seeing
