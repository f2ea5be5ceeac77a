// SPDX-License-Identifier: MIT
// CLU-CON-07: real servers that want a password, an nkey, or TLS.
#include "cluster_cases.h"

#include <heddle/io/tls.h>

#include <support/certificates.h>

#include <fstream>

namespace {

using namespace conformance;

CLUSTER_CASES(CLU_LOGIN);

cl::options options_for(const nats_server& server) {
  auto o = fresh_cluster();
  o.servers = {{"127.0.0.1", server.port()}};
  return o;
}

/// What a client says that is refused; "" if it is not.
h::task<std::string> refusal(cl::options o) {
  cl::client c(o);
  try {
    co_await c.connect();
  } catch (const cl::unavailable& e) { co_return e.what(); }
  co_return std::string();
}

TEST_P(CLU_LOGIN, CLU_CON_07_APasswordIsAskedForAndTold) {
  nats_server server({"--user", "me", "--pass", "geheim"});
  auto o = options_for(server);
  o.user = "me";
  o.password = "geheim";
  served(o, [](cl::client) -> h::task<> {
    const auto value = co_await h::to_cluster(jobs::twice, 4);
    EQUAL(value, 8);
  });
  run([&]() -> h::task<> {
    o.password = "verkehrt";
    const auto text = co_await refusal(o);
    HOLDS(text.find("Authorization Violation") != std::string::npos);
    HOLDS(text.find("verkehrt") == std::string::npos);
  });
}

TEST_P(CLU_LOGIN, CLU_CON_07_AnNkeySignsIn) {
  const auto file = fresh_file();
  std::ofstream(file) << "authorization { users = [ { nkey: "
                         "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK } ] }\n";
  nats_server server({"-c", file});
  auto o = options_for(server);
  o.credentials = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y";
  served(o, [](cl::client) -> h::task<> {
    const auto value = co_await h::to_cluster(jobs::twice, 4);
    EQUAL(value, 8);
  });
}

TEST_P(CLU_LOGIN, CLU_CON_07_TlsIsUsedAndTheServerChecked) {
  const auto certificate = fresh_file();
  const auto key = fresh_file();
  std::ofstream(certificate) << support::localhost().certificate;
  std::ofstream(key) << support::localhost().key;
  nats_server server({"--tls", "--tlscert", certificate, "--tlskey", key});
  auto o = options_for(server);
  h::tls_options trust;
  trust.ca = support::localhost_ca();
  o.tls = h::tls_context::client(trust);
  served(o, [](cl::client) -> h::task<> {
    const auto value = co_await h::to_cluster(jobs::twice, 4);
    EQUAL(value, 8);
  });
  run([&]() -> h::task<> {
    h::tls_options other;
    other.ca = support::self_signed({}).certificate;
    o.tls = h::tls_context::client(other);
    const auto text = co_await refusal(o);
    HOLDS(text.find("TLS") != std::string::npos);
  });
}

}  // namespace
