// SPDX-License-Identifier: Apache-2.0
// The folder of a training's checkpoints.
#include "tools/adapters/checkpoint.hpp"

#include "formats/json.hpp"
#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"

#include <algorithm>

namespace stillhouse::adapters {

namespace {

template <class T>
constexpr DType dtype_of = std::is_same_v<T, float> ? DType::f32 : std::is_same_v<T, double> ? DType::f64 : DType::i64;

}  // namespace

const formats::Value& Checkpoint::at(std::string_view key) const
{
    for (const auto& [name_of, value] : record) {
        if (name_of == key) {
            return value;
        }
    }
    throw Error(ErrorCode::bad_data, "no attribute " + std::string(key) + ": this is no checkpoint of this tool")
        .within(name);
}

const formats::Tensor& Checkpoint::tensor(std::string_view tensor_name) const
{
    const auto found = tensors.find(tensor_name);
    if (found == tensors.end()) {
        throw Error(ErrorCode::bad_data, "no tensor " + std::string(tensor_name) + ": it is of another training")
            .within(name);
    }
    return found->second;
}

template <class T>
std::vector<T> Checkpoint::values(std::string_view tensor_name) const
{
    const formats::Tensor& found = tensor(tensor_name);
    if (found.header.dtype != dtype_of<T>) {
        throw Error(ErrorCode::bad_data, "tensor " + std::string(tensor_name) + " has another type than expected")
            .within(name);
    }
    return {found.as<T>(), found.as<T>() + found.header.elements()};
}

template <class T>
void Checkpoint::put_back(std::string_view tensor_name, T* to, Index n) const
{
    const formats::Tensor& found = tensor(tensor_name);
    if (found.header.dtype != dtype_of<T> || found.header.elements() != n) {
        throw Error(ErrorCode::bad_data, "tensor " + std::string(tensor_name) + ": shape " +
                                             to_string(found.header.shape) + ", expected " + std::to_string(n) +
                                             " values: it is of another training")
            .within(name);
    }
    std::copy_n(found.as<T>(), n, to);
}

Checkpoints::Checkpoints(std::string folder, double every_s, Begin begin, formats::Overwrite overwrite, Say warn,
                         Say info)
    : folder_(std::move(folder), "step-", "checkpoints", begin, overwrite), every_s_(every_s), warn_(std::move(warn)),
      info_(std::move(info)), last_(std::chrono::steady_clock::now())
{
}

std::optional<Checkpoint> Checkpoints::newest()
{
    while (any()) {
        const std::string file = folder_.path(folder_.numbers().back());
        try {
            Checkpoint found;
            found.name = file;
            formats::StreamReader reader(formats::Fd::open_input(file));
            found.record = reader.info().attributes;
            for (auto frame = reader.next(); frame != formats::StreamReader::Frame::end; frame = reader.next()) {
                if (frame == formats::StreamReader::Frame::tensor) {
                    formats::Tensor tensor = reader.read();
                    std::string name = tensor.name();
                    found.tensors.emplace(std::move(name), std::move(tensor));
                }
            }
            written_ = folder_.numbers().back();
            return found;
        } catch (const Error& error) {
            if (error.code() != ErrorCode::bad_data) {
                throw;
            }
            warn_(std::string(error.what()) + (folder_.numbers().size() > 1 ? "; the checkpoint before it is used"
                                                                : "; there is no checkpoint before it"));
        }
        folder_.remove(folder_.numbers().back());
    }
    return std::nullopt;
}

bool Checkpoints::due() const
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - last_).count() >= every_s_;
}

void Checkpoints::write(const CheckpointContent& content)
{
    last_ = std::chrono::steady_clock::now();
    if (content.step == written_) {
        return;
    }
    try {
        formats::StreamInfo info;
        info.attributes = content.record;
        const std::string file = folder_.path(content.step);
        formats::StreamWriter writer(formats::AtomicFile(file, formats::Overwrite::replace), info);
        for (const auto& part : content.parts) {
            formats::TensorHeader header;
            header.name = part.name;
            header.dtype = part.dtype;
            header.shape = part.shape;
            writer.write(header, static_cast<const std::byte*>(part.data));
        }
        writer.finish();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::io) {
            throw;
        }
        warn_(std::string("no checkpoint of step ") + std::to_string(content.step) + ": " + error.what() +
              (any() ? "; the one before it stays" : ""));
        return;
    }
    folder_.added(content.step);
    written_ = content.step;
    while (folder_.numbers().size() > 2) {   // only now: whenever the run is killed, two whole ones are there
        folder_.remove(folder_.numbers().front());
    }
    info_("checkpoint " + folder_.path(content.step));
}

void Checkpoints::clear()
{
    folder_.clear();
    written_ = -1;
}

void require_same_run(const Checkpoint& checkpoint, const formats::Map& now,
                      const std::vector<std::pair<std::string, std::string>>& same)
{
    const auto refuse = [&](const std::string& what) {
        throw Error(ErrorCode::bad_argument, "cannot be resumed: " + what + "; resume with what it was begun with, or "
                                             "begin anew with -f and without --resume")
            .within(checkpoint.name);
    };
    const auto text = [](const formats::Value* value) {
        return value == nullptr ? std::string("not given") : formats::to_json(*value);
    };
    const formats::Value then = formats::parse_json(checkpoint.at("settings").text());
    const formats::Value current(now);
    const formats::Value today = formats::parse_json(current.find("settings")->text());
    std::vector<std::string> keys;
    for (const formats::Value* one : {&then, &today}) {
        for (const auto& [key, value] : one->map()) {
            if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
                keys.push_back(key);
            }
        }
    }
    for (const std::string& key : keys) {
        // whoever met a bad batch may go on without it
        if (key != "skip-bad" && text(then.find(key)) != text(today.find(key))) {
            refuse("--" + key + " was " + text(then.find(key)) + ", is " + text(today.find(key)));
        }
    }
    for (const auto& [key, what] : same) {
        if (text(&checkpoint.at(key)) != text(current.find(key))) {
            refuse("it was begun with another " + what);
        }
    }
}

template void Checkpoint::put_back<float>(std::string_view, float*, Index) const;
template void Checkpoint::put_back<double>(std::string_view, double*, Index) const;
template void Checkpoint::put_back<Index>(std::string_view, Index*, Index) const;
template std::vector<double> Checkpoint::values<double>(std::string_view) const;
template std::vector<Index> Checkpoint::values<Index>(std::string_view) const;

}  // namespace stillhouse::adapters
