// SPDX-License-Identifier: MIT
#include <heddle/io/tls/ticket_keys.h>

#include <heddle/core/errors.h>

#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace heddle::detail {
namespace {

static_assert(sizeof(ticket_keys::key) == ticket_keys::size);

bool draw(ticket_keys::key& k) noexcept {
  return RAND_bytes(reinterpret_cast<unsigned char*>(&k), sizeof k) == 1;
}

}  // namespace

ticket_keys::ticket_keys(const std::string& given, duration life, clock::time_point now)
    : are_given_(!given.empty()), life_(life), since_(now) {
  if (life <= duration::zero()) throw bad_value("the life of a ticket's key must be positive");
  if (are_given_) {
    if (given.size() != size)
      throw bad_value("ticket_keys must have " + std::to_string(size) + " bytes, and has " +
                      std::to_string(given.size()));
    std::memcpy(&now_, given.data(), size);
  } else if (!draw(now_)) {
    throw bad_value("no random bytes for ticket keys: " + take_library_error());
  }
}

// Draws another key if the life of this one is over. False: there are no random bytes for it.
bool ticket_keys::turn_locked(clock::time_point now) noexcept {
  if (are_given_ || now - since_ < life_) return true;
  key fresh;
  if (!draw(fresh)) return false;
  before_.reset();
  if (now - since_ - life_ < life_) before_ = now_;
  now_ = fresh;
  // The key before is good for one life from the end of its own, and not from this moment.
  since_ = before_ ? since_ + life_ : now;
  return true;
}

std::optional<ticket_keys::key> ticket_keys::sealing(clock::time_point now) noexcept {
  const std::lock_guard hold(lock_);
  if (!turn_locked(now)) return std::nullopt;
  return now_;
}

std::optional<ticket_keys::found> ticket_keys::opening(const unsigned char* name,
                                                       clock::time_point now) noexcept {
  const std::lock_guard hold(lock_);
  if (!turn_locked(now)) return std::nullopt;
  const auto is = [name](const key& k) { return std::equal(k.name, k.name + name_size, name); };
  if (is(now_)) return found{now_, false};
  if (before_ && is(*before_)) return found{*before_, true};
  return std::nullopt;
}

}  // namespace heddle::detail
