// SPDX-License-Identifier: MIT
#include <heddle/io/http/files.h>
#include <heddle/io/http/message/writer.h>

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace {

using namespace heddle::http;
namespace fs = std::filesystem;

/// at_once: what the kernel has in memory is answered without blocking, the rest as automatic.
enum class way { automatic, at_once, walk };

/// A tree with a root, and beside it a secret that must never be seen. All ways of resolving are
/// tried.
class HttpFiles : public testing::TestWithParam<way> {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "heddle_files_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    top_ = name;
    fs::create_directories(top_ / "root/sub/deep");
    fs::create_directories(top_ / "root/bare");
    write("secret.txt", "secret");
    write("root/a.txt", "0123456789");
    write("root/empty", "");
    write("root/sub/index.html", "<p>index");
    write("root/sub/deep/x.json", "{}");
    write("root/sp ace.css", "css");
    root_.emplace((top_ / "root").string(), resolver());
  }
  void TearDown() override { fs::remove_all(top_); }

  static file_root::resolver resolver() {
    return GetParam() == way::walk ? file_root::resolver::walk : file_root::resolver::automatic;
  }
  file_answer answer(const request& r, std::string_view path) {
    if (GetParam() == way::at_once)
      if (auto now = root_->answer_at_once(r, path)) return std::move(*now);
    return root_->answer(r, path);
  }
  void write(const std::string& name, std::string_view text) { std::ofstream(top_ / name) << text; }

  file_answer ask(std::string_view path, std::string_view field = {}, std::string_view value = {}) {
    request r;
    if (!field.empty()) r.headers.add(field, value);
    return answer(r, path);
  }
  static std::string read_all(file_answer& a) {
    std::string text;
    char piece[3];  // small, so that reading takes several calls
    while (const auto n = a.read(piece)) text.append(piece, n);
    return text;
  }
  std::string body(std::string_view path) {
    auto a = ask(path);
    return a.head.status == 200 ? read_all(a) : std::to_string(a.head.status);
  }

  fs::path top_;
  std::optional<file_root> root_;
};

INSTANTIATE_TEST_SUITE_P(Resolver, HttpFiles,
                         testing::Values(way::automatic, way::at_once, way::walk),
                         [](const auto& i) {
                           return i.param == way::walk      ? "walk"
                                  : i.param == way::at_once ? "at_once"
                                                            : "automatic";
                         });

TEST_P(HttpFiles, ReadsFilesBelowTheRoot) {
  EXPECT_EQ(body("/a.txt"), "0123456789");
  EXPECT_EQ(body("a.txt"), "0123456789");
  EXPECT_EQ(body("//sub//deep/x.json"), "{}");
  EXPECT_EQ(body("/sp ace.css"), "css");
  EXPECT_EQ(body("/empty"), "");
  EXPECT_EQ(body("/./a.txt"), "0123456789");
}

TEST_P(HttpFiles, ReadsAtOnceAllOrNothing) {
  auto a = ask("/a.txt");
  ASSERT_TRUE(a.file);
  std::string text(10, ' ');
  if (a.read_at_once(text)) {  // not every file system can say what is in memory
    EXPECT_EQ(text, "0123456789");
  }
  a.length = 11;  // as if it had become shorter since
  text.resize(11);
  EXPECT_FALSE(a.read_at_once(text));
  text.resize(3);
  EXPECT_FALSE(a.read_at_once(text)) << "a part is not all";
}

TEST_P(HttpFiles, AnswersADirectoryWithItsIndexOrNotAtAll) {
  EXPECT_EQ(body("/sub"), "<p>index");
  EXPECT_EQ(body("/sub/"), "<p>index");
  EXPECT_EQ(body("/bare"), "404");
  EXPECT_EQ(body("/"), "404");
  EXPECT_EQ(body(""), "404");
}

TEST_P(HttpFiles, AnswersNotFoundForWhatIsNotThere) {
  EXPECT_EQ(body("/nothing"), "404");
  EXPECT_EQ(body("/a.txt/"), "404");
  EXPECT_EQ(body("/a.txt/b"), "404");
  EXPECT_EQ(body("/" + std::string(5000, 'a')), "404");
}

TEST_P(HttpFiles, HasNoWayOutByDots) {
  for (const auto* path :
       {"/../secret.txt", "..", "../secret.txt", "/sub/../../secret.txt",
        "/sub/deep/../../../secret.txt", "//../secret.txt", "/./../secret.txt", "../root/a.txt"}) {
    EXPECT_EQ(body(path), "404") << path;
  }
}

TEST_P(HttpFiles, HasNoWayOutByLinks) {
  fs::create_symlink("../secret.txt", top_ / "root/relative");
  fs::create_symlink(top_ / "secret.txt", top_ / "root/absolute");
  fs::create_directory_symlink("..", top_ / "root/up");
  fs::create_symlink("/proc/self/root", top_ / "root/magic");
  for (const auto* path :
       {"/relative", "/absolute", "/up/secret.txt", "/sub/../relative", "/magic/etc/passwd"}) {
    EXPECT_EQ(body(path), "404") << path;
  }
}

