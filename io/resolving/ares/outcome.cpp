// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/ares/outcome.h>

#include <heddle/io/descriptors/fd.h>

#include <ares.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

namespace heddle::detail {
namespace {

/// The name has no such address, and a server has said so.
bool is_negative(const family_reply& r) {
  return r.status == ARES_ENOTFOUND || r.status == ARES_ENODATA;
}

/// This machine has a route there. Sends nothing.
bool is_reachable(address to) {
  const fd socket(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  to.set_port(1);
  return socket.valid() && ::connect(socket.get(), to.data(), to.size()) == 0;
}

name_error code_of(int status) {
  switch (status) {
    case ARES_ENOTFOUND: return name_error::no_such_name;
    case ARES_ENODATA: return name_error::no_data;
    case ARES_EBADNAME: return name_error::no_such_name;
    case ARES_ETIMEOUT: return name_error::timed_out;
    case ARES_ENOMEM: throw std::bad_alloc();
    default: return name_error::server_failure;
  }
}

/// An answer holds for as long as its shorter part.
void shorten(std::optional<std::uint32_t>& holds, const family_reply& by) {
  if (by.holds) holds = holds ? std::min(*holds, *by.holds) : *by.holds;
}

void join(const family_reply& a, const family_reply* b, name_answer& answer) {
  const family_reply* first = &a;
  const family_reply* second = b;
  if (b && !a.addresses.empty() && !b->addresses.empty() && !is_reachable(a.addresses.front()) &&
      is_reachable(b->addresses.front()))
    std::swap(first, second);
  std::optional<std::uint32_t> holds;
  for (const family_reply* r : {first, second}) {
    if (!r) continue;
    answer.addresses.insert(answer.addresses.end(), r->addresses.begin(), r->addresses.end());
    if (answer.canonical_name.empty()) answer.canonical_name = r->canonical;
    if (r->addresses.empty() && !is_negative(*r)) holds = 0;  // this family has failed
    shorten(holds, *r);
  }
  answer.holds = std::chrono::seconds(holds.value_or(0));
}

}  // namespace

bool joined_answer(const family_reply& a, const family_reply* b, const std::string& host,
                   name_answer& answer, name_failure& failure) {
  if (!a.addresses.empty() || (b && !b->addresses.empty())) {
    join(a, b, answer);
    return true;
  }
  // A failure that is no answer comes first. That the name exists comes before that it does not.
  const family_reply* told = &a;
  if (b && is_negative(a) && (!is_negative(*b) || b->status == ARES_ENODATA)) told = b;
  failure.code = static_cast<int>(code_of(told->status));
  failure.text = "looking up " + host + " (" + ::ares_strerror(told->status) + ")";
  if (is_negative(*told) && a.holds && (!b || b->holds)) {
    std::optional<std::uint32_t> holds = a.holds;
    if (b) shorten(holds, *b);
    failure.holds = std::chrono::seconds(*holds);
  }
  return false;
}

}  // namespace heddle::detail
