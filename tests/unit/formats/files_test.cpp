// SPDX-License-Identifier: Apache-2.0
// Values, JSON, globs, shares, files that appear whole or not at all.
#include "tests/unit/formats/scratch.hpp"

#include "formats/glob.hpp"
#include "formats/history.hpp"
#include "formats/json.hpp"
#include "formats/stream/shard.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>

#include <sys/stat.h>
#include <unistd.h>

using namespace stillhouse;
using namespace stillhouse::formats;
using namespace stillhouse::formats::test;

BOOST_AUTO_TEST_SUITE(files)

BOOST_AUTO_TEST_CASE(an_output_bears_its_name_when_it_is_whole)
{
    const Scratch scratch;
    const std::string path = scratch.file("out");
    AtomicFile output(path, Overwrite::refuse);
    output.fd().write_full(reinterpret_cast<const std::byte*>("whole"), 5);
    BOOST_TEST(::access(path.c_str(), F_OK) != 0);
    output.commit();
    BOOST_TEST(content(path) == "whole");
    BOOST_TEST(scratch.files() == 1U);

    const auto refused = error_of([&] { AtomicFile(path, Overwrite::refuse); });
    BOOST_REQUIRE(refused);
    BOOST_TEST((refused->code() == ErrorCode::io));
    BOOST_TEST(std::string(refused->what()) == path + ": exists; give -f to overwrite it");

    BOOST_REQUIRE(::chmod(path.c_str(), 0640) == 0);
    AtomicFile again(path, Overwrite::replace);
    again.fd().write_full(reinterpret_cast<const std::byte*>("new"), 3);
    BOOST_TEST(content(path) == "whole");
    again.commit();
    BOOST_TEST(content(path) == "new");
    struct stat status {};
    BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
    BOOST_TEST((status.st_mode & 07777U) == 0640U);
}

BOOST_AUTO_TEST_CASE(what_a_killed_writer_left_is_removed)
{
    const Scratch scratch;
    const AtomicFile living(scratch.file("out"), Overwrite::refuse);
    for (const char* left : {".out.abcdefgh.part", ".out.2345abcd.part"}) {
        put_content(scratch.file(left), "half");
    }
    for (const char* another : {".out.x.abcdefgh.part", ".out.ABCDEFGH.part", ".out.abc.part", "out.abcdefgh.part"}) {
        put_content(scratch.file(another), "no part of out");
    }
    AtomicFile next(scratch.file("out"), Overwrite::refuse);
    BOOST_TEST(scratch.files() == 2U + 4U);                  // that of the living writer, its own, and the others
    BOOST_TEST(::access(scratch.file(".out.abcdefgh.part").c_str(), F_OK) != 0);
    next.commit();
    BOOST_TEST(::access(scratch.file("out").c_str(), F_OK) == 0);
}

BOOST_AUTO_TEST_CASE(a_file_that_appears_meanwhile_is_not_overwritten)
{
    const Scratch scratch;
    AtomicFile output(scratch.file("out"), Overwrite::refuse);
    put_content(scratch.file("out"), "somebody else's");
    BOOST_TEST((error_of([&] { output.commit(); })->code() == ErrorCode::io));
    BOOST_TEST(content(scratch.file("out")) == "somebody else's");
}

BOOST_AUTO_TEST_CASE(a_link_is_followed)
{
    const Scratch scratch;
    put_content(scratch.file("target"), "old");
    BOOST_REQUIRE(::symlink(scratch.file("target").c_str(), scratch.file("link").c_str()) == 0);
    AtomicFile output(scratch.file("link"), Overwrite::replace);
    output.fd().write_full(reinterpret_cast<const std::byte*>("new"), 3);
    output.commit();
    BOOST_TEST(content(scratch.file("target")) == "new");
    struct stat status {};
    BOOST_REQUIRE(::lstat(scratch.file("link").c_str(), &status) == 0);
    BOOST_TEST(S_ISLNK(status.st_mode));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_opened_is_named)
{
    const Scratch scratch;
    for (const std::string& path : {scratch.file("absent"), scratch.folder()}) {
        const auto error = error_of([&] { Fd::open_input(path); });
        BOOST_REQUIRE(error);
        BOOST_TEST((error->code() == ErrorCode::io));
        BOOST_TEST(std::string(error->what()).find(path) == 0U);
    }
    for (const std::string& path : {scratch.folder(), scratch.file("absent/out")}) {
        BOOST_TEST((error_of([&] { AtomicFile(path, Overwrite::replace); })->code() == ErrorCode::io));
    }
    put_content(scratch.file("long"), "12345");
    BOOST_TEST((error_of([&] { read_file(scratch.file("long"), 4); })->code() == ErrorCode::bad_data));
    BOOST_TEST(read_file(scratch.file("long"), 5) == "12345");
    BOOST_TEST(same_file(scratch.file("long"), scratch.folder() + "/./long"));
    BOOST_TEST(!same_file(scratch.file("long"), scratch.file("absent")));
}