TEST_P(HttpFiles, HasNoWayOutByNul) {
  EXPECT_EQ(body(std::string_view("/a.txt\0/../../secret.txt", 24)), "404");
}

TEST_P(HttpFiles, OpensOnlyRegularFilesAndDoesNotHangOnAPipe) {
  ASSERT_EQ(::mkfifo((top_ / "root/pipe").c_str(), 0600), 0);
  EXPECT_EQ(body("/pipe"), "404");
}

TEST_P(HttpFiles, FollowsLinksThatStayInsideOnlyWhereTheKernelGuardsThem) {
  fs::create_symlink("a.txt", top_ / "root/inside");
  EXPECT_EQ(body("/inside"), GetParam() != way::walk ? "0123456789" : "404");
}

TEST_P(HttpFiles, NamesTypeStateAndRanges) {
  const auto a = ask("/sub/deep/x.json");
  EXPECT_EQ(a.head.content_type.text(), "application/json");
  EXPECT_EQ(a.length, 2u);
  EXPECT_TRUE(a.head.headers.contains("etag"));
  EXPECT_TRUE(parse_http_date(*a.head.headers.get("last-modified")));
  EXPECT_EQ(a.head.headers.get("accept-ranges"), "bytes");
}

TEST_P(HttpFiles, AllowsOnlyGetAndHead) {
  request r;
  r.method = method::post;
  const auto a = answer(r, "/a.txt");
  EXPECT_EQ(a.head.status, 405);
  EXPECT_EQ(a.head.headers.get("allow"), "GET, HEAD");
  r.method = method::head;
  EXPECT_EQ(answer(r, "/a.txt").head.status, 200);
  r.headers.add("Range", "bytes=0-1");
  EXPECT_EQ(answer(r, "/a.txt").head.status, 200) << "ranges are for GET alone";
}

TEST_P(HttpFiles, SendsRanges) {
  const auto part = [&](std::string_view range) {
    auto a = ask("/a.txt", "Range", range);
    const auto where = a.head.headers.get("content-range");
    std::string s = std::to_string(a.head.status) + (where ? " " + std::string(*where) : "");
    return s + " " + read_all(a);
  };
  EXPECT_EQ(part("bytes=0-3"), "206 bytes 0-3/10 0123");
  EXPECT_EQ(part("bytes=8-"), "206 bytes 8-9/10 89");
  EXPECT_EQ(part("bytes=-3"), "206 bytes 7-9/10 789");
  EXPECT_EQ(part("bytes=5-500"), "206 bytes 5-9/10 56789");
  EXPECT_EQ(part("bytes=-500"), "206 bytes 0-9/10 0123456789");
  EXPECT_EQ(part("bytes=10-"), "416 bytes */10 ");
  EXPECT_EQ(part("bytes=-0"), "416 bytes */10 ");
  EXPECT_EQ(part("bytes=0-1,4-5"), "200 0123456789") << "several at once: the whole";
  EXPECT_EQ(part("lines=1-2"), "200 0123456789");
  EXPECT_EQ(part("bytes=3-2"), "200 0123456789");
}

TEST_P(HttpFiles, AnswersNotModifiedToWhoHasIt) {
  const auto first = ask("/a.txt");
  const std::string etag(*first.head.headers.get("etag"));
  const std::string date(*first.head.headers.get("last-modified"));
  EXPECT_EQ(ask("/a.txt", "If-None-Match", etag).head.status, 304);
  EXPECT_EQ(ask("/a.txt", "If-None-Match", "\"x\", W/" + etag).head.status, 304);
  EXPECT_EQ(ask("/a.txt", "If-None-Match", "*").head.status, 304);
  EXPECT_EQ(ask("/a.txt", "If-None-Match", "\"x\"").head.status, 200);
  EXPECT_EQ(ask("/a.txt", "If-Modified-Since", date).head.status, 304);
  EXPECT_EQ(ask("/a.txt", "If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT").head.status, 200);
  EXPECT_EQ(ask("/a.txt", "If-Modified-Since", "rubbish").head.status, 200);
  EXPECT_FALSE(ask("/a.txt", "If-None-Match", etag).file);
}

TEST_P(HttpFiles, RefusesWhatWasMeantForAnotherState) {
  const std::string etag(*ask("/a.txt").head.headers.get("etag"));
  EXPECT_EQ(ask("/a.txt", "If-Match", "\"x\"").head.status, 412);
  EXPECT_EQ(ask("/a.txt", "If-Match", "W/" + etag).head.status, 412);
  EXPECT_EQ(ask("/a.txt", "If-Match", etag).head.status, 200);
  EXPECT_EQ(ask("/a.txt", "If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT").head.status, 412);
}

