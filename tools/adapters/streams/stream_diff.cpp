// SPDX-License-Identifier: Apache-2.0
// Two streams compared tensor by tensor.
#include "tools/adapters/streams/stream_diff.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <utility>
#include <vector>

namespace stillhouse::adapters {

namespace {

using formats::Map;
using formats::StreamReader;
using formats::Tensor;
using formats::Value;
using Frame = StreamReader::Frame;

bool is_real_valued(DType type)
{
    return is_floating(type) || is_complex(type);
}

// Elements [first, first + n) as doubles; complex numbers are two.
void values_of(const Tensor& tensor, Index first, Index n, double* to)
{
    const DType type = tensor.header.dtype;
    const DType real = type == DType::c128 ? DType::f64 : type == DType::c64 ? DType::f32 : type;
    convert_from(real, tensor.data.data() + static_cast<std::size_t>(first) * size_of(real), n, to);
}

struct Distance {
    double relative = 0.0;
    double largest = 0.0;                    // |a - b| of one element
};

Distance distance(const Tensor& a, const Tensor& b)
{
    constexpr Index block = 4096;
    const Index n = a.header.elements() * (is_complex(a.header.dtype) ? 2 : 1);
    std::vector<double> x(block);
    std::vector<double> y(block);
    double square = 0.0;
    double norm = 0.0;
    Distance result;
    for (Index first = 0; first < n; first += block) {
        const Index count = std::min(block, n - first);
        values_of(a, first, count, x.data());
        values_of(b, first, count, y.data());
        for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
            if (x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) {
                norm += std::isfinite(x[i]) ? x[i] * x[i] : 0.0;
                continue;
            }
            const double difference = std::fabs(x[i] - y[i]);
            if (!std::isfinite(difference)) {
                return {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
            }
            square += difference * difference;
            norm += x[i] * x[i];
            result.largest = std::max(result.largest, difference);
        }
    }
    result.relative = square == 0.0 ? 0.0
                      : norm == 0.0 ? std::numeric_limits<double>::infinity()
                                    : std::sqrt(square / norm);
    return result;
}

std::string number(double x)
{
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", x);
    return text;
}

class Comparison {
public:
    Comparison(std::optional<double> tolerance, const std::function<void(const Value&, const std::string&)>& tell)
        : tolerance_(tolerance), tell_(tell)
    {
    }

    void stream(const StreamReader& a, const StreamReader& b)
    {
        if (tolerance_) {
            return;
        }
        const auto compare = [&](const char* what, const Value& x, const Value& y) {
            if (!(x == y)) {
                differ(Map{{"stream", what}, {"a", x}, {"b", y}},
                       std::string(what) + ": " + formats::to_json(x) + " and " + formats::to_json(y));
            }
        };
        compare("kind", a.info().kind, b.info().kind);
        compare("history", a.info().history, b.info().history);
        compare("attributes", a.info().attributes, b.info().attributes);
        compare("other keys", a.info().unknown, b.info().unknown);
    }

    void tensors(const Tensor& a, const Tensor& b)
    {
        ++result.compared;
        const auto& x = a.header;
        const auto& y = b.header;
        const auto fault = [&](const std::string& what, const std::string& one, const std::string& other) {
            differ(Map{{"tensor", x.name}, {"differs", what}, {"a", one}, {"b", other}},
                   "tensor " + x.name + ": " + what + " " + one + " and " + other);
        };
        const bool values = tolerance_ && is_real_valued(x.dtype) && is_real_valued(y.dtype) &&
                            is_complex(x.dtype) == is_complex(y.dtype);
        if (x.shape != y.shape) {
            return fault("shape", to_string(x.shape), to_string(y.shape));
        }
        if (x.dtype != y.dtype && !values) {
            return fault("type", std::string(name_of(x.dtype)), std::string(name_of(y.dtype)));
        }
        if (!tolerance_ && !(x.attributes == y.attributes && x.unknown == y.unknown)) {
            return fault("attributes", formats::to_json(x.attributes), formats::to_json(y.attributes));
        }
        const auto bytes = static_cast<std::size_t>(a.data.size());
        if (x.dtype == y.dtype && (bytes == 0 || std::memcmp(a.data.data(), b.data.data(), bytes) == 0)) {
            return;
        }
        if (!is_real_valued(x.dtype)) {
            return fault("values", "of " + a.name(), "of the other");
        }
        const Distance d = distance(a, b);
        if (!values || d.relative > *tolerance_) {
            differ(Map{{"tensor", x.name}, {"differs", "values"}, {"relative", d.relative}, {"largest", d.largest}},
                   "tensor " + x.name + ": values differ by " + number(d.relative) + " relative l2, at most " +
                       number(d.largest));
        }
    }

    void notes(const std::vector<Map>& a, const std::vector<Map>& b)
    {
        if (!tolerance_ && !(a == b)) {
            differ(Map{{"stream", "notes"}}, "notes: " + std::to_string(a.size()) + " and " + std::to_string(b.size()) +
                                                 ", not the same");
        }
    }

    void only(const std::string& name, const std::string& file)
    {
        differ(Map{{"tensor", name}, {"only", file}}, "tensor " + name + ": only in " + file);
    }

    DiffResult result;

private:
    void differ(const Value& json, const std::string& text)
    {
        ++result.different;
        tell_(json, text);
    }

    std::optional<double> tolerance_;
    const std::function<void(const Value&, const std::string&)>& tell_;
};

}  // namespace

DiffResult diff_streams(StreamReader& a, StreamReader& b, std::optional<double> tolerance,
                        const std::function<void(const Value&, const std::string&)>& tell, const Control& control)
{
    Comparison comparison(tolerance, tell);
    comparison.stream(a, b);
    StreamReader* const readers[2] = {&a, &b};
    std::map<std::string, Tensor> waiting[2];
    std::vector<Map> notes[2];
    bool ended[2] = {false, false};
    // Takes turns, so that streams of one order never have more than one tensor waiting.
    for (int side = 0; !ended[0] || !ended[1]; side = ended[1 - side] ? side : 1 - side) {
        control.throw_if_stopped();
        const Frame frame = ended[side] ? Frame::end : readers[side]->next();
        if (frame == Frame::end) {
            ended[side] = true;
        } else if (frame == Frame::note) {
            notes[side].push_back(readers[side]->note().map);
        } else {
            Tensor tensor = readers[side]->read();
            const auto partner = waiting[1 - side].find(tensor.name());
            if (partner == waiting[1 - side].end()) {
                waiting[side].emplace(tensor.name(), std::move(tensor));
            } else {
                comparison.tensors(side == 0 ? tensor : partner->second, side == 0 ? partner->second : tensor);
                waiting[1 - side].erase(partner);
            }
        }
    }
    for (int side = 0; side < 2; ++side) {
        for (const auto& [name, tensor] : waiting[side]) {
            comparison.only(name, readers[side]->name());
        }
    }
    comparison.notes(notes[0], notes[1]);
    return comparison.result;
}

}  // namespace stillhouse::adapters