BOOST_AUTO_TEST_CASE(uncommitted_outputs_can_be_removed_from_a_handler)
{
    const Scratch scratch;
    const AtomicFile one(scratch.file("one"), Overwrite::replace);
    const AtomicFile other(scratch.file("other"), Overwrite::replace);
    BOOST_TEST(scratch.files() == 2U);
    remove_uncommitted();
    BOOST_TEST(scratch.files() == 0U);
}

BOOST_AUTO_TEST_CASE(json_goes_both_ways)
{
    const std::string text =
        R"({"a": 1, "b": [true, null, -7, 18446744073709551615], "c": {"x": 1e-05, "y": 10000.0}, )"
        R"("": "q\"\\\n\u0001é"})";
    BOOST_TEST(to_json(parse_json(text)) == text);
    BOOST_TEST((error_of([] { parse_json("[1e400]"); })->code() == ErrorCode::bad_data));
    BOOST_TEST(to_json(std::numeric_limits<double>::quiet_NaN()) == "null");
    BOOST_TEST(parse_json("-0.0").number() == 0.0);
    BOOST_TEST(to_json(parse_json("-0.0")) == "-0.0");
    BOOST_TEST(parse_json("123456789012345678901234567890").number() == 123456789012345678901234567890.0);
    BOOST_TEST(to_json(parse_json(R"({"k": 1, "l": 2, "k": 3})")) == R"({"l": 2, "k": 3})");
    BOOST_TEST(to_json(std::string("a\xff" "b")) == "\"a\xEF\xBF\xBD" "b\"");
    BOOST_TEST(to_json(List{1, Map{{"a", List{}}}}, 2) == "[\n  1,\n  {\n    \"a\": []\n  }\n]");
    BOOST_TEST(to_json(Bytes{"\x01\xab"}) == "\"01ab\"");
}

BOOST_AUTO_TEST_CASE(json_faults_are_placed)
{
    const auto message = [](const std::string& text) {
        const auto error = error_of([&] { parse_json(text); });
        return error && error->code() == ErrorCode::bad_data ? std::string(error->what()) : "NOT REFUSED";
    };
    BOOST_TEST(message("{\n \"a\": 1,\n \"b\": nope}").substr(0, 28) == "not JSON at line 3, column 8");
    BOOST_TEST(message("").find("not JSON at line 1") == 0U);
    BOOST_TEST(message("[1] [2]").find("not JSON") == 0U);
    BOOST_TEST(message("\"a\xff\"").find("not JSON") == 0U);
    BOOST_TEST(message(std::string(600, '[')).find("deeper than 512") != std::string::npos);
    BOOST_TEST(to_json(parse_json(std::string(512, '[') + std::string(512, ']'))).size() == 1024U);
}

BOOST_AUTO_TEST_CASE(values_convert_where_it_is_exact)
{
    BOOST_TEST(Value(3.0).integer() == 3);
    BOOST_TEST(Value(7).number() == 7.0);
    BOOST_TEST(Value(Bytes{std::string(7, '\0') + "\x40"}).number() == 2.0);
    BOOST_CHECK_THROW((void)Value(3.5).integer(), Error);
    BOOST_CHECK_THROW((void)Value(std::numeric_limits<std::uint64_t>::max()).integer(), Error);
    BOOST_CHECK_THROW((void)Value("3").integer(), Error);
    BOOST_CHECK_THROW((void)Value().text(), Error);
    BOOST_CHECK_THROW((void)Value(1).list(), Error);
    BOOST_CHECK_THROW((void)Value(1).map(), Error);
    BOOST_CHECK_THROW((void)Value(1).boolean(), Error);
    Value map;
    map.set("a", 1);
    map.set("b", 2);
    map.set("a", 3);
    BOOST_TEST(to_json(map) == R"({"a": 3, "b": 2})");
}

