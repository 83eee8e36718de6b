// SPDX-License-Identifier: Apache-2.0
// Times encoding of a file, or encodes and decodes records for tokenizer.py, which compares with the library.
#include "formats/tokenizer_json.hpp"
#include "libcore/base/error.hpp"
#include "libcore/models/tokenizer.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

namespace {

using namespace stillhouse;
using models::Tokenizer;

std::string slurp(const char* name)
{
    std::ifstream file(name, std::ios::binary);
    if (!file) {
        throw_error(ErrorCode::io, std::string(name) + ": cannot open");
    }
    std::ostringstream text;
    text << file.rdbuf();
    return std::move(text).str();
}

bool get(void* to, std::size_t n) { return std::fread(to, 1, n, stdin) == n; }

void put(const void* from, std::size_t n) { std::fwrite(from, 1, n, stdout); }

template <class T>
void put_record(const T* data, std::size_t count)
{
    const auto n = static_cast<std::uint32_t>(count);
    put(&n, sizeof n);
    put(data, count * sizeof(T));
}

/// Records: a letter, a u32 length, that many bytes. e: encode text; s: the same as a stream in pieces of odd sizes,
/// with the least of patience; d, p: decode u32 ids with and without special tokens; i: the same one by one. Replies: a
/// u32 count, then the elements.
void serve(const Tokenizer& tokenizer)
{
    char what = 0;
    std::uint32_t size = 0;
    while (get(&what, 1) && get(&size, sizeof size)) {
        std::string text(size, '\0');
        if (size > 0 && !get(text.data(), size)) {
            return;
        }
        std::vector<Token> ids;
        if (what == 'e') {
            ids = tokenizer.encode(text, Tokenizer::Special::add);
            put_record(ids.data(), ids.size());
        } else if (what == 's') {
            Tokenizer::Stream stream(tokenizer, Tokenizer::Special::add, {1 + size % 61, 1 + size % 37});
            std::size_t step = 1;
            for (std::size_t at = 0; at < text.size(); at += step, step = step * 7 % 4093 + 1) {
                stream.feed(std::string_view(text).substr(at, step), ids);
            }
            stream.finish(ids);
            put_record(ids.data(), ids.size());
        } else {
            ids.resize(text.size() / sizeof(Token));
            std::memcpy(ids.data(), text.data(), ids.size() * sizeof(Token));
            std::string out;
            if (what == 'i') {
                Tokenizer::Printer printer(tokenizer, false);
                for (const Token id : ids) {
                    out += printer.put(id);
                }
                out += printer.finish();
            } else {
                out = tokenizer.decode(ids, what == 'p');
            }
            put_record(out.data(), out.size());
        }
        std::fflush(stdout);
    }
}

/// Encodes a file as a stream, read in blocks; prints tokens, seconds, megabytes a second and the peak of memory.
void time_file(const Tokenizer& tokenizer, const char* name, int repeats)
{
    double best = 1e300;
    std::size_t tokens = 0, bytes = 0;
    for (int r = 0; r < repeats; ++r) {
        std::ifstream file(name, std::ios::binary);
        std::string block(std::size_t{1} << 20, '\0');
        std::vector<Token> ids;
        Tokenizer::Stream stream(tokenizer, Tokenizer::Special::plain);
        tokens = bytes = 0;
        const auto start = std::chrono::steady_clock::now();
        while (file.read(block.data(), static_cast<std::streamsize>(block.size())), file.gcount() > 0) {
            const auto n = static_cast<std::size_t>(file.gcount());
            stream.feed(std::string_view(block).substr(0, n), ids);
            tokens += ids.size();
            bytes += n;
            ids.clear();
        }
        stream.finish(ids);
        tokens += ids.size();
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        best = std::min(best, seconds.count());
    }
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::printf("{\"tokens\": %zu, \"bytes\": %zu, \"seconds\": %.6f, \"mb_per_s\": %.3f, \"peak_kib\": %ld}\n", tokens,
                bytes, best, static_cast<double>(bytes) / 1e6 / best, usage.ru_maxrss);
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc < 2) {
        std::fprintf(stderr, "usage: bench-tokenizer tokenizer.json [FILE [REPEATS]]\n");
        return 2;
    }
    try {
        const Tokenizer tokenizer(formats::parse_tokenizer(slurp(argv[1])));
        if (argc == 2) {
            serve(tokenizer);
        } else {
            time_file(tokenizer, argv[2], argc > 3 ? std::atoi(argv[3]) : 1);
        }
    } catch (const Error& error) {
        std::fprintf(stderr, "bench-tokenizer: %s\n", error.what());
        return 3;
    }
    return 0;
}
