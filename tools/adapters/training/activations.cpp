// SPDX-License-Identifier: Apache-2.0
// Running a network and showing its work.
#include "tools/adapters/training/activations.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace stillhouse::adapters {

namespace {

// Rows of logits in memory at a time.
constexpr Index strip_rows = 256;

formats::TensorHeader header_of(const std::string& name, DType dtype, Shape shape, bool owned)
{
    formats::TensorHeader header;
    header.name = name;
    header.dtype = dtype;
    header.shape = std::move(shape);
    if (owned) {
        header.set_attribute("owned", true);
    }
    return header;
}

/// Appends n values to the tensor that is open, converted a block at a time.
template <class T>
void append_as(formats::StreamWriter& writer, DType dtype, const T* values, Index n)
{
    constexpr Index block = 1 << 16;
    Buffer<std::byte> bytes(std::min(block, n) * static_cast<Index>(size_of(dtype)));
    for (Index i = 0; i < n; i += block) {
        const Index m = std::min(block, n - i);
        convert_to(dtype, values + i, m, bytes.data());
        writer.append(bytes.data(), static_cast<std::size_t>(m) * size_of(dtype));
    }
}

template <class T>
void write_as(formats::StreamWriter& writer, const formats::TensorHeader& header, const T* values)
{
    writer.begin(header);
    append_as(writer, header.dtype, values, header.elements());
    writer.end();
}

bool contains(const std::vector<Index>& layers, Index layer)
{
    return layers.empty() || std::find(layers.begin(), layers.end(), layer) != layers.end();
}

/// The k largest of a row, first by value, then by id, and log of the probability of all others.
template <class T>
double take_top(const T* logits, Index n, Index k, Index* ids, T* values)
{
    std::vector<Index> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), Index{0});
    const auto before = [&](Index a, Index b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
    std::nth_element(order.begin(), order.begin() + (k - 1), order.end(), before);
    std::sort(order.begin(), order.begin() + k, before);
    for (Index i = 0; i < k; ++i) {
        ids[i] = order[static_cast<std::size_t>(i)];
        values[i] = logits[ids[i]];
    }
    // Summed by id: the order nth_element leaves behind is the library's own affair.
    std::sort(order.begin() + k, order.end());
    const double greatest = static_cast<double>(values[0]);
    double top = 0.0;
    for (Index i = 0; i < k; ++i) {
        top += std::exp(static_cast<double>(values[i]) - greatest);
    }
    double others = 0.0;
    for (Index i = k; i < n; ++i) {
        others += std::exp(static_cast<double>(logits[order[static_cast<std::size_t>(i)]]) - greatest);
    }
    return std::log(others) - std::log(top + others);
}

template <class T>
class Show {
public:
    Show(const models::Network<T>& network, const Shown& shown, const std::string& prefix, Index batch, Index length,
         formats::StreamWriter& writer)
        : network_(network), shown_(shown), prefix_(prefix), batch_(batch), length_(length), writer_(writer)
    {
    }

    void tensor(const std::string& name, const Shape& shape, const T* values)
    {
        write_as(writer_, header_of(prefix_ + name, shown_.dtype, shape, shown_.owned), values);
    }

    void stream(const std::string& name, const T* values)
    {
        tensor(name, {batch_, length_, network_.config().width}, values);
    }

    void lag(Index layer, Sequences<const T> x)
    {
        const Index heads = network_.config().heads;
        Buffer<T> normed(x.size());
        network_.mixer_input(layer, x, {normed.data(), batch_, length_, x.width});
        Buffer<double> sums(heads * length_);
        Matrix<double> lags(sums.data(), heads, length_);
        with_context("--show lag: layer " + std::to_string(layer), [&] {
            network_.mixer(layer).sum_attention_by_lag(
                network_.ops(), Sequences<const T>(normed.data(), batch_, length_, x.width), lags);
        });
        for (Index h = 0; h < heads; ++h) {
            for (Index tau = 0; tau < length_; ++tau) {
                lags(h, tau) /= static_cast<double>(batch_ * (length_ - tau));
            }
        }
        write_as(writer_,
                 header_of(prefix_ + "layers." + std::to_string(layer) + ".mixer.lag", DType::f64, {heads, length_},
                           shown_.owned),
                 sums.data());
    }