TEST_P(HttpFiles, SendsARangeOnlyOfTheStateItWasMeantFor) {
  const auto first = ask("/a.txt");
  const auto status = [&](std::string_view condition) {
    request r;
    r.headers.add("Range", "bytes=0-1");
    r.headers.add("If-Range", condition);
    return answer(r, "/a.txt").head.status;
  };
  EXPECT_EQ(status(*first.head.headers.get("etag")), 206);
  EXPECT_EQ(status(*first.head.headers.get("last-modified")), 206);
  EXPECT_EQ(status("\"x\""), 200);
  EXPECT_EQ(status("W/" + std::string(*first.head.headers.get("etag"))), 200);
  EXPECT_EQ(status("Sun, 06 Nov 1994 08:49:37 GMT"), 200);
}

TEST_P(HttpFiles, GivesAnotherEtagToAnotherContent) {
  const std::string before(*ask("/a.txt").head.headers.get("etag"));
  write("root/a.txt", "other content");
  EXPECT_NE(*ask("/a.txt").head.headers.get("etag"), before);
}

TEST_P(HttpFiles, FailsRatherThanSendLessThanPromised) {
  auto a = ask("/a.txt");
  fs::resize_file(top_ / "root/a.txt", 4);
  EXPECT_THROW(read_all(a), std::system_error);
}

TEST(FileRoot, SaysThatTheDirectoryIsMissing) {
  try {
    file_root root("/nonexistent/heddle");
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_NE(std::string(e.what()).find("/nonexistent/heddle"), std::string::npos);
  }
}

TEST(ByteRange, IsReadAtItsLimits) {
  using enum byte_range::verdict;
  EXPECT_EQ(parse_range("bytes=0-0", 1).length, 1u);
  EXPECT_EQ(parse_range("Bytes = 0-", 5).length, 5u);
  EXPECT_EQ(parse_range("bytes=0-", 0).is, unsatisfiable);
  EXPECT_EQ(parse_range("bytes=-5", 0).is, unsatisfiable);
  EXPECT_EQ(parse_range("bytes=99999999999999999999999-", 5).is, unsatisfiable);
  EXPECT_EQ(parse_range("bytes=1-99999999999999999999999", 5).length, 4u);
  EXPECT_EQ(parse_range("bytes=-99999999999999999999999", 5).length, 5u);
  for (const auto* field : {"", "bytes", "bytes=", "bytes=-", "bytes=a-", "bytes=1", "bytes=--1",
                            "bytes=1-b", "bytes=+1-2"}) {
    EXPECT_EQ(parse_range(field, 5).is, whole) << field;
  }
}

TEST(MediaType, GoesByTheExtension) {
  EXPECT_EQ(media_type_of("a/b/page.HTML").text(), "text/html; charset=utf-8");
  EXPECT_EQ(media_type_of("x.tar.gz").text(), "application/gzip");
  EXPECT_EQ(media_type_of("Makefile").text(), "application/octet-stream");
  EXPECT_EQ(media_type_of("x.unknown").text(), "application/octet-stream");
}

/// As long as it lives, no further descriptor can be opened.
class no_more_descriptors {
 public:
  no_more_descriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit now = before_;
    now.rlim_cur = 3;  // descriptors that are open stay open
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  ~no_more_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_P(HttpFiles, Are503AndNotAbsentWhenTheProcessIsOutOfDescriptors) {
  int status = 0;
  std::string later;
  {
    const no_more_descriptors held;
    const auto a = ask("/a.txt");
    status = a.head.status;
    later = a.head.headers.get("retry-after").value_or("");
  }
  EXPECT_EQ(status, 503);
  EXPECT_EQ(later, "1");
  EXPECT_EQ(body("/a.txt"), "0123456789");
}

TEST_P(HttpFiles, RedirectADirectoryToItsSlash) {
  const auto where = [&](std::string_view target, std::string_view path) {
    request r;
    r.target = target;
    const auto a = answer(r, path);
    return std::to_string(a.head.status) + " " +
           std::string(a.head.headers.get("location").value_or(""));
  };
  EXPECT_EQ(where("/files/sub", "sub"), "301 /files/sub/");
  EXPECT_EQ(where("/files/sub?x=1&y", "sub"), "301 /files/sub/?x=1&y");
  EXPECT_EQ(where("/files/su%62", "sub"), "301 /files/su%62/");
  EXPECT_EQ(where("http://h/files/sub", "sub"), "301 /files/sub/");
  EXPECT_EQ(where("//sub", "sub"), "301 /sub/");
  EXPECT_EQ(where("/\\sub", "sub"), "301 /sub/");
  EXPECT_EQ(where("/files", ""), "301 /files/");
  EXPECT_EQ(where("/files/sub/", "sub/"), "200 ");
  EXPECT_EQ(where("/files/a.txt", "a.txt"), "200 ");
}

}  // namespace
