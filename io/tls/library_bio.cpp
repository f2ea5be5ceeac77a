// SPDX-License-Identifier: MIT
#include <heddle/io/tls/library_bio.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace heddle::detail {
namespace {

bio_memory& memory_of(BIO* b) { return *static_cast<bio_memory*>(BIO_get_data(b)); }

int read_some(BIO* b, char* to, std::size_t most, std::size_t* got) noexcept {
  auto& m = memory_of(b);
  BIO_clear_retry_flags(b);
  *got = std::min(most, m.in.size());
  if (*got == 0) {
    BIO_set_retry_read(b);  // not the end: the stream knows that, and OpenSSL does not
    return 0;
  }
  std::memcpy(to, m.in.data(), *got);
  m.in.remove_prefix(*got);
  return 1;
}

int write_all(BIO* b, const char* from, std::size_t size, std::size_t* put) noexcept {
  auto& m = memory_of(b);
  BIO_clear_retry_flags(b);
  *put = 0;
  if (!m.out) return 0;
  try {
    m.out->append(from, size);
  } catch (const std::bad_alloc&) {
    m.out_of_memory = true;
    return 0;
  }
  *put = size;
  return 1;
}

// 0 for what it does not know. A 1 for BIO_CTRL_SET_KTLS would make OpenSSL send plain text, as if
// the kernel sealed it.
long control(BIO*, int command, long, void*) noexcept { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int created(BIO* b) noexcept {
  BIO_set_init(b, 1);
  return 1;
}

/// Made once a process, and never freed.
BIO_METHOD* method() {
  static BIO_METHOD* const one = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "heddle stream");
    if (!m) throw std::bad_alloc();
    BIO_meth_set_read_ex(m, &read_some);
    BIO_meth_set_write_ex(m, &write_all);
    BIO_meth_set_ctrl(m, &control);
    BIO_meth_set_create(m, &created);
    return m;
  }();
  return one;
}

}  // namespace

BIO* make_library_bio(bio_memory& memory) {
  BIO* b = BIO_new(method());
  if (!b) throw std::bad_alloc();
  BIO_set_data(b, &memory);
  return b;
}

}  // namespace heddle::detail
