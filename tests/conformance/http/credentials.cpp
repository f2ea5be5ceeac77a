// SPDX-License-Identifier: MIT
#include "pieces.h"

#include <heddle/io/http/auth.h>
#include <heddle/io/http/content/digest_answer.h>

#include <array>

namespace {

using namespace conformance;
using field_list = std::vector<std::string_view>;

class HTTP_CREDENTIALS : public cases {};
HEDDLE_AT_LOOPS(HTTP_CREDENTIALS);

constexpr std::string_view origin = "http://h:80";

TEST_P(HTTP_CREDENTIALS, HTTP_CLI_AUT_01_BasicIsBase64OfUtf8) {
  EQUAL(http::basic("user", "p\xc3\xa4:ss").value(), "Basic dXNlcjpww6Q6c3M=");
  EQUAL(http::basic("", "").value(), "Basic Og==");
  EQUAL(http::basic("a", "bc").value(), "Basic YTpiYw==");
  THROWS(h::bad_value, http::basic("us:er", "x"));
  THROWS(h::bad_value, http::basic("user", "x\n"));
}

TEST_P(HTTP_CREDENTIALS, HTTP_CLI_AUT_03_ABearerIsAskedForItsTokenEachTime) {
  EQUAL(http::bearer("t").value(), "Bearer t");
  int asked = 0;
  const http::bearer by([&asked] { return "t" + std::to_string(++asked); });
  EQUAL(by.value(), "Bearer t1");
  EQUAL(by.value(), "Bearer t2");
  THROWS(h::bad_value, http::bearer("a b").value());
  THROWS(h::bad_value, http::bearer("a\r\nX: y").value());
  THROWS(h::bad_value, http::bearer("").value());
}

/// The questions and answers of RFC 7616, 3.9.1.
TEST_P(HTTP_CREDENTIALS, HTTP_CLI_AUT_05_DigestAnswersAsTheStandardShows) {
  const auto answered = [](std::string_view algorithm) {
    const std::string field =
        "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=" +
        std::string(algorithm) +
        ", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
        "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    const field_list fields{field};
    const auto q = http::detail::read_question(http::parse_challenges(fields).at(0));
    return http::detail::answer_digest(q.value(), {"Mufasa", "Circle of Life"},
                                       {"GET", "/dir/index.html", ""},
                                       "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", 1);
  };
  const auto md5 = answered("MD5");
  HOLDS(has(md5, "response=\"8ca523f5e9506fed4657c9700eebdbec\""));
  HOLDS(has(md5, "username=\"Mufasa\"") && has(md5, "uri=\"/dir/index.html\"") &&
        has(md5, "qop=auth, nc=00000001, cnonce=\"f2/") && has(md5, "algorithm=MD5") &&
        has(md5, "opaque=\"FQhe/"));
  HOLDS(
      has(answered("SHA-256"), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"));
  HOLDS(has(answered("MD5-sess"), "algorithm=MD5-sess"));
  HOLDS(answered("MD5-sess") != md5);
}

/// The answer of RFC 2617, 3.5; and one without qop, as RFC 2069 has it.
TEST_P(HTTP_CREDENTIALS, HTTP_CLI_AUT_05_DigestWithoutQopIsAnsweredTheOldWay) {
  const field_list old{
      "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\""};
  const auto q = http::detail::read_question(http::parse_challenges(old).at(0));
  const auto text = http::detail::answer_digest(q.value(), {"Mufasa", "CircleOfLife"},
                                                {"GET", "/dir/index.html", ""}, "c", 1);
  HOLDS(has(text, "response=\"1949323746fe6a43ef61f9606e7febea\""));
  HOLDS(!has(text, "nc=") && !has(text, "cnonce") && !has(text, "algorithm"));
}

TEST_P(HTTP_CREDENTIALS, HTTP_CLI_AUT_06_LaterRequestsCountOnAndANewNonceBeginsAgain) {
  const http::digest d("user", "password");
  const auto ask = [&](std::string_view target = "/x?a=%2F") {
    return d.authorize(origin, http::method::get, target).value_or("");
  };
  EQUAL(ask(), "");
  const field_list first{"Digest realm=\"r\", nonce=\"one\", qop=\"auth\""};
  HOLDS(d.challenged(origin, first));
  HOLDS(has(ask(), "nc=00000001") && has(ask(), "nc=00000002"));
  HOLDS(has(ask(), "uri=\"/x?a=%2F\""));
  EQUAL(d.authorize("http://other:80", http::method::get, "/").has_value(), false);
  const field_list stale{"Digest realm=\"r\", nonce=\"two\", qop=\"auth\", stale=true"};
  HOLDS(d.challenged(origin, stale));
  const auto next = ask();
  HOLDS(has(next, "nonce=\"two\"") && has(next, "nc=00000001"));
  const field_list spaced{
      "Digest realm=\"r\", nonce=\"three\", domain=\"/in http://h:80/also/ http://evil/\""};
  HOLDS(d.challenged(origin, spaced));
  HOLDS(!ask("/in").empty() && !ask("/in/x").empty() && !ask("/also/y").empty());
  HOLDS(ask("/inside").empty() && ask("/").empty());
}

TEST_P(HTTP_CREDENTIALS, HTTP_CLI_AUT_08_DigestIsFoundAmongOtherChallengesAndQuotedRight) {
  const field_list fields{
      "Negotiate, Basic realm=\"a, b\", Digest realm=\"q\\\"x\\\\y\" , nonce=\"n\", "
      "qop=\"auth,auth-int\"",
      "NTLM TlRMTVNTUAAB==, Digest realm=unquoted,nonce=n2"};
  const auto found = http::parse_challenges(fields);
  EQUAL(found.size(), 5u);
  EQUAL(*found.at(1).find("realm"), "a, b");
  EQUAL(found.at(3).token, "TlRMTVNTUAAB==");
  EQUAL(*found.at(4).find("nonce"), "n2");
  const http::digest d("us\"er", "p");
  HOLDS(d.challenged(origin, fields));
  const auto text = d.authorize(origin, http::method::post, "/").value();
  HOLDS(has(text, "realm=\"q\\\"x\\\\y\"") && has(text, "username=\"us\\\"er\""));
  HOLDS(has(text, "qop=auth,"));
  const field_list unknown{"Basic realm=x",
                           "Digest realm=r, nonce=n, algorithm=SHA-3",
                           "Digest realm=r, nonce=n, qop=other",
                           "Digest realm=r",
                           "===,,\"",
                           ""};
  HOLDS(!http::digest("u", "p").challenged(origin, unknown));
  // auth-int alone needs the body.
  const field_list whole{"Digest realm=r, nonce=n, qop=\"auth-int\""};
  const http::digest w("u", "p");
  HOLDS(w.challenged(origin, whole));
  HOLDS(!w.authorize(origin, http::method::post, "/"));
  HOLDS(has(w.authorize(origin, http::method::post, "/", "body").value(), "qop=auth-int"));
  const http::digest accents("\xc3\xa4", "p");
  HOLDS(accents.challenged(origin, whole));
  HOLDS(has(accents.authorize(origin, http::method::post, "/", "").value(),
            "username*=UTF-8''%C3%A4"));
}

}  // namespace
