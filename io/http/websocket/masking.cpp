// SPDX-License-Identifier: MIT
#include <heddle/io/http/websocket/masking.h>

#include <heddle/core/base/config.h>

#include <openssl/rand.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace heddle::http::detail {
namespace {

struct key_batch {
  std::array<unsigned char, 1024> bytes;
  std::size_t used = sizeof bytes;
};

/// Never inlined: a coroutine that calls it may resume on another thread.
HEDDLE_NOINLINE key_batch& keys() {
  thread_local key_batch batch;
  return batch;
}

}  // namespace

HEDDLE_NOINLINE mask_key fresh_mask() {
  auto& batch = keys();
  if (batch.used == sizeof batch.bytes) {
    if (::RAND_bytes(batch.bytes.data(), sizeof batch.bytes) != 1)
      throw std::runtime_error("the system gives no random numbers for a WebSocket's masks");
    batch.used = 0;
  }
  mask_key key;
  std::memcpy(key.data(), batch.bytes.data() + batch.used, key.size());
  batch.used += key.size();
  return key;
}

void apply_mask(char* bytes, std::size_t n, const mask_key& key, std::size_t at) noexcept {
  std::array<unsigned char, 8> turned;
  for (std::size_t i = 0; i < turned.size(); ++i) turned[i] = key[(at + i) % key.size()];
  std::uint64_t pattern = 0;
  std::memcpy(&pattern, turned.data(), sizeof pattern);
  std::size_t i = 0;
  for (; n - i >= sizeof pattern; i += sizeof pattern) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + i, sizeof word);
    word ^= pattern;
    std::memcpy(bytes + i, &word, sizeof word);
  }
  for (; i < n; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    bytes[i] = static_cast<char>(byte ^ turned[i % turned.size()]);
  }
}

}  // namespace heddle::http::detail
