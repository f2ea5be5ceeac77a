// SPDX-License-Identifier: MIT
// Certificates for tests, made when they are asked for: authorities, servers, clients.
//
//   support::authority ca("CN=Test CA");
//   const support::identity server = ca.issue({.names = {"localhost"}});
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace support {

/// A certificate and its key, as PEM text.
struct identity {
  std::string certificate;  // the chain, its own first
  std::string key;
};

/// What a certificate is to say.
struct wish {
  std::string common_name = "test";
  std::vector<std::string> names = {};      // of hosts
  std::vector<std::string> addresses = {};  // numeric
  int begins_in = -3600;                    // seconds from now
  int ends_in = 3600;
  const char* purpose = nullptr;  // extendedKeyUsage: "serverAuth", "clientAuth"
  bool is_authority = false;
};

/// An authority of its own. Its keys, and all that it issues, are of Ed25519.
class authority {
 public:
  explicit authority(const std::string& common_name = "Test CA");
  authority(authority&&) noexcept;
  ~authority();

  /// Its certificate as PEM text: what peers trust.
  [[nodiscard]] const std::string& certificate() const;
  [[nodiscard]] identity issue(const wish& w) const;
  /// An authority below this one. What that issues has its chain in `certificate`.
  [[nodiscard]] authority below(const std::string& common_name) const;

 private:
  struct inside;
  explicit authority(std::unique_ptr<inside> in);
  std::unique_ptr<inside> in_;
};

/// A certificate that signed itself.
identity self_signed(const wish& w);
/// Of "localhost", 127.0.0.1 and ::1, by an authority that the whole program shares.
const identity& localhost();
/// The certificate of the authority of localhost().
const std::string& localhost_ca();
/// The key as PEM text that only the passphrase opens.
std::string encrypted(const std::string& key, const std::string& passphrase);
/// The same certificate, its chain and its key as the bytes of a PKCS 12.
std::string pkcs12(const identity& of, const std::string& passphrase);
/// Writes `text` to a fresh file in the directory for temporary files, and returns its path.
std::string temporary_file(const std::string& text);

}  // namespace support
