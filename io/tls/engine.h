// SPDX-License-Identifier: MIT
// Internal to io.
// TLS of one connection: a filter between its stream and its transport.
#pragma once

#include <heddle/io/tls/extras.h>
#include <heddle/io/tls/failure.h>
#include <heddle/io/tls/library_bio.h>
#include <heddle/io/tls/state.h>
#include <heddle/io/transport/filter.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

namespace heddle::detail {

/// Problem   OpenSSL is called by whoever reads and by whoever writes, keeps its errors in the
///           thread, and answers while it only reads (key updates, alerts).
/// Chosen    Each call stands alone: the queue of errors is emptied before it, and asked at once
///           after it. Whatever OpenSSL writes goes to `sealed`, whichever call it was.
/// Promised  Bytes of TLS that are sealed are sent whole: a cancelled task leaves no half record.
///           Bytes are sealed only after the handshake.
///
/// TLS in TLS: a proxy is spoken to by TLS, and the server behind it by TLS inside. The engine for
/// the server owns that for the proxy (`below_`), and all its bytes go through that one.
//
//   ready_, passes_, may_end_   atomic: read by any thread
//   facts_                      written before ready_, read after it
//   ends_, context_, inside_    constant
//   below_                      constant once the stream has this filter
//   the rest                    the stream's role `busy` (filter.h)
class tls_engine final : public filter {
 public:
  /// Throws std::bad_alloc. `port` is part of what a client's session is good for.
  tls_engine(const tls_context& context, tls_ends ends, std::uint16_t port, const tls_extras& with);
  ~tls_engine() override;

  // filter
  void begin(std::string& sealed) override;
  [[nodiscard]] bool goes_above(const filter& below) const noexcept override;
  void go_above(std::unique_ptr<filter>& below, std::string_view opened) override;
  std::size_t seal(std::string_view plain, std::string& sealed) override;
  opened open(std::string_view raw, input_buffer& plain, std::string& sealed) override;
  void end(std::string& sealed) override;
  [[nodiscard]] std::exception_ptr cut_off() noexcept override;
  [[nodiscard]] bool seals() const noexcept override {
    return !passes_.load(acquire);  // pairs with the store in pass()
  }
  [[nodiscard]] bool ends_alone() const noexcept override;
  /// From here on our direction may end with any version: nothing of the peer is expected.
  void let_end() noexcept {
    may_end_.store(true, relaxed);
    if (below_) below_->let_end();
  }
  /// It works inside of another: see `below_`.
  [[nodiscard]] bool is_inside() const noexcept { return below_ != nullptr; }
  void pass() noexcept override {
    forget();                      // 35 KiB, which a plain connection has no use for
    passes_.store(true, release);  // pairs with the load in seals()
  }

  /// The handshake is done.
  [[nodiscard]] bool ready() const noexcept {
    return ready_.load(acquire);  // pairs with the store in handshake_done()
  }
  /// The last open() has signed or verified, or thought of keys: a step worth a pause. Read by the
  /// task that runs the handshake.
  [[nodiscard]] bool has_worked() const noexcept { return has_worked_; }
  [[nodiscard]] bool resumed() const noexcept { return facts_.resumed; }
  /// Throws usage_error before the handshake is done.
  [[nodiscard]] tls_info info() const;
  [[nodiscard]] const tls_ends& ends() const noexcept { return ends_; }

 private:
  class call;
  struct facts {
    const char* version = "";
    const char* cipher = "";
    std::string alpn;
    std::string server_name;
    bool resumed = false;
    bool is_1_3 = false;
    x509_ptr own;     // the peer's own certificate
    chain_ptr chain;  // the peer's
  };

  void forget() noexcept;
  void prepare_client(std::uint16_t port, const std::string& protocol);
  opened open_own(std::string_view raw, input_buffer& plain, std::string& sealed);
  opened open_below(std::string_view raw, input_buffer& plain, std::string& sealed);
  std::size_t seal_own(std::string_view plain, std::string& sealed);
  void end_own(std::string& sealed);
  void seal_below(std::string_view own, std::string& sealed);
  void shake_hands();
  void handshake_done();
  [[nodiscard]] bool read_records(input_buffer& plain);
  void answer_for_keys();
  [[noreturn]] void fail();

  const tls_context context_;
  const tls_ends ends_;
  const bool inside_;                  // it may go above another
  std::unique_ptr<tls_engine> below_;  // null: the bytes of this one go to the transport
  input_buffer middle_;                // opened by `below_`, and not by this one
  handshake_notes notes_;
  bio_memory memory_;
  ssl_ptr ssl_;
  std::string began_;  // the first bytes of the peer
  bool gives_ticket_ = false;
  bool ended_ = false;  // our end is sealed
  bool has_worked_ = false;
  facts facts_;
  atomic<bool> ready_{false};
  atomic<bool> passes_{false};
  atomic<bool> may_end_{false};
};

/// The address in `host`, without brackets and zone; "": it is a name.
std::string numeric_address(const std::string& host);

}  // namespace heddle::detail