    void logits(const T* x, const Control& control)
    {
        const Index width = network_.config().width;
        const Index vocabulary = network_.config().vocabulary;
        const Index k = std::min(shown_.top_k, vocabulary);
        const Index rows = batch_ * length_;
        Buffer<T> strip(std::min(strip_rows, rows) * vocabulary);
        Buffer<Index> ids(k > 0 ? rows * k : 0);
        Buffer<T> values(ids.size());
        Buffer<double> rest(k > 0 ? rows : 0);
        if (k == 0) {
            writer_.begin(
                header_of(prefix_ + "logits", shown_.dtype, {batch_, length_, vocabulary}, shown_.owned));
        }
        for (Index r = 0; r < rows; r += strip_rows) {
            control.throw_if_stopped();
            const Index n = std::min(strip_rows, rows - r);
            network_.head({x + r * width, n, width}, {strip.data(), n, vocabulary});
            if (k == 0) {
                append_as(writer_, shown_.dtype, strip.data(), n * vocabulary);
                continue;
            }
            network_.ops().pool().for_each(n, [&](Index i) {
                rest[r + i] = take_top(strip.data() + i * vocabulary, vocabulary, k, ids.data() + (r + i) * k,
                                       values.data() + (r + i) * k);
            });
        }
        if (k == 0) {
            writer_.end();
            return;
        }
        write_as(writer_, header_of(prefix_ + "logits.ids", DType::i64, {batch_, length_, k}, shown_.owned),
                 ids.data());
        tensor("logits.values", {batch_, length_, k}, values.data());
        write_as(writer_, header_of(prefix_ + "logits.rest", DType::f64, {batch_, length_}, shown_.owned),
                 rest.data());
    }

private:
    const models::Network<T>& network_;
    const Shown& shown_;
    const std::string& prefix_;
    Index batch_;
    Index length_;
    formats::StreamWriter& writer_;
};

}  // namespace

std::string batch_prefix(Index number)
{
    return "batches." + std::to_string(number) + ".";
}

void write_tokens(formats::StreamWriter& writer, Index number, const Index* tokens, Index batch, Index length,
                  bool owned)
{
    write_as(writer, header_of(batch_prefix(number) + "tokens", DType::i64, {batch, length}, owned), tokens);
}

template <class T>
void write_activations(const models::Network<T>& network, const Shown& shown, Index number, const Index* tokens,
                       Index batch, Index length, formats::StreamWriter& writer, const Control& control)
{
    write_tokens(writer, number, tokens, batch, length, shown.owned);
    if (!shown.any()) {
        return;
    }
    const Index layers = network.config().layers;
    const Index width = network.config().width;
    const std::string prefix = batch_prefix(number);
    Show<T> show(network, shown, prefix, batch, length, writer);

    Index last = layers - 1;                     // the last layer that something shown depends on
    if (!shown.logits && !shown.layers.empty()) {
        last = *std::max_element(shown.layers.begin(), shown.layers.end());
    }
    Buffer<T> x(batch * length * width);
    Buffer<T> mixer_output(shown.mixer ? x.size() : 0);
    Sequences<T> stream(x.data(), batch, length, width);
    network.embed(tokens, batch * length, x.data());
    for (Index i = 0; i <= last; ++i) {
        control.throw_if_stopped();
        const bool chosen = contains(shown.layers, i);
        const std::string layer = "layers." + std::to_string(i) + ".";
        if (shown.residual && (chosen || (i > 0 && contains(shown.layers, i - 1)))) {
            show.stream(layer + "input", x.data());
        }
        // The lags want the layer's input, which the layer overwrites; they are written after its output.
        Buffer<T> before = chosen && shown.lag ? x.clone() : Buffer<T>();
        T* mixed = chosen && shown.mixer ? mixer_output.data() : nullptr;
        network.layer(i, stream, stream, nullptr, mixed);
        if (mixed != nullptr) {
            show.stream(layer + "mixer.output", mixed);
        }
        if (!before.empty()) {
            show.lag(i, {before.data(), batch, length, width});
        }
    }
    if (shown.residual && contains(shown.layers, last)) {
        show.stream(last == layers - 1 ? "output" : "layers." + std::to_string(last + 1) + ".input", x.data());
    }
    if (shown.logits) {
        show.logits(x.data(), control);
    }
}
template void write_activations(const models::Network<float>&, const Shown&, Index, const Index*, Index, Index,
                                formats::StreamWriter&, const Control&);
template void write_activations(const models::Network<double>&, const Shown&, Index, const Index*, Index, Index,
                                formats::StreamWriter&, const Control&);

}  // namespace stillhouse::adapters
