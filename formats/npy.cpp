// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy: a magic, a version, a Python dictionary as text, the elements.
#include "formats/npy.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace stillhouse::formats {

namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t max_header = std::size_t{1} << 20;

[[noreturn]] void bad(const std::string& message)
{
    throw_error(ErrorCode::bad_data, message);
}

// The dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } in any order and spacing.
class Parser {
public:
    explicit Parser(std::string_view text) : rest_(text) {}

    NpyHeader parse()
    {
        NpyHeader header;
        bool shape = false;
        bool order = false;
        bool type = false;
        expect('{');
        while (!accept('}')) {
            const std::string key = quoted();
            expect(':');
            if (key == "descr") {
                descr(header);
                type = true;
            } else if (key == "fortran_order") {
                header.fortran = truth();
                order = true;
            } else if (key == "shape") {
                header.shape = tuple();
                shape = true;
            } else {
                bad("unknown key '" + key + "' in the .npy header");
            }
            if (!accept(',')) {
                expect('}');
                break;
            }
        }
        if (!shape || !order || !type) {
            bad("the .npy header lacks descr, fortran_order or shape");
        }
        return header;
    }

private:
    void blanks()
    {
        while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\t')) {
            rest_.remove_prefix(1);
        }
    }
    bool accept(char c)
    {
        blanks();
        if (rest_.empty() || rest_[0] != c) {
            return false;
        }
        rest_.remove_prefix(1);
        return true;
    }
    void expect(char c)
    {
        if (!accept(c)) {
            bad(std::string("the .npy header is damaged: expected '") + c + "' before '" +
                std::string(rest_.substr(0, 20)) + "'");
        }
    }
    std::string quoted()
    {
        blanks();
        const char quote = rest_.empty() ? '\0' : rest_[0];
        const std::size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
        if (end == std::string_view::npos) {
            bad("the .npy header is damaged: expected a quoted text before '" + std::string(rest_.substr(0, 20)) + "'");
        }
        std::string text(rest_.substr(1, end - 1));
        rest_.remove_prefix(end + 1);
        return text;
    }
    bool truth()
    {
        blanks();
        for (const bool value : {true, false}) {
            const std::string_view word = value ? "True" : "False";
            if (rest_.substr(0, word.size()) == word) {
                rest_.remove_prefix(word.size());
                return value;
            }
        }
        bad("the .npy header is damaged: fortran_order is neither True nor False");
    }
    Shape tuple()
    {
        Shape shape;
        expect('(');
        while (!accept(')')) {
            blanks();
            std::size_t digits = 0;
            Index extent = 0;
            while (digits < rest_.size() && digits < 19 && rest_[digits] >= '0' && rest_[digits] <= '9') {
                extent = extent * 10 + (rest_[digits] - '0');
                ++digits;
            }
            if (digits == 0 || digits == 19) {
                bad("the .npy header is damaged: expected an extent before '" + std::string(rest_.substr(0, 20)) + "'");
            }
            rest_.remove_prefix(digits);
            shape.push_back(extent);
            if (!accept(',')) {
                expect(')');
                break;
            }
        }
        if (shape.size() > static_cast<std::size_t>(max_rank)) {
            bad("rank " + std::to_string(shape.size()) + ", at most " + std::to_string(max_rank) + " is read");
        }
        return shape;
    }
    void descr(NpyHeader& header)
    {
        blanks();
        if (!rest_.empty() && rest_[0] == '[') {
            throw_error(ErrorCode::unsupported, "an array of structures; save its fields as arrays of their own");
        }
        const std::string text = quoted();
        static const std::pair<std::string_view, DType> types[] = {
            {"f8", DType::f64}, {"f4", DType::f32}, {"f2", DType::f16}, {"i8", DType::i64}, {"u8", DType::i64},
            {"i4", DType::i32}, {"i2", DType::i16}, {"i1", DType::i8},  {"u4", DType::u32}, {"u2", DType::u16},
            {"u1", DType::u8},  {"b1", DType::boolean}, {"c8", DType::c64}, {"c16", DType::c128}};
        if (text.size() >= 2) {
            for (const auto& [name, type] : types) {
                if (std::string_view(text).substr(1) == name &&
                    std::string_view("<>|=").find(text[0]) != std::string_view::npos) {
                    header.dtype = type;
                    header.swapped = text[0] == '>' && size_of(type) > 1;
                    header.was_u64 = name == "u8";
                    return;
                }
            }
        }
        const char kind = text.size() >= 2 ? text[1] : '?';
        const char* what = kind == 'O' ? "Python objects" : kind == 'U' || kind == 'S' ? "texts"
                         : kind == 'M' || kind == 'm' ? "dates" : "a type that is not known here";
        throw_error(ErrorCode::unsupported, "an array of " + std::string(what) + " ('" + text +
                                                "'); save it as numbers, e.g. with astype('float32')");
    }

    std::string_view rest_;
};

