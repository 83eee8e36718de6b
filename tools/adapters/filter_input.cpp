// SPDX-License-Identifier: Apache-2.0
// Streams, .npy and .safetensors as one sequence of tensors.
#include "formats/npy.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/filter_names.hpp"
#include "tools/adapters/filters.hpp"

#include <filesystem>

namespace stillhouse::adapters {

namespace {

using Frame = formats::StreamReader::Frame;

bool ends_with(const std::string& text, std::string_view end)
{
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// What one of several .npy files holds: a stem that says it ("layer.poles", "fir") stands, any other is a filter's.
std::string array_name(const std::string& path)
{
    const std::string stem = std::filesystem::path(path).stem().string();
    for (const char* part : {"filter", "poles", "residues", "fir", "order", "sections", "cascade"}) {
        if (last_part(stem) == part) {
            return stem;
        }
    }
    return stem + ".filter";
}

}  // namespace

ArrayInput::ArrayInput(const std::vector<std::string>& paths, Openers openers)
    : paths_(paths.empty() ? std::vector<std::string>{"-"} : paths), openers_(std::move(openers))
{
    name_ = paths_.front() == "-" ? "standard input" : paths_.front();
    for (const std::string& path : paths_) {
        if (ends_with(path, ".npy")) {
            arrays_.push_back({path, 0, 0, paths_.size() == 1 ? "filter" : array_name(path)});
        } else if (ends_with(path, ".safetensors")) {
            files_.push_back(std::make_unique<formats::SafetensorsFile>(path));
            for (std::size_t i = 0; i < files_.back()->tensors().size(); ++i) {
                arrays_.push_back({path, files_.size() - 1, i, files_.back()->tensors()[i].header.name});
            }
        } else if (paths_.size() == 1) {
            stream_.emplace(openers_.stream(path));
        } else {
            throw_error(ErrorCode::bad_argument, path + ": a stream stands alone; several inputs must be .npy or "
                                                        ".safetensors (tensor-stream cat joins streams)");
        }
    }
    std::set<std::string> names;
    for (const Array& array : arrays_) {
        if (!names.insert(array.name).second) {
            throw_error(ErrorCode::bad_data, array.path + ": a second array is called " + array.name +
                        "; names must differ");
        }
    }
}

ArrayInput::~ArrayInput() = default;

const formats::StreamInfo& ArrayInput::info() const { return stream_ ? stream_->info() : info_; }

bool ArrayInput::rereadable() const
{
    for (const std::string& path : paths_) {
        std::error_code error;
        if (path == "-" || !std::filesystem::is_regular_file(path, error)) {
            return false;
        }
    }
    return true;
}

Frame ArrayInput::next()
{
    if (stream_) {
        return stream_->next();
    }
    loaded_.reset();
    return at_ < arrays_.size() ? (++at_, Frame::tensor) : Frame::end;
}

const formats::TensorHeader& ArrayInput::header() const
{
    if (stream_) {
        return stream_->header();
    }
    return const_cast<ArrayInput*>(this)->array().header;        // loads a .npy at the first look
}

const formats::Tensor& ArrayInput::array()
{
    STILLHOUSE_CHECK(at_ >= 1 && at_ <= arrays_.size());
    if (!loaded_) {
        const Array& array = arrays_[at_ - 1];
        if (ends_with(array.path, ".npy")) {
            formats::Fd file = openers_.file(array.path);
            loaded_ = formats::read_npy(file, array.name);
        } else {
            loaded_ = formats::read_stored(files_[array.file]->tensors()[array.tensor]);
        }
    }
    return *loaded_;
}

formats::Tensor ArrayInput::read()
{
    if (stream_) {
        return stream_->read();
    }
    array();
    formats::Tensor tensor;
    tensor.header = loaded_->header;
    tensor.data = loaded_->data.clone();
    return tensor;
}

void ArrayInput::copy_to(formats::StreamWriter* writer)
{
    if (writer == nullptr) {
        return;
    }
    if (stream_) {
        stream_->copy_to(*writer);
    } else {
        writer->write(array());
    }
}

}  // namespace stillhouse::adapters
