// SPDX-License-Identifier: Apache-2.0
// A folder that lives as long as a test, and what several tests of formats share.
#pragma once

#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"
#include "libcore/base/error.hpp"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

namespace stillhouse::formats::test {

class Scratch {
public:
    Scratch()
    {
        std::string pattern = (std::filesystem::temp_directory_path() / "stillhouse-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) {
            throw std::runtime_error("no scratch folder");
        }
        folder_ = pattern;
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { std::filesystem::remove_all(folder_); }

    std::string file(const std::string& name) const { return (folder_ / name).string(); }
    std::string folder() const { return folder_.string(); }
    std::size_t files() const
    {
        return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
    }

private:
    std::filesystem::path folder_;
};

inline std::string content(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

inline void put_content(const std::string& path, const std::string& bytes)
{
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// The error that `body` throws, if it throws one.
inline std::optional<Error> error_of(const std::function<void()>& body)
{
    try {
        body();
    } catch (const Error& error) {
        return error;
    }
    return std::nullopt;
}

template <class T>
Tensor tensor_of(const std::string& name, DType dtype, Shape shape, const std::vector<T>& values)
{
    Tensor tensor;
    tensor.header.name = name;
    tensor.header.dtype = dtype;
    tensor.header.shape = std::move(shape);
    if (tensor.header.bytes() != values.size() * sizeof(T)) {
        throw std::logic_error("a test tensor of the wrong size");
    }
    tensor.data = Buffer<std::byte>(static_cast<Index>(tensor.header.bytes()));
    if (!values.empty()) {
        std::memcpy(tensor.data.data(), values.data(), values.size() * sizeof(T));
    }
    return tensor;
}

/// A small stream with something of everything: attributes of all kinds, a note, empty and scalar tensors.
inline void write_sample(const std::string& path)
{
    StreamInfo info;
    info.kind = "model";
    info.history = {
        Map{{"tool", "teacher-dump"}, {"version", "0.1.0"}, {"settings", Map{{"limit", 400000}, {"lr", 1.0}}}}};
    info.attributes = {{"seed", 7}};
    StreamWriter writer(AtomicFile(path, Overwrite::replace), info);
    Tensor tensor = tensor_of<float>("layers.0.mixer.filter", DType::f32, {2, 3}, {1, -2, 3, 0.5F, 0, -0.0F});
    tensor.header.attributes = {{"delay", 0}, {"rate", -0.0}, {"on", true}, {"none", Value()}, {"far", -5000000000},
                                {"list", List{1, "two", List{}, Map{}}}, {"bin", Bytes{"abc"}},
                                {"big", std::uint64_t{18446744073709551615U}}};
    tensor.header.unknown = {{"later", Map{{"x", 1.5}}}};
    writer.write(tensor);
    writer.write(Note{{{"loss", 0.25}, {"layer", 3}}});
    writer.write(tensor_of<std::int64_t>("empty", DType::i64, {0, 5}, {}));
    writer.write(tensor_of<double>("scalar", DType::f64, {}, {-0.0}));
    writer.finish();
}

/// Reads everything; returns how many frames there were after the first.
inline int read_all(const std::string& path)
{
    StreamReader reader(Fd::open_input(path));
    int frames = 0;
    for (;;) {
        ++frames;
        switch (reader.next()) {
        case StreamReader::Frame::tensor: (void)reader.read(); break;
        case StreamReader::Frame::note: break;
        case StreamReader::Frame::end: return frames;
        }
    }
}

}  // namespace stillhouse::formats::test