// Reverses each unit of `size` bytes; complex numbers are two units.
void swap_bytes(std::byte* bytes, std::size_t n, DType type)
{
    const std::size_t unit = is_complex(type) ? size_of(type) / 2 : size_of(type);
    for (std::size_t i = 0; i < n; i += unit) {
        std::reverse(bytes + i, bytes + i + unit);
    }
}

// Column-major to row-major: walks the target in order with an odometer over the source.
Buffer<std::byte> transposed(const Buffer<std::byte>& source, const Shape& shape, std::size_t size)
{
    Buffer<std::byte> target(source.size());
    std::vector<Index> stride(shape.size(), 1);
    for (std::size_t d = 1; d < shape.size(); ++d) {
        stride[d] = stride[d - 1] * shape[d - 1];
    }
    std::vector<Index> at(shape.size(), 0);
    Index from = 0;
    for (Index to = 0; to < source.size(); to += static_cast<Index>(size)) {
        std::memcpy(target.data() + to, source.data() + from * static_cast<Index>(size), size);
        for (std::size_t d = shape.size(); d-- > 0;) {
            from += stride[d];
            if (++at[d] < shape[d]) {
                break;
            }
            from -= stride[d] * shape[d];
            at[d] = 0;
        }
    }
    return target;
}

[[noreturn]] void refuse_cut(std::uint64_t found, std::uint64_t bytes)
{
    bad("the array ends after " + std::to_string(found) + " of " + std::to_string(bytes) +
        " bytes; the file is cut");
}

void refuse_more(Fd& input, std::uint64_t bytes)
{
    std::byte more{};
    if (input.read_full(&more, 1) != 0) {
        bad("bytes behind the " + std::to_string(bytes) + " of the array; one array a file is read");
    }
}

// Little-endian, and no uint64 that int64 lacks; `before`: elements of 8 bytes that came earlier.
void to_native(const NpyHeader& npy, std::byte* bytes, std::size_t n, std::uint64_t before)
{
    if (npy.swapped) {
        swap_bytes(bytes, n, npy.dtype);
    }
    if (npy.was_u64) {
        for (std::size_t i = 7; i < n; i += 8) {
            if ((std::to_integer<unsigned>(bytes[i]) & 0x80U) != 0) {
                bad("element " + std::to_string(before + i / 8) +
                    " of type uint64 is 2^63 or more, int64 is the widest that is kept");
            }
        }
    }
}

}  // namespace

NpyHeader read_npy_header(Fd& input)
{
    return with_context(input.name(), [&] {
        char start[12] = {};
        const auto take = [&](char* to, std::size_t n) {
            const std::size_t got = input.read_full(reinterpret_cast<std::byte*>(to), n);
            if (got < n) {
                bad("not a .npy file, or cut in its header");
            }
        };
        take(start, 8);
        if (std::string_view(start, magic.size()) != magic) {
            bad("not a .npy file: it does not begin with \\x93NUMPY");
        }
        const int version = static_cast<unsigned char>(start[6]);
        if (version < 1 || version > 3) {
            throw_error(ErrorCode::unsupported, ".npy version " + std::to_string(version) + ", 1 to 3 are read");
        }
        const std::size_t width = version == 1 ? 2 : 4;
        take(start + 8, width);
        std::size_t length = 0;
        for (std::size_t i = 0; i < width; ++i) {
            length |= static_cast<std::size_t>(static_cast<unsigned char>(start[8 + i])) << (8 * i);
        }
        if (length > max_header) {
            bad("a .npy header of " + std::to_string(length) + " bytes, at most 1 MiB is read");
        }
        std::string text(length, '\0');
        take(text.data(), length);
        const NpyHeader header = Parser(text).parse();
        if (static_cast<std::uint64_t>(element_count(header.shape)) >
            (std::uint64_t{1} << 62U) / size_of(header.dtype)) {
            bad("shape " + to_string(header.shape) + " is too large");
        }
        return header;
    });
}