BOOST_AUTO_TEST_CASE(globs)
{
    BOOST_TEST(glob_matches("layers.*.filter", "layers.0.mixer.filter"));
    BOOST_TEST(!glob_matches("layers.*.filter", "layers.0.mixer.filter.sigma"));
    BOOST_TEST(glob_matches("*", ""));
    BOOST_TEST(glob_matches("*a*b*", "xxaxxbxx"));
    BOOST_TEST(!glob_matches("*a*b*", "xxbxxaxx"));
    BOOST_TEST(glob_matches("layers.[0-3].x", "layers.2.x"));
    BOOST_TEST(!glob_matches("layers.[!0-3].x", "layers.2.x"));
    BOOST_TEST(glob_matches("a.{poles,residues}.{b,c}", "a.residues.b"));
    BOOST_TEST(!glob_matches("a.{poles,residues}", "a.fir"));
    BOOST_TEST(glob_matches("a[", "a["));
    BOOST_TEST(!glob_matches("a?", "a"));
    BOOST_TEST(!glob_matches(std::string(40, '*') + "b", std::string(200, 'a')));      // and soon
    BOOST_TEST(is_glob("a*"));
    BOOST_TEST(!is_glob("layers.0.mixer.filter"));
}

BOOST_AUTO_TEST_CASE(shares_cover_everything_once)
{
    for (Index items = 0; items < 30; ++items) {
        for (Index parts = 1; parts < 12; ++parts) {
            Index next = 0;
            for (Index part = 1; part <= parts; ++part) {
                const Share share = share_of(items, part, parts);
                BOOST_TEST(share.first == next);
                BOOST_TEST(share.count >= items / parts);
                BOOST_TEST(share.count <= items / parts + 1);
                BOOST_TEST(share.first == (part - 1) * items / parts);
                next += share.count;
            }
            BOOST_TEST(next == items);
        }
    }
}

BOOST_AUTO_TEST_CASE(shard_marks)
{
    StreamInfo info;
    mark_shard(info, 1, 1);
    BOOST_TEST(info.attributes.empty());
    mark_shard(info, 2, 3);
    mark_shard(info, 2, 3);
    BOOST_TEST((shard_of(info) == ShardMark{2, 3}));
    BOOST_TEST((error_of([&] { mark_shard(info, 1, 3); })->code() == ErrorCode::bad_data));
    remove_shard_mark(info);
    BOOST_TEST(!shard_of(info));
    info.attributes = {{"shard", List{4, 3}}};
    BOOST_TEST((error_of([&] { (void)shard_of(info); })->code() == ErrorCode::bad_data));

    TensorHeader header;
    header.name = "x";
    header.shape = {2, 5};
    BOOST_TEST(!is_owned(header));
    mark_owned(header);
    BOOST_TEST(is_owned(header));
    mark_rows(header, 3, 5);
    BOOST_TEST(rows_of(header)->first == 3);
    mark_rows(header, 4, 5);
    BOOST_TEST((error_of([&] { (void)rows_of(header); })->code() == ErrorCode::bad_data));
    remove_marks(header);
    BOOST_TEST(header.attributes.empty());
}

BOOST_AUTO_TEST_CASE(histories_grow)
{
    StreamInfo info;
    info.history.emplace_back(history_entry("teacher-dump", "1", {{"limit", 3}}));
    info.history.emplace_back(history_entry("modal-fit", "1", {}));
    BOOST_TEST(history_text(info.history) == "teacher-dump | modal-fit");
    BOOST_TEST(to_json(info.history[0]) == R"({"tool": "teacher-dump", "version": "1", "settings": {"limit": 3}})");
}

BOOST_AUTO_TEST_SUITE_END()
