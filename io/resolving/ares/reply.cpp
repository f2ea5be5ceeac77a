// SPDX-License-Identifier: MIT
#include <heddle/io/resolving/ares/reply.h>

#include <heddle/core/checked.h>

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

namespace heddle::detail {
namespace {

constexpr std::size_t header_size = 12;
constexpr std::uint16_t type_soa = 6;

/// Reads a message from front to back. After a read beyond its end all reads yield 0.
class message_reader {
 public:
  explicit message_reader(std::span<const unsigned char> m) noexcept : rest_(m) {}
  [[nodiscard]] bool good() const noexcept { return good_; }

  void skip(std::size_t n) noexcept {
    good_ = good_ && n <= rest_.size();
    rest_ = good_ ? rest_.subspan(n) : std::span<const unsigned char>();
  }
  std::uint32_t number(std::size_t bytes) noexcept {
    if (bytes > rest_.size()) good_ = false;
    if (!good_) return 0;
    std::uint32_t n = 0;
    for (std::size_t i = 0; i < bytes; ++i) n = n << 8 | rest_[i];
    skip(bytes);
    return n;
  }
  std::uint16_t short_number() noexcept { return narrow<std::uint16_t>(number(2)); }
  /// A name ends with an empty label, or with two bytes that point to the rest of the name.
  void skip_name() noexcept {
    while (good_) {
      const std::uint32_t length = number(1);
      if (length >= 0xc0) return skip(1);
      if (length == 0) return;
      skip(length);
    }
  }

 private:
  std::span<const unsigned char> rest_;
  bool good_ = true;
};

/// RFC 2181: a time with the highest bit set is none.
std::uint32_t time_of(std::uint32_t ttl) noexcept { return ttl >> 31 != 0 ? 0 : ttl; }

address address_of(const ares_addrttl& a) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr = a.ipaddr;
  return {reinterpret_cast<const sockaddr*>(&in), sizeof in};
}
address address_of(const ares_addr6ttl& a) {
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  std::memcpy(&in.sin6_addr, &a.ip6addr, sizeof in.sin6_addr);
  return {reinterpret_cast<const sockaddr*>(&in), sizeof in};
}

/// `parse` is ares_parse_a_reply or ares_parse_aaaa_reply.
template <class Record, class Parse>
void read_addresses(std::span<const unsigned char> message, Parse parse, family_reply& to) {
  message_reader reader(message);
  reader.skip(6);
  // A record has at least 12 bytes, whatever the header says of their number.
  const std::size_t most = std::min<std::size_t>(reader.short_number(), message.size() / 12);
  std::vector<Record> records(most + 1);
  int count = narrow<int>(records.size());
  hostent* host = nullptr;
  to.status = parse(message.data(), narrow<int>(message.size()), &host, records.data(), &count);
  const std::unique_ptr<hostent, void (*)(hostent*)> owner(host, ::ares_free_hostent);
  if (to.status != ARES_SUCCESS) return;
  if (host && host->h_name) to.canonical = host->h_name;
  for (int i = 0; i < count; ++i) {
    const Record& r = records[static_cast<std::size_t>(i)];
    to.addresses.push_back(address_of(r));
    const std::uint32_t ttl = r.ttl < 0 ? 0 : static_cast<std::uint32_t>(r.ttl);
    to.holds = to.holds ? std::min(*to.holds, ttl) : ttl;
  }
  if (to.addresses.empty()) to.status = ARES_ENODATA;
}

}  // namespace

std::optional<std::uint32_t> negative_time(std::span<const unsigned char> message) {
  message_reader reader(message);
  reader.skip(4);
  const std::uint16_t questions = reader.short_number();
  const std::uint16_t answers = reader.short_number();
  const std::uint16_t authorities = reader.short_number();
  reader.skip(2);
  for (unsigned i = 0; i < questions && reader.good(); ++i) {
    reader.skip_name();
    reader.skip(4);
  }
  for (unsigned i = 0; i < unsigned{answers} + authorities && reader.good(); ++i) {
    reader.skip_name();
    const std::uint16_t type = reader.short_number();
    reader.skip(2);
    const std::uint32_t ttl = time_of(reader.number(4));
    const std::uint16_t length = reader.short_number();
    if (i < answers || type != type_soa) {
      reader.skip(length);
      continue;
    }
    reader.skip_name();
    reader.skip_name();
    reader.skip(16);
    const std::uint32_t minimum = time_of(reader.number(4));
    if (reader.good()) return std::min(ttl, minimum);
  }
  return std::nullopt;
}

family_reply read_reply(int status, int family, std::span<const unsigned char> message) {
  family_reply r;
  r.status = status;
  if (status == ARES_SUCCESS && message.size() < header_size) r.status = ARES_EBADRESP;
  if (r.status == ARES_SUCCESS && family == AF_INET)
    read_addresses<ares_addrttl>(message, ::ares_parse_a_reply, r);
  else if (r.status == ARES_SUCCESS)
    read_addresses<ares_addr6ttl>(message, ::ares_parse_aaaa_reply, r);
  if (r.status == ARES_ENODATA || r.status == ARES_ENOTFOUND) r.holds = negative_time(message);
  return r;
}

}  // namespace heddle::detail
