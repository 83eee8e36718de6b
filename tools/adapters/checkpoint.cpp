// SPDX-License-Identifier: Apache-2.0
// The folder of a training's checkpoints.
#include "tools/adapters/checkpoint.hpp"

#include "formats/json.hpp"
#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace stillhouse::adapters {

namespace {

constexpr std::string_view stem = "step-";
constexpr std::string_view suffix = ".mts";

/// The step in the name of a checkpoint, or -1.
Index step_of(std::string_view name)
{
    if (!name.starts_with(stem) || !name.ends_with(suffix)) {
        return -1;
    }
    const std::string_view digits = name.substr(stem.size(), name.size() - stem.size() - suffix.size());
    Index step = -1;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
    return error == std::errc() && stop == digits.data() + digits.size() ? step : -1;
}

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
    : folder_(std::move(folder)), every_s_(every_s), warn_(std::move(warn)), info_(std::move(info)),
      last_(std::chrono::steady_clock::now())
{
    std::error_code failed;
    std::filesystem::create_directories(folder_, failed);
    if (failed) {
        throw_error(ErrorCode::io, folder_ + ": cannot make the folder of the checkpoints: " + failed.message());
    }
    if (::access(folder_.c_str(), W_OK | X_OK) != 0) {
        throw_error(ErrorCode::io, folder_ + ": cannot write checkpoints into it: " + std::strerror(errno));
    }
    lock_ = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // file systems without locks are taken at the user's word; a run that was just killed may take a moment to die
    bool busy = false;
    for (int i = 0; i < 30 && lock_ >= 0; ++i) {
        busy = ::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!busy) {
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    if (busy) {
        ::close(lock_);
        throw_error(ErrorCode::io, folder_ + ": another run keeps its checkpoints there; take another folder");
    }
    std::vector<std::filesystem::path> parts;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, failed)) {
        const std::string name = entry.path().filename().string();
        if (const Index step = step_of(name); step >= 0) {
            kept_.push_back(step);
        } else if (name.starts_with("." + std::string(stem)) && name.ends_with(".part")) {
            parts.push_back(entry.path());      // of a run that was killed while it wrote
        }
    }
    std::sort(kept_.begin(), kept_.end());
    if (begin == Begin::anew && any()) {
        if (overwrite == formats::Overwrite::refuse) {
            ::close(lock_);
            throw_error(ErrorCode::io, folder_ + ": holds the checkpoints of a run; give --resume to go on with it, -f "
                                                 "to begin anew, or another folder");
        }
        clear();
    }
    for (const auto& part : parts) {
        std::filesystem::remove(part, failed);
    }
}

Checkpoints::~Checkpoints()
{
    if (lock_ >= 0) {
        ::close(lock_);
    }
}

std::string Checkpoints::path(Index step) const
{
    std::string digits = std::to_string(step);
    digits.insert(0, 12 - std::min<std::size_t>(12, digits.size()), '0');
    return (std::filesystem::path(folder_) / (std::string(stem) + digits + std::string(suffix))).string();
}

std::optional<Checkpoint> Checkpoints::newest()
{
    while (any()) {
        const std::string file = path(kept_.back());
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
            written_ = kept_.back();
            return found;
        } catch (const Error& error) {
            if (error.code() != ErrorCode::bad_data) {
                throw;
            }
            warn_(std::string(error.what()) + (kept_.size() > 1 ? "; the checkpoint before it is used"
                                                                : "; there is no checkpoint before it"));
        }
        std::error_code failed;
        std::filesystem::remove(file, failed);
        kept_.pop_back();
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
        formats::StreamWriter writer(formats::AtomicFile(path(content.step), formats::Overwrite::replace), info);
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
    kept_.push_back(content.step);
    written_ = content.step;
    std::error_code failed;
    while (kept_.size() > 2) {           // only now: whenever the run is killed, two whole ones are there
        std::filesystem::remove(path(kept_.front()), failed);
        kept_.erase(kept_.begin());
    }
    info_("checkpoint " + path(content.step));
}

void Checkpoints::clear()
{
    std::error_code failed;
    for (const Index step : kept_) {
        std::filesystem::remove(path(step), failed);
    }
    kept_.clear();
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
