// SPDX-License-Identifier: Apache-2.0
// Arrays of other programs into a stream, and single tensors out of one.
#include "formats/glob.hpp"
#include "formats/json.hpp"
#include "formats/model_folder.hpp"
#include "formats/npy.hpp"
#include "formats/safetensors.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/streams/array_files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include <unistd.h>

namespace stillhouse::adapters {

namespace {

using formats::StoredTensor;
using formats::StreamReader;
using formats::Tensor;
using formats::TensorHeader;
using Frame = StreamReader::Frame;

constexpr std::size_t room_for_header = 256;     // of a .npy whose first extent is known only at its end

std::string stem_of(const std::string& path)
{
    const std::size_t slash = path.rfind('/');
    std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
    return has_suffix(name, ".npy") ? name.substr(0, name.size() - 4) : name;
}

// What `export` noted under the metadata of a file.
formats::List kept_history(const formats::Map& metadata)
{
    for (const auto& [key, text] : metadata) {
        if (key == "stillhouse_history") {
            return with_context("metadata '" + key + "'",
                                [&value = text] { return formats::parse_json(value.text()).list(); });
        }
    }
    return {};
}

void write_bytes(formats::AtomicFile& output, const std::string& bytes)
{
    output.fd().write_full(bytes);
}

}  // namespace

bool has_suffix(std::string_view name, std::string_view suffix)
{
    return name.size() >= suffix.size() && name.substr(name.size() - suffix.size()) == suffix;
}

ArrayFiles::ArrayFiles(std::vector<std::string> paths, std::string name, OpenFile open)
    : paths_(std::move(paths)), name_(std::move(name)), open_(std::move(open))
{
    Index bare = 0;
    for (const std::string& path : paths_) {
        if (has_suffix(path, ".npy") || path == "-") {
            ++bare;
        } else if (!has_suffix(path, ".safetensors") && !formats::is_folder(path)) {
            throw_error(ErrorCode::bad_argument,
                        path + ": neither .npy nor .safetensors nor a folder; convert it to one of "
                               "these");
        }
    }
    if (!name_.empty() && bare != 1) {
        throw_error(ErrorCode::bad_argument, "--name is for one .npy file, " + std::to_string(bare) + " are given");
    }
    if (name_.empty() && bare == 1) {
        name_ = "filter";
    }
}

formats::StreamInfo ArrayFiles::info() const
{
    formats::StreamInfo info;
    for (const std::string& path : paths_) {
        formats::List history;
        if (formats::is_folder(path)) {
            info.kind = "model";
            history = kept_history(formats::ModelFolder(path).metadata());
        } else if (has_suffix(path, ".safetensors")) {
            history = kept_history(formats::SafetensorsFile(path).metadata());
        }
        for (formats::Value& entry : history) {
            if (std::find(info.history.begin(), info.history.end(), entry) == info.history.end()) {
                info.history.push_back(std::move(entry));
            }
        }
    }
    return info;
}

void ArrayFiles::each(const std::function<void(const TensorHeader&, const std::byte*)>& use) const
{
    std::unordered_map<std::string, std::string> file_of;
    const auto give = [&](const TensorHeader& header, const std::byte* data, const std::string& path) {
        const auto [at, is_new] = file_of.emplace(header.name, path);
        if (!is_new) {
            throw_error(ErrorCode::bad_data, "array " + header.name + " is in " + at->second + " and in " + path);
        }
        use(header, data);
    };
    const auto give_stored = [&](const std::vector<StoredTensor>& tensors, const std::string& path) {
        for (const StoredTensor& stored : tensors) {
            give(stored.header, with_context(path, [&] { return formats::checked_data(stored); }), path);
        }
    };
    for (const std::string& path : paths_) {
        if (formats::is_folder(path)) {
            const formats::ModelFolder folder(path);
            const std::pair<const char*, const std::string*> texts[] = {
                {"config.json", &folder.config()},
                {"tokenizer.json", &folder.tokenizer()},
                {"generation_config.json", &folder.generation_config()}};
            for (const auto& [name, text] : texts) {
                if (!text->empty()) {
                    TensorHeader header;
                    header.name = name;
                    header.dtype = DType::u8;
                    header.shape = {static_cast<Index>(text->size())};
                    give(header, reinterpret_cast<const std::byte*>(text->data()), path);
                }
            }
            give_stored(folder.tensors(), path);
        } else if (has_suffix(path, ".safetensors")) {
            const formats::SafetensorsFile file(path);
            give_stored(file.tensors(), path);
        } else {
            formats::Fd input = open_(path);
            const Tensor tensor = formats::read_npy(input, name_.empty() ? stem_of(path) : name_);
            give(tensor.header, tensor.data.data(), path);
        }
    }
}

Index get_array(StreamReader& reader, const std::string& name, ArrayForm form, formats::AtomicFile output,
                const TellNotice& notice, const Control& control)
{
    const bool several = formats::is_glob(name);
    if (several && form == ArrayForm::npy && !output.fd().is_regular()) {
        throw_error(ErrorCode::bad_argument, output.fd().name() +
                                                 ": several tensors as .npy need a regular file, since their "
                                                 "number stands at its beginning");
    }
    std::optional<TensorHeader> joined;
    DType written = DType::f32;
    Index found = 0;
    for (Frame frame = reader.next(); frame != Frame::end; frame = reader.next()) {
        control.throw_if_stopped();
        if (frame != Frame::tensor ||
            (several ? !formats::glob_matches(name, reader.header().name) : reader.header().name != name)) {
            continue;
        }
        const TensorHeader header = reader.header();
        ++found;
        const bool widened = header.dtype == DType::bf16 && form == ArrayForm::npy;
        if (!joined) {
            joined = header;
            written = widened ? DType::f32 : header.dtype;
            if (form == ArrayForm::npy) {
                write_bytes(output,
                            several ? std::string(room_for_header, '\0') : formats::npy_header(written, header.shape));
            }
            if (widened) {
                notice("tensor " + header.name + ": BF16 is widened to F32, which .npy has");
            }
        } else if (!several) {
            throw_error(ErrorCode::bad_data, reader.name() + ": tensor " + name + " occurs twice");
        } else {
            // Bare bytes have no shape that could contradict.
            const bool same = header.dtype == joined->dtype &&
                              (form == ArrayForm::raw ||
                               (!header.shape.empty() && header.shape.size() == joined->shape.size() &&
                                std::equal(header.shape.begin() + 1, header.shape.end(), joined->shape.begin() + 1)));
            if (!same) {
                throw_error(ErrorCode::bad_data,
                            reader.name() + ": tensor " + header.name + " is " + std::string(name_of(header.dtype)) +
                                " " + to_string(header.shape) + " and cannot follow " + joined->name + ", " +
                                std::string(name_of(joined->dtype)) + " " + to_string(joined->shape) +
                                ", in one array; name fewer, or write bare bytes to another name than .npy");
            }
            if (form == ArrayForm::npy) {
                joined->shape[0] += header.shape[0];
            }
        }
        if (widened) {
            const Tensor tensor = reader.read();
            std::vector<float> values(static_cast<std::size_t>(header.elements()));
            convert_from(DType::bf16, tensor.data.data(), header.elements(), values.data());
            output.fd().write_full(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(float));
        } else {
            reader.read_pieces([&](const std::byte* bytes, std::size_t n) { output.fd().write_full(bytes, n); });
        }
    }
    if (found == 0) {
        throw_error(ErrorCode::bad_data,
                    reader.name() + ": no tensor is called " + name + "; tensor-stream list shows the names");
    }
    if (several && form == ArrayForm::npy) {
        const std::string header = formats::npy_header(written, joined->shape, room_for_header);
        STILLHOUSE_CHECK(header.size() == room_for_header);
        if (::pwrite(output.fd().get(), header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())) {
            throw_error(ErrorCode::io, output.fd().name() + ": cannot write: " + std::strerror(errno));
        }
    }
    output.commit();
    return found;
}

}  // namespace stillhouse::adapters
