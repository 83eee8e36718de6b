// SPDX-License-Identifier: Apache-2.0
// The safetensors format: read mapped and suspiciously, written atomically.
#include "formats/safetensors.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <unordered_set>
#include <utility>

namespace stillhouse::formats {

namespace {

constexpr std::uint64_t max_header = 100'000'000;        // the limit of the format's own library

[[noreturn]] void bad(const std::string& message)
{
    throw_error(ErrorCode::bad_data, message);
}

const Value& required(const Value& map, std::string_view key)
{
    const Value* value = map.find(key);
    if (value == nullptr) {
        bad("the key '" + std::string(key) + "' is missing");
    }
    return *value;
}

// Bits an element, of all types that the format has had; 0 for others.
std::uint64_t stored_bits(std::string_view type)
{
    if (type == "U64") {
        return 64;
    }
    if (const auto known = dtype_named(type)) {
        return *known == DType::c128 ? 0 : 8 * size_of(*known);          // C64 exists, C128 does not
    }
    if (type.substr(0, 2) == "F8") {
        return 8;
    }
    return type.substr(0, 2) == "F4" ? 4 : type.substr(0, 2) == "F6" ? 6 : 0;
}

StoredTensor stored_tensor(const std::string& name, const Value& entry, const std::byte* data, std::uint64_t size)
{
    StoredTensor tensor;
    tensor.header.name = name;
    tensor.stored = required(entry, "dtype").text();
    for (const Value& extent : required(entry, "shape").list()) {
        tensor.header.shape.push_back(extent.integer());
    }
    if (tensor.header.shape.size() > static_cast<std::size_t>(max_rank)) {
        bad("rank " + std::to_string(tensor.header.shape.size()) + ", at most " + std::to_string(max_rank) +
            " is read");
    }
    const std::uint64_t bits = stored_bits(tensor.stored);
    if (bits == 0) {
        bad("unknown type '" + tensor.stored + "'");
    }
    const auto elements = static_cast<std::uint64_t>(element_count(tensor.header.shape));
    const List& offsets = required(entry, "data_offsets").list();
    if (offsets.size() != 2) {
        bad("data_offsets: found " + std::to_string(offsets.size()) + " numbers, expected 2");
    }
    const std::int64_t begin = offsets[0].integer();
    const std::int64_t end = offsets[1].integer();
    if (begin < 0 || end < begin || static_cast<std::uint64_t>(end) > size) {
        bad("bytes " + std::to_string(begin) + " to " + std::to_string(end) + ", the file holds " +
            std::to_string(size) + " after its header; it is cut or damaged");
    }
    const auto bytes = static_cast<std::uint64_t>(end - begin);
    if (elements > (std::uint64_t{1} << 62U) / bits || bytes != (elements * bits + 7) / 8) {
        bad("has " + std::to_string(bytes) + " bytes, " + tensor.stored + " " + to_string(tensor.header.shape) +
            " has another size");
    }
    tensor.data = data + begin;
    if (tensor.stored == "U64") {
        tensor.header.dtype = DType::i64;
    } else if (const auto known = dtype_named(tensor.stored)) {
        tensor.header.dtype = *known;
    } else {
        tensor.known = false;
    }
    return tensor;
}

// What `SafetensorsWriter` noted: which tensors were complex, and attributes.
void restore(std::vector<StoredTensor>& tensors, const Map& metadata)
{
    for (const auto& [key, text] : metadata) {
        if (key != "stillhouse") {
            continue;
        }
        const Value noted = with_context("metadata 'stillhouse'", [&] { return parse_json(text.text()); });
        std::unordered_set<std::string> complex;
        if (const Value* names = noted.find("complex")) {
            for (const Value& name : names->list()) {
                complex.insert(name.text());
            }
        }
        const Value* attributes = noted.find("attributes");
        for (StoredTensor& tensor : tensors) {
            TensorHeader& header = tensor.header;
            const bool pairs = (header.dtype == DType::f64 || header.dtype == DType::f32) && !header.shape.empty() &&
                               header.shape.back() == 2;
            if (pairs && complex.count(header.name) != 0) {
                header.shape.pop_back();
                header.dtype = header.dtype == DType::f64 ? DType::c128 : DType::c64;
            }
            const Value* of_tensor = attributes == nullptr ? nullptr : attributes->find(header.name);
            if (of_tensor != nullptr) {
                header.attributes = of_tensor->map();
            }
        }
    }
}

DType written_type(DType type)
{
    return type == DType::c128 ? DType::f64 : type == DType::c64 ? DType::f32 : type;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path)
{
    with_context(path, [&] {
        if (file_.size() < 8) {
            bad("not a safetensors file: " + std::to_string(file_.size()) + " bytes, the header alone has more");
        }
        std::uint64_t length = 0;
        std::memcpy(&length, file_.data(), sizeof length);
        if (length > max_header || length < 2 || reinterpret_cast<const char*>(file_.data())[8] != '{') {
            bad("not a safetensors file: it does not begin with a length and '{'");
        }
        if (length > file_.size() - 8) {
            bad("the header ends after " + std::to_string(file_.size() - 8) + " of " + std::to_string(length) +
                " bytes; the file is cut");
        }
        const std::byte* const data = file_.data() + 8 + length;
        const std::uint64_t size = file_.size() - 8 - length;
        const Value header = with_context("header", [&] {
            return parse_json({reinterpret_cast<const char*>(file_.data()) + 8, static_cast<std::size_t>(length)});
        });
        for (const auto& [name, entry] : header.map()) {
            if (name == "__metadata__") {
                metadata_ = with_context(name, [&value = entry] { return value.map(); });
                continue;
            }
            tensors_.push_back(with_context("tensor " + name, [&, &key = name, &value = entry] {
                return stored_tensor(key, value, data, size);
            }));
        }
        std::stable_sort(tensors_.begin(), tensors_.end(), [](const StoredTensor& a, const StoredTensor& b) {
            return a.data < b.data || (a.data == b.data && a.header.elements() == 0 && b.header.elements() != 0);
        });
        const std::byte* covered = data;
        for (const StoredTensor& tensor : tensors_) {
            if (tensor.data != covered) {
                bad("tensor " + tensor.header.name + ": begins at byte " + std::to_string(tensor.data - data) +
                    " where the one before ends at " + std::to_string(covered - data) + "; the file is damaged");
            }
            const auto elements = static_cast<std::uint64_t>(tensor.header.elements());
            covered += (elements * stored_bits(tensor.stored) + 7) / 8;
        }
        if (covered != data + size) {
            bad(std::to_string(data + size - covered) +
                " bytes behind the last tensor belong to none; the file is damaged");
        }
        restore(tensors_, metadata_);
    });
}

const std::byte* checked_data(const StoredTensor& tensor)
{
    if (!tensor.known) {
        throw_error(ErrorCode::unsupported, "tensor " + tensor.header.name + ": type " + tensor.stored +
                                                " is not read; convert it to one of F64 F32 F16 BF16 and integers");
    }
    if (tensor.stored == "U64") {
        const Index n = tensor.header.elements();
        for (Index i = 0; i < n; ++i) {
            if ((std::to_integer<unsigned>(tensor.data[8 * i + 7]) & 0x80U) != 0) {
                throw_error(ErrorCode::bad_data, "tensor " + tensor.header.name + ": element " + std::to_string(i) +
                                                     " of type U64 is 2^63 or more, I64 is the widest that is kept");
            }
        }
    }
    return tensor.data;
}

Tensor read_stored(const StoredTensor& stored)
{
    const std::byte* const data = checked_data(stored);
    Tensor tensor;
    tensor.header = stored.header;
    tensor.data = Buffer<std::byte>(static_cast<Index>(stored.header.bytes()));
    if (stored.header.bytes() > 0) {
        std::memcpy(tensor.data.data(), data, static_cast<std::size_t>(stored.header.bytes()));
    }
    return tensor;
}

SafetensorsWriter::SafetensorsWriter(AtomicFile output, std::vector<TensorHeader> headers, const Map& metadata)
    : output_(std::move(output)), headers_(std::move(headers)), order_(headers_.size())
{
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
        return size_of(written_type(headers_[a].dtype)) > size_of(written_type(headers_[b].dtype));
    });
    List complex;
    Map attributes;
    Map entries;
    for (const std::size_t i : order_) {
        const TensorHeader& header = headers_[i];
        List shape(header.shape.begin(), header.shape.end());
        if (is_complex(header.dtype)) {
            complex.emplace_back(header.name);
            shape.emplace_back(2);
        }
        if (!header.attributes.empty()) {
            attributes.emplace_back(header.name, header.attributes);
        }
        entries.emplace_back(header.name, Map{{"dtype", name_of(written_type(header.dtype))},
                                              {"shape", std::move(shape)},
                                              {"data_offsets", List{left_, left_ + header.bytes()}}});
        left_ += header.bytes();
    }
    Map texts{{"format", "pt"}};
    texts.insert(texts.end(), metadata.begin(), metadata.end());
    if (!complex.empty() || !attributes.empty()) {
        texts.emplace_back("stillhouse",
                           to_json(Map{{"complex", std::move(complex)}, {"attributes", std::move(attributes)}}));
    }
    entries.emplace(entries.begin(), "__metadata__", std::move(texts));
    std::string header = to_json(std::move(entries));
    header.append((64 - (8 + header.size()) % 64) % 64, ' ');            // the payloads begin at a multiple of 64
    const std::uint64_t length = header.size();
    output_.fd().write_full(reinterpret_cast<const std::byte*>(&length), sizeof length);
    output_.fd().write_full(reinterpret_cast<const std::byte*>(header.data()), header.size());
}

void SafetensorsWriter::append(const std::byte* data, std::size_t n)
{
    STILLHOUSE_CHECK(n <= left_);
    output_.fd().write_full(data, n);
    left_ -= n;
}

void SafetensorsWriter::finish()
{
    STILLHOUSE_CHECK(left_ == 0);
    output_.commit();
}

}  // namespace stillhouse::formats