Tensor read_npy(Fd& input, const std::string& name)
{
    return read_npy(input, read_npy_header(input), name);
}

Tensor read_npy(Fd& input, const NpyHeader& npy, const std::string& name)
{
    return with_context(input.name(), [&] {
        Tensor tensor;
        tensor.header.name = name;
        tensor.header.dtype = npy.dtype;
        tensor.header.shape = npy.shape;
        const std::uint64_t bytes = tensor.header.bytes();
        const std::optional<std::uint64_t> left = input.bytes_left();
        if (left && *left < bytes) {
            refuse_cut(*left, bytes);
        }
        // On a pipe the declared size is not believed: memory grows with what comes.
        constexpr std::uint64_t piece = std::uint64_t{1} << 28U;
        std::uint64_t have = left ? bytes : std::min(bytes, piece);
        tensor.data = Buffer<std::byte>(static_cast<Index>(have));
        std::uint64_t done = 0;
        for (;;) {
            done += input.read_full(tensor.data.data() + done, static_cast<std::size_t>(have - done));
            if (done < have) {
                refuse_cut(done, bytes);
            }
            if (done == bytes) {
                break;
            }
            have = std::min(bytes, 2 * have);
            Buffer<std::byte> larger(static_cast<Index>(have));
            std::memcpy(larger.data(), tensor.data.data(), static_cast<std::size_t>(done));
            tensor.data = std::move(larger);
        }
        refuse_more(input, bytes);
        to_native(npy, tensor.data.data(), static_cast<std::size_t>(bytes), 0);
        if (npy.fortran && npy.shape.size() > 1) {
            tensor.data = transposed(tensor.data, npy.shape, size_of(npy.dtype));
        }
        return tensor;
    });
}

void read_npy_pieces(Fd& input, const NpyHeader& npy, const std::function<void(const std::byte*, std::size_t)>& use)
{
    if (npy.fortran && npy.shape.size() > 1) {
        const Tensor tensor = read_npy(input, npy, "");
        use(tensor.data.data(), static_cast<std::size_t>(tensor.header.bytes()));
        return;
    }
    const std::uint64_t bytes = static_cast<std::uint64_t>(element_count(npy.shape)) * size_of(npy.dtype);
    Buffer<std::byte> piece(static_cast<Index>(std::min<std::uint64_t>(bytes, std::uint64_t{1} << 20U)));
    for (std::uint64_t done = 0; done < bytes;) {
        const std::size_t n = static_cast<std::size_t>(
            std::min(bytes - done, static_cast<std::uint64_t>(piece.size())));
        with_context(input.name(), [&] {
            const std::size_t found = input.read_full(piece.data(), n);
            if (found < n) {
                refuse_cut(done + found, bytes);
            }
            to_native(npy, piece.data(), n, done / 8);
        });
        use(piece.data(), n);
        done += n;
    }
    with_context(input.name(), [&] { refuse_more(input, bytes); });
}

std::string npy_header(DType dtype, const Shape& shape, std::size_t least)
{
    static const char* const types[] = {"<f8", "<f4", "<f2", nullptr, "<i8", "<i4", "<i2", "|i1",
                                        "<u4", "<u2", "|u1", "|b1", "<c8", "<c16"};
    const char* const type = types[static_cast<std::size_t>(dtype)];
    if (type == nullptr) {
        throw_error(ErrorCode::unsupported, ".npy has no type " + std::string(name_of(dtype)));
    }
    std::string extents;
    for (const Index extent : shape) {
        extents += (extents.empty() ? "" : ", ") + std::to_string(extent);
    }
    extents += shape.size() == 1 ? "," : "";
    std::string text = "{'descr': '" + std::string(type) + "', 'fortran_order': False, 'shape': (" + extents + "), }";
    const std::size_t used = magic.size() + 4 + text.size() + 1;
    text.append((std::max(used, least) + 63) / 64 * 64 - used, ' ');
    text += '\n';
    std::string header(magic);
    header += std::string("\x01\x00", 2);
    header += static_cast<char>(text.size() & 0xffU);
    header += static_cast<char>(text.size() >> 8U);
    return header + text;
}

}  // namespace stillhouse::formats
