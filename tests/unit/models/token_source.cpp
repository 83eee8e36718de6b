// SPDX-License-Identifier: Apache-2.0
// Texts and token files as batches: rows, numbers, limits, shards, and what is refused.
#define BOOST_TEST_MODULE token_source
#include "tests/unit/models/tokenizer_test.hpp"

#include "libcore/base/error.hpp"
#include "tools/adapters/text/token_source.hpp"

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace stillhouse::adapters {
namespace {

using models::Tokenizer;

/// A folder that goes when the test ends.
struct Scratch {
    std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("stillhouse-token-source-" + std::to_string(getpid()));
    Scratch() { std::filesystem::create_directories(folder); }
    ~Scratch() { std::filesystem::remove_all(folder); }
    std::string write(const std::string& name, const std::string& bytes) const
    {
        std::ofstream(folder / name, std::ios::binary) << bytes;
        return folder / name;
    }
};

template <class T>
std::string raw(const std::vector<T>& ids)
{
    return {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(T)};
}

template <class T>
std::string npy(const std::string& type, const std::string& shape, const std::vector<T>& values,
                const std::string& order = "False")
{
    std::string header = "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
    header.resize((header.size() + 10 + 63) / 64 * 64 - 10, ' ');
    header.back() = '\n';
    std::string file("\x93NUMPY\x01\x00", 8);
    file += static_cast<char>(header.size() & 255);
    file += static_cast<char>(header.size() >> 8);
    return file + header + raw(values);
}

/// "0:[1 2 3|4 5 6] 1:[7]"
std::string shown(const NextBatch& next)
{
    std::string text;
    while (const std::optional<TokenBatch> batch = next()) {
        BOOST_TEST(batch->rows * batch->length == static_cast<Index>(batch->tokens.size()));
        text += (text.empty() ? "" : " ") + std::to_string(batch->number) + ":[";
        for (std::size_t i = 0; i < batch->tokens.size(); ++i) {
            const bool begins = static_cast<Index>(i) % batch->length == 0;
            text += (i == 0 ? "" : begins ? "|" : " ") + std::to_string(batch->tokens[i]);
        }
        text += "]";
    }
    return text;
}

TokenRequest tokens(const std::string& file, Index context, Index batch, Index limit = -1)
{
    TokenRequest request;
    request.tokens = file;
    request.context = context;
    request.batch = batch;
    request.limit = limit;
    request.vocabulary = 100;
    return request;
}

std::string batches_of(const TokenRequest& request, Index skip = 0, Index part = 1, Index parts = 1)
{
    return shown(TokenSource(request, nullptr, {}).share(skip, part, parts));
}

ErrorCode refused(const std::function<void()>& body, const std::string& says)
{
    try {
        body();
    } catch (const Error& error) {
        BOOST_TEST(std::string(error.what()).find(says) != std::string::npos, error.what() << " lacks " << says);
        return error.code();
    }
    BOOST_ERROR("was not refused");
    return ErrorCode::internal;
}

BOOST_AUTO_TEST_CASE(rows_and_batches_of_token_files)
{
    const Scratch scratch;
    const std::vector<std::uint16_t> ids{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    const std::string u16 = scratch.write("a.u16", raw(ids));
    BOOST_TEST(batches_of(tokens(u16, 3, 2)) == "0:[1 2 3|4 5 6] 1:[7 8 9] 2:[10 11]");
    BOOST_TEST(batches_of(tokens(u16, 11, 2)) == "0:[1 2 3 4 5 6 7 8 9 10 11]");
    BOOST_TEST(batches_of(tokens(u16, 100, 2)) == "0:[1 2 3 4 5 6 7 8 9 10 11]");
    BOOST_TEST(batches_of(tokens(u16, 3, 2, 8)) == "0:[1 2 3|4 5 6] 1:[7 8]");
    BOOST_TEST(batches_of(tokens(u16, 3, 2, 6)) == "0:[1 2 3|4 5 6]");
    BOOST_TEST(batches_of(tokens(u16, 3, 2, 100)) == batches_of(tokens(u16, 3, 2)));
    BOOST_TEST(batches_of(tokens(u16, 3, 1), 2) == "2:[7 8 9] 3:[10 11]");
    BOOST_TEST(batches_of(tokens(u16, 3, 1), 4) == "");
    BOOST_CHECK_THROW(batches_of(tokens(u16, 3, 1), 5), Error);       // more than there are
    BOOST_TEST(batches_of(tokens(scratch.write("a.u32", raw(std::vector<std::uint32_t>(ids.begin(), ids.end()))), 3, 2))
               == batches_of(tokens(u16, 3, 2)));
}

BOOST_AUTO_TEST_CASE(arrays)
{
    const Scratch scratch;
    const std::vector<std::int64_t> ids{1, 2, 3, 4, 5, 6};
    BOOST_TEST(batches_of(tokens(scratch.write("a.npy", npy("<i8", "(6,)", ids)), 4, 2)) == "0:[1 2 3 4] 1:[5 6]");
    const std::string rows = scratch.write("b.npy", npy("<i8", "(3, 2)", ids));
    BOOST_TEST(batches_of(tokens(rows, 2, 2)) == "0:[1 2|3 4] 1:[5 6]");
    BOOST_TEST(batches_of(tokens(rows, 8, 2)) == "0:[1 2|3 4] 1:[5 6]");   // each row a sequence of its own
    BOOST_TEST(batches_of(tokens(rows, 1, 4)) == "0:[1|2|3|4] 1:[5|6]");
    const std::string wide = scratch.write("c.npy", npy("<i8", "(2, 3)", ids));
    BOOST_TEST(batches_of(tokens(wide, 2, 2)) == "0:[1 2] 1:[3] 2:[4 5] 3:[6]");
    BOOST_TEST(batches_of(tokens(scratch.write("d.npy", npy("<i8", "(2, 3)", ids, "True")), 3, 2))
               == "0:[1 3 5|2 4 6]");
    BOOST_TEST(batches_of(tokens(scratch.write("e.npy", npy("|u1", "(3,)", std::vector<std::uint8_t>{7, 8, 9})), 8, 1))
               == "0:[7 8 9]");
}

BOOST_AUTO_TEST_CASE(shards_are_the_whole)
{
    const Scratch scratch;
    std::vector<std::uint16_t> ids(101);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        ids[i] = static_cast<std::uint16_t>(i % 90);
    }
    const TokenRequest request = tokens(scratch.write("a.u16", raw(ids)), 4, 3);
    BOOST_TEST(TokenSource(request, nullptr, {}).total() == 10);
    for (const Index skip : {0, 3, 9, 10}) {
        const std::string whole = batches_of(request, skip);
        for (const Index parts : {1, 2, 3, 7, 20}) {
            std::string joined;
            for (Index part = 1; part <= parts; ++part) {
                const std::string one = batches_of(request, skip, part, parts);
                joined += (joined.empty() || one.empty() ? "" : " ") + one;
            }
            BOOST_TEST(joined == whole);
        }
    }
}

BOOST_AUTO_TEST_CASE(texts)
{
    const Scratch scratch;
    const Tokenizer tokenizer =
        make_tokenizer(models::slurp(models::data_file("stories260K_tokenizer.json")), "stories");
    const std::string one = "Once upon a time, there was a little girl.", two = "Tim \xFF ran.\xC3";
    TokenRequest request;
    request.text = {scratch.write("1", one), scratch.write("empty", ""), scratch.write("2", two)};
    request.context = 5;
    request.batch = 100;
    request.vocabulary = tokenizer.size();
    std::vector<std::string> notices;
    const TokenSource source(request, &tokenizer, [&](const std::string& text) { notices.push_back(text); });
    std::vector<Index> found;
    std::vector<Index> lengths;
    const NextBatch next = source.batches();
    while (const std::optional<TokenBatch> batch = next()) {
        found.insert(found.end(), batch->tokens.begin(), batch->tokens.end());
        lengths.push_back(batch->length);
    }
    std::vector<Index> expected;
    for (const std::string& text : {one, std::string(), two}) {   // <s> begins each file, the empty one too
        for (const Token id : tokenizer.encode(text, Tokenizer::Special::add)) {
            expected.push_back(id);
        }
    }
    BOOST_TEST(found == expected, boost::test_tools::per_element());
    BOOST_TEST(lengths.front() == 5);
    BOOST_TEST(std::count(found.begin(), found.end(), 1) == 3);
    BOOST_TEST(notices.size() == 2U);
    BOOST_TEST(notices.at(0).find("/2: byte 4 begins no UTF-8 character") != std::string::npos);
    BOOST_TEST(notices.at(1).find("/2: 2 invalid UTF-8 sequences") != std::string::npos);
    BOOST_TEST(source.total() == static_cast<Index>(lengths.size()));
}

BOOST_AUTO_TEST_CASE(refusals)
{
    const Scratch scratch;
    const Tokenizer tokenizer =
        make_tokenizer(models::slurp(models::source_file("share/teachers/bookworm/tokenizer.json")), "bookworm");
    const auto bad = ErrorCode::bad_data, usage = ErrorCode::bad_argument;
    const auto read = [](const TokenRequest& request) { return [request] { batches_of(request); }; };
    const auto file = [&](const std::string& name, const std::string& bytes) {
        return read(tokens(scratch.write(name, bytes), 4, 2));
    };
    const std::vector<std::uint16_t> large{1, 2, 100};
    const std::vector<std::int64_t> negative{1, -4};
    BOOST_TEST((refused(file("a.u16", raw(large)), "a.u16: token 2 has id 100") == bad));
    BOOST_TEST((refused(file("a.npy", npy("<i8", "(2,)", negative)), "token 1 has id -4") == bad));
    BOOST_TEST((refused(file("b.u32", "12345"), "b.u32: ends inside token 1") == bad));
    BOOST_TEST((refused(file("c.u16", ""), "no tokens") == bad));
    BOOST_TEST((refused(file("d.npy", npy("<f4", "(2,)", std::vector<float>{1, 2})), "F32") == bad));
    BOOST_TEST((refused(file("e.npy", npy("<i4", "(1, 1, 2)", std::vector<std::int32_t>{1, 2})), "[1, 1, 2]") == bad));
    BOOST_TEST((refused(file("f.npy", npy("<i4", "(5,)", std::vector<std::int32_t>{1, 2})), "token 2 of 5") == bad));
    BOOST_TEST((refused(file("g.npy", npy("<i4", "(1,)", std::vector<std::int32_t>{1, 2})), "bytes after") == bad));
    BOOST_TEST((refused(file("h.npy", npy("<i4", "(0, 3)", std::vector<std::int32_t>{})), "no tokens") == bad));
    BOOST_TEST((refused(file("i.bin", "xx"), ".u16, .u32 or .npy") == usage));
    BOOST_TEST((refused(read(tokens(scratch.folder / "absent.u16", 4, 2)), "absent.u16") == ErrorCode::io));

    const auto text = [&](std::vector<std::string> names, Index vocabulary, Index parts) {
        TokenRequest request;
        request.text = std::move(names);
        request.vocabulary = vocabulary;
        return [&tokenizer, request, parts] { shown(TokenSource(request, &tokenizer, {}).share(0, 1, parts)); };
    };
    const std::string hello = scratch.write("hello", "hello");
    BOOST_TEST((refused(text({hello}, 50, 1), "hello: token ") == bad));
    BOOST_TEST((refused(text({scratch.write("none", "")}, 2048, 1), "none: no tokens") == bad));
    BOOST_TEST((refused(text({"-", hello, "-"}, 2048, 1), "twice") == usage));
    BOOST_TEST((refused(text({"-"}, 2048, 2), "standard input can be read only once") == usage));
    BOOST_TEST((refused([&] { TokenSource(TokenRequest{}, &tokenizer, {}); }, "--text") == usage));
    BOOST_TEST((refused([] { make_tokenizer("", "some/model"); }, "some/model: has no tokenizer.json") == bad));
    BOOST_TEST((refused([] { make_tokenizer("{", "some/model"); }, "some/model: tokenizer.json") == bad));
}

}  // namespace
}  // namespace stillhouse::adapters
