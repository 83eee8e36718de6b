// SPDX-License-Identifier: Apache-2.0
// Streams, .npy and .safetensors as one sequence of tensors.
#include "formats/npy.hpp"
#include "libcore/base/error.hpp"
#include "tools/adapters/filters/filter_names.hpp"
#include "tools/adapters/filters/filters.hpp"

#include <algorithm>
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

std::optional<Index> ArrayInput::arrays() const
{
    return stream_ ? std::nullopt : std::optional<Index>(static_cast<Index>(arrays_.size()));
}

Frame ArrayInput::next()
{
    if (stream_) {
        return stream_->next();
    }
    npy_.reset();
    header_ = {};
    return at_ < arrays_.size() ? (++at_, Frame::tensor) : Frame::end;
}

const formats::TensorHeader& ArrayInput::header() const
{
    if (stream_) {
        return stream_->header();
    }
    const_cast<ArrayInput*>(this)->open_array();
    return header_;
}

const formats::StoredTensor* ArrayInput::stored() const
{
    const Array& array = arrays_[at_ - 1];
    return ends_with(array.path, ".npy") ? nullptr : &files_[array.file]->tensors()[array.tensor];
}

void ArrayInput::open_array()
{
    STILLHOUSE_CHECK(at_ >= 1 && at_ <= arrays_.size());
    if (!header_.name.empty()) {
        return;
    }
    const Array& array = arrays_[at_ - 1];
    if (const formats::StoredTensor* tensor = stored()) {
        with_context(array.path, [&] { formats::checked_data(*tensor); });
        header_ = tensor->header;
    } else {
        npy_.emplace(openers_.file(array.path));
        npy_header_ = formats::read_npy_header(*npy_);
        header_.name = array.name;
        header_.dtype = npy_header_.dtype;
        header_.shape = npy_header_.shape;
    }
}

formats::Tensor ArrayInput::read()
{
    if (stream_) {
        return stream_->read();
    }
    open_array();
    const formats::StoredTensor* tensor = stored();
    return tensor != nullptr ? formats::read_stored(*tensor)
                             : formats::read_npy(*npy_, npy_header_, arrays_[at_ - 1].name);
}

void ArrayInput::read_pieces(const std::function<void(const std::byte*, std::size_t)>& use)
{
    if (stream_) {
        stream_->read_pieces(use);
        return;
    }
    open_array();
    const formats::StoredTensor* tensor = stored();
    if (tensor == nullptr) {
        formats::read_npy_pieces(*npy_, npy_header_, use);
        return;
    }
    const formats::MappedFile& file = files_[arrays_[at_ - 1].file]->file();
    const std::uint64_t bytes = header_.bytes();
    constexpr std::uint64_t piece = std::uint64_t{1} << 20U;
    for (std::uint64_t done = 0; done < bytes; done += piece) {
        const std::uint64_t n = std::min(piece, bytes - done);
        use(tensor->data + done, static_cast<std::size_t>(n));
        file.forget(tensor->data + done, tensor->data + done + n);
    }
}

void ArrayInput::copy_to(formats::StreamWriter* writer)
{
    if (writer == nullptr) {
        return;
    }
    if (stream_) {
        stream_->copy_to(*writer);
        return;
    }
    writer->begin(header());
    read_pieces([&](const std::byte* bytes, std::size_t n) { writer->append(bytes, n); });
    writer->end();
}

}  // namespace stillhouse::adapters
