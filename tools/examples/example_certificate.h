// SPDX-License-Identifier: MIT
// A certificate for "localhost" and 127.0.0.1, and its key, so that the examples need no files. Its
// key is public: it protects nothing. Made by
//   openssl req -x509 -newkey ed25519 -nodes -days 36500 -subj /CN=localhost
//     -addext subjectAltName=DNS:localhost,IP:127.0.0.1
#pragma once

inline constexpr char example_certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBWzCCAQ2gAwIBAgIUEsxHOqkRHmhJpOZNFUyb+X1B5r8wBQYDK2VwMBQxEjAQ\n"
    "BgNVBAMMCWxvY2FsaG9zdDAgFw0yNjExMjkwOTU0MTFaGA8yMTI2MTEwNTA5NTQx\n"
    "MVowFDESMBAGA1UEAwwJbG9jYWxob3N0MCowBQYDK2VwAyEAASkXN9gVvGRj1fXD\n"
    "eEd6W2Owtj5lRF4lwuZ4Ta+pwqqjbzBtMB0GA1UdDgQWBBQQrF4wkjdRoPU4fMaX\n"
    "jpnRhaok6TAfBgNVHSMEGDAWgBQQrF4wkjdRoPU4fMaXjpnRhaok6TAPBgNVHRMB\n"
    "Af8EBTADAQH/MBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAFBgMrZXADQQDz\n"
    "Djv6mhojHeDFzO9h7u0UM2oC26ssf6ema1eC9N3AOjhFSWTl5CT55d57Bqbn+ipJ\n"
    "oVd2FULroKDu3x34Ki0I\n"
    "-----END CERTIFICATE-----\n";

inline constexpr char example_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIAGTWICwD3SYOfwFPH1Bxnp6Al3EoRIlJKf3TP/od15h\n"
    "-----END PRIVATE KEY-----\n";
