// SPDX-License-Identifier: Apache-2.0
// What a training says as it goes.
#include "tools/adapters/training/training_log.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"

#include <cerrno>
#include <cmath>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace stillhouse::adapters {

namespace {

constexpr Index most_points = 300;

/// Bytes of the lines whose step is at most `step`, its look only if `looked`; a last line without its end was being
/// written by a run that died.
std::size_t bytes_up_to(const std::string& path, const std::string& text, Index step, bool looked)
{
    std::size_t kept = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        if (end == std::string::npos) {
            break;
        }
        const formats::Value* number = nullptr;
        formats::Value line;
        try {
            line = formats::parse_json(std::string_view(text).substr(at, end - at));
            number = line.find("step");
        } catch (const Error&) {
            number = nullptr;
        }
        if (number == nullptr) {
            throw_error(ErrorCode::bad_data, path + ": a line is no record of a training: --log would cut this file");
        }
        if (number->integer() > step || (number->integer() == step && !looked && line.find("perplexity") != nullptr)) {
            break;
        }
        at = kept = end + 1;
    }
    return kept;
}

}  // namespace

TrainingLog::TrainingLog(const std::string& path, Index resumed, bool looked)
{
    std::size_t kept = 0;
    if (resumed >= 0 && ::access(path.c_str(), F_OK) == 0) {
        kept = bytes_up_to(path, formats::read_file(path), resumed, looked);
    }
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        throw_error(ErrorCode::io, path + ": cannot open for writing: " + std::strerror(errno));
    }
    fd_ = formats::Fd(fd, path, true);
    if (fd_.is_regular() && (::ftruncate(fd, static_cast<off_t>(kept)) != 0 || ::lseek(fd, 0, SEEK_END) < 0)) {
        throw_error(ErrorCode::io, path + ": cannot cut it to " + std::to_string(kept) + " bytes: " +
                                       std::strerror(errno));
    }
}

void TrainingLog::write(const formats::Map& line)
{
    const std::string text = formats::to_json(formats::Value(line)) + "\n";
    fd_.write_full(text);
}

Plot loss_plot(const std::string& title, const std::string& label, const std::vector<std::string>& titles,
               std::span<const double> losses, const std::vector<std::pair<Index, double>>& valid)
{
    Plot plot{title, "step", label, Axis::linear, Axis::logarithmic, {}};
    const auto columns = static_cast<Index>(titles.size());
    const Index steps = static_cast<Index>(losses.size()) / columns;
    const Index stretch = std::max<Index>(1, (steps + most_points - 1) / most_points);
    for (Index column = 0; column < columns; ++column) {
        Curve curve{titles[static_cast<std::size_t>(column)], {}, {}};
        for (Index first = 0; first < steps; first += stretch) {
            double sum = 0.0;
            Index n = 0;
            for (Index i = first; i < std::min(steps, first + stretch); ++i) {
                const double loss = losses[static_cast<std::size_t>(i * columns + column)];
                sum += loss;
                n += loss > 0.0 ? 1 : 0;
            }
            if (n > 0) {
                curve.x.push_back(static_cast<double>(first) + 0.5 * static_cast<double>(stretch));
                curve.y.push_back(sum / static_cast<double>(n));
            }
        }
        if (!curve.x.empty()) {
            plot.curves.push_back(std::move(curve));
        }
    }
    if (!valid.empty()) {
        Curve curve{"validation, nats a token", {}, {}};
        for (const auto& [step, perplexity] : valid) {
            curve.x.push_back(static_cast<double>(step));
            curve.y.push_back(std::log(perplexity));
        }
        plot.curves.push_back(std::move(curve));
    }
    return plot;
}

}  // namespace stillhouse::adapters
