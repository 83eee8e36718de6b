// SPDX-License-Identifier: Apache-2.0
// The closed-form start.
#include "libcore/training/closed_start.hpp"

#include "libcore/training/regression.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <cmath>

namespace stillhouse::training {

namespace {

using models::MixerConfig;
using models::MixerKind;
using models::NetworkConfig;
using models::Parameters;

using DoubleMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Spread of the keys around 1 for N > 1. Any value gives the same start, since the q average it out; it sets how fast
// gradients tell the channels of a head apart.
constexpr double key_spread = 0.1;
constexpr double ridge = 1e-4;

std::string layer_name(Index layer, const char* part)
{
    return "layers." + std::to_string(layer) + "." + part;
}

/// Channels of the teacher (0 .. E - 1) that are not of a kept head, in order.
std::vector<Index> mixed_channels(const NetworkConfig& config, const MixerConfig& mixer)
{
    std::vector<Index> channels;
    for (Index head = 0; head < config.heads; ++head) {
        if (std::find(mixer.kept_heads.begin(), mixer.kept_heads.end(), head) != mixer.kept_heads.end()) {
            continue;
        }
        for (Index d = 0; d < config.head_dim; ++d) {
            channels.push_back(head * config.head_dim + d);
        }
    }
    return channels;
}

/// Row of the key and value projections that serves query channel c.
Index shared_row(const NetworkConfig& config, Index c)
{
    const Index head = c / config.head_dim;
    return head / (config.heads / config.kv_heads) * config.head_dim + c % config.head_dim;
}

template <class T>
void copy_rows(const NetworkConfig& config, const Parameters<T>& from, const std::string& source, bool shared,
               const std::vector<Index>& channels, Parameters<T>& to, const std::string& target)
{
    const auto* bias = from.find(source + ".bias");
    const auto weight = from.at(source + ".weight").matrix();
    auto out = to.at(target + ".weight").matrix();
    auto* out_bias = to.find(target + ".bias");
    for (Index i = 0; i < out.rows; ++i) {
        const Index c = channels[static_cast<std::size_t>(i)];
        const Index row = shared ? shared_row(config, c) : c;
        std::copy_n(weight.row(row), out.cols, out.row(i));
        if (out_bias != nullptr) {
            out_bias->values[i] = bias != nullptr ? bias->values[row] : T(0);
        }
    }
}

template <class T>
void fill(Parameters<T>& weights, const std::string& name, T value)
{
    if (auto* entry = weights.find(name)) {
        std::fill(entry->values.begin(), entry->values.end(), value);
    }
}

template <class T>
void open_gate(Parameters<T>& weights, const std::string& name, T bias)
{
    fill(weights, name + ".weight", T(0));
    fill(weights, name + ".bias", bias);
}

template <class T>
void short_identity(Parameters<T>& weights, const std::string& name)
{
    fill(weights, name + ".short.bias", T(0));
    if (auto* entry = weights.find(name + ".short.weight")) {
        auto taps = entry->matrix();
        for (Index c = 0; c < taps.rows; ++c) {
            std::fill_n(taps.row(c), taps.cols, T(0));
            taps(c, 0) = T(1);
        }
    }
}

/// Mean over the batches of the teacher's attention by lag, [heads, lags].
template <class T>
DoubleMatrix attention_by_lag(const models::Network<T>& student, const models::Mixer<T>& attention, Index layer,
                              Index heads, const std::vector<Activations<T>>& batches)
{
    Index longest = 0;
    for (const auto& batch : batches) {
        longest = std::max(longest, batch.length);
    }
    DoubleMatrix sum = DoubleMatrix::Zero(heads, longest);
    Eigen::VectorXd count = Eigen::VectorXd::Zero(longest);
    for (const auto& batch : batches) {
        const Sequences<const T> x = batch.stream(layer, student.config().width);
        Buffer<T> normed(x.size());
        const Sequences<T> view(normed.data(), x.batch, x.length, x.width);
        student.mixer_input(layer, x, view);
        DoubleMatrix part = DoubleMatrix::Zero(heads, batch.length);
        attention.sum_attention_by_lag(student.ops(), view, Matrix<double>(part.data(), heads, batch.length));
        sum.leftCols(batch.length) += part;
        for (Index tau = 0; tau < batch.length; ++tau) {
            count(tau) += static_cast<double>(batch.batch * (batch.length - tau));
        }
    }
    for (Index tau = 0; tau < longest; ++tau) {
        sum.col(tau) /= count(tau);
    }
    return sum;
}

/// The filters wanted: each the mean, over its channels, of the profiles of their heads, from lag `delay` on; those of
/// higher orders are the identity.
Buffer<double> filters_by_lag(const NetworkConfig& config, const MixerConfig& mixer, const DoubleMatrix& profile)
{
    const Index length = mixer.filter_length;
    const std::vector<Index> channels = mixed_channels(config, mixer);
    const auto n = static_cast<Index>(channels.size());
    Buffer<double> taps((mixer.order - 1) * mixer.filters * length);
    std::vector<Index> members(static_cast<std::size_t>(mixer.filters));
    for (Index c = 0; c < n; ++c) {
        ++members[static_cast<std::size_t>(c * mixer.filters / n)];
    }
    for (Index c = 0; c < n; ++c) {
        const Index f = c * mixer.filters / n;
        const Index head = channels[static_cast<std::size_t>(c)] / config.head_dim;
        for (Index t = mixer.delay; t < std::min<Index>(length, profile.cols()); ++t) {
            taps[f * length + t] += profile(head, t) / static_cast<double>(members[static_cast<std::size_t>(f)]);
        }
    }
    for (Index f = mixer.filters; f < (mixer.order - 1) * mixer.filters; ++f) {
        taps[f * length] = 1.0;
    }
    return taps;
}

/// Sums over all tokens that the ridge solve needs, in double.
struct NormalEquations {
    DoubleMatrix gram, cross;                   // f f^T [F, F], y f^T [D, F]
    Eigen::VectorXd feature_sum, target_sum;
    double target_square = 0.0;
    double tokens = 0.0;

    NormalEquations(Index features, Index width)
        : gram(DoubleMatrix::Zero(features, features)), cross(DoubleMatrix::Zero(width, features)),
          feature_sum(Eigen::VectorXd::Zero(features)), target_sum(Eigen::VectorXd::Zero(width))
    {
    }

    template <class T>
    void add(compute::Operations<T>& ops, Matrix<const T> f, Matrix<const T> y)
    {
        using compute::Transpose;
        Buffer<T> g(f.cols * f.cols);
        ops.gemm(T(1), f, Transpose::yes, f, Transpose::no, T(0), Matrix<T>(g.data(), f.cols, f.cols));
        for (Index i = 0; i < g.size(); ++i) {
            gram.data()[i] += static_cast<double>(g[i]);
        }
        Buffer<T> c(y.cols * f.cols);
        ops.gemm(T(1), y, Transpose::yes, f, Transpose::no, T(0), Matrix<T>(c.data(), y.cols, f.cols));
        for (Index i = 0; i < c.size(); ++i) {
            cross.data()[i] += static_cast<double>(c[i]);
        }
        for (Index r = 0; r < f.rows; ++r) {
            for (Index j = 0; j < f.cols; ++j) {
                feature_sum(j) += static_cast<double>(f(r, j));
            }
            for (Index j = 0; j < y.cols; ++j) {
                const auto value = static_cast<double>(y(r, j));
                target_sum(j) += value;
                target_square += value * value;
            }
        }
        tokens += static_cast<double>(f.rows);
    }

    void centre()
    {
        gram -= feature_sum * feature_sum.transpose() / tokens;
        cross -= target_sum * feature_sum.transpose() / tokens;
        target_square -= target_sum.squaredNorm() / tokens;
    }

    /// 1 - |W f + b - y|^2 / |y - mean y|^2 after `centre`.
    double explained(const DoubleMatrix& w, const Eigen::VectorXd& bias) const
    {
        const double error = target_square - 2.0 * w.cwiseProduct(cross).sum() + (w * gram).cwiseProduct(w).sum();
        const Eigen::VectorXd offset = target_sum / tokens - w * (feature_sum / tokens) - bias;
        return 1.0 - (error + tokens * offset.squaredNorm()) / std::max(target_square, 1e-300);
    }
};

/// out.weight beside taps.weight as one matrix [D, F], and back.
template <class T>
DoubleMatrix projection(const Parameters<T>& weights, Index layer, Index features)
{
    const auto out = weights.at(layer_name(layer, "mixer.out.weight")).matrix();
    const auto* taps = weights.find(layer_name(layer, "mixer.taps.weight"));
    DoubleMatrix w(out.rows, features);
    for (Index i = 0; i < out.rows; ++i) {
        for (Index j = 0; j < features; ++j) {
            w(i, j) = static_cast<double>(j < out.cols ? out(i, j) : taps->matrix()(i, j - out.cols));
        }
    }
    return w;
}

template <class T>
void set_projection(Parameters<T>& weights, Index layer, const DoubleMatrix& w, const Eigen::VectorXd& bias)
{
    auto out = weights.at(layer_name(layer, "mixer.out.weight")).matrix();
    auto* taps = weights.find(layer_name(layer, "mixer.taps.weight"));
    auto& offsets = weights.at(layer_name(layer, "mixer.out.bias"));
    for (Index i = 0; i < w.rows(); ++i) {
        for (Index j = 0; j < w.cols(); ++j) {
            T& target = j < out.cols ? out(i, j) : taps->matrix()(i, j - out.cols);
            target = static_cast<T>(w(i, j));
        }
        offsets.values[i] = static_cast<T>(bias(i));
    }
}

/// Mean over all tokens of the normed input of a layer, on these streams.
template <class T>
std::vector<double> mean_input(const models::Network<T>& student, Index layer,
                               const std::vector<Activations<T>>& batches, std::vector<Buffer<T>>& streams)
{
    const Index width = student.config().width;
    std::vector<double> mean(static_cast<std::size_t>(width));
    double tokens = 0.0;
    for (std::size_t b = 0; b < batches.size(); ++b) {
        const Sequences<T> s(streams[b].data(), batches[b].batch, batches[b].length, width);
        Buffer<T> normed(s.size());
        student.mixer_input(layer, s, Sequences<T>(normed.data(), s.batch, s.length, s.width));
        for (Index i = 0; i < normed.size(); ++i) {
            mean[static_cast<std::size_t>(i % width)] += static_cast<double>(normed[i]);
        }
        tokens += static_cast<double>(batches[b].size());
    }
    for (double& x : mean) {
        x /= tokens;
    }
    return mean;
}

/// The gates of heads as wide as the teacher's, in place of open ones: exp(s) to first order in the scores,
///   q.k = 1 + q_t . (k_s - mean k) / sqrt(N)
/// over the channels that rotary positions leave alone (what the others do depends on the lag, and the filter has
/// that on average; their q are 0). The 1 takes channel 0, the fastest plane where there is one.
template <class T>
void expand_softmax(const NetworkConfig& student, Index layer, const NetworkConfig& teacher,
                    const Parameters<T>& attention, const std::vector<double>& mean, Parameters<T>& weights)
{
    const MixerConfig& mixer = student.mixers.at(static_cast<std::size_t>(layer));
    const Index n = mixer.head_width;
    const std::vector<Index> channels = mixed_channels(teacher, mixer);
    const std::string to = layer_name(layer, "mixer.");
    const std::string from = layer_name(layer, "attention.");
    copy_rows(teacher, attention, from + "q", false, channels, weights, to + "q");
    copy_rows(teacher, attention, from + "k", true, channels, weights, to + "k");
    auto q = weights.at(to + "q.weight").matrix();
    auto k = weights.at(to + "k.weight").matrix();
    auto& q_bias = weights.at(to + "q.bias").values;
    auto& k_bias = weights.at(to + "k.bias").values;
    for (Index i = 0; i < q.rows; ++i) {
        const Index d = i % n;
        const double scale = d < teacher.rotary.dims ? 0.0 : 1.0 / std::sqrt(static_cast<double>(n));
        double offset = 0.0;
        for (Index j = 0; j < q.cols; ++j) {
            offset += static_cast<double>(k(i, j)) * mean[static_cast<std::size_t>(j)];
            q(i, j) = static_cast<T>(d == 0 ? 0.0 : scale * static_cast<double>(q(i, j)));
            k(i, j) = d == 0 ? T(0) : k(i, j);
        }
        q_bias[i] = static_cast<T>(d == 0 ? 1.0 : scale * static_cast<double>(q_bias[i]));
        k_bias[i] = static_cast<T>(d == 0 ? 1.0 : -offset);
    }
}

}  // namespace

template <class T>
void copy_attention(const NetworkConfig& student, Index layer, const NetworkConfig& teacher,
                    const Parameters<T>& attention, bool gates_open, Parameters<T>& weights)
{
    const MixerConfig& mixer = student.mixers.at(static_cast<std::size_t>(layer));
    const std::string to = layer_name(layer, "mixer.");
    const std::string from = layer_name(layer, "attention.");
    const std::vector<Index> channels = mixed_channels(teacher, mixer);

    copy_rows(teacher, attention, from + "v", true, channels, weights, to + "v");
    for (const char* part : {"q", "k", "v"}) {
        short_identity(weights, to + part);
    }
    fill(weights, to + "skip", T(0));
    if (mixer.window > 0) {
        copy_rows(teacher, attention, from + "q", false, channels, weights, to + "window.q");
        copy_rows(teacher, attention, from + "k", true, channels, weights, to + "window.k");
    }
    fill(weights, to + "taps.weight", T(0));
    const auto projected = attention.at(from + "out.weight").matrix();
    auto out = weights.at(to + "out.weight").matrix();
    for (Index i = 0; i < out.rows; ++i) {
        for (Index j = 0; j < out.cols; ++j) {
            out(i, j) = projected(i, j % projected.cols);
        }
    }
    const auto* bias = attention.find(from + "out.bias");
    auto& offset = weights.at(to + "out.bias");
    for (Index i = 0; i < out.rows; ++i) {
        offset.values[i] = bias != nullptr ? bias->values[i] : T(0);
    }
    if (!gates_open) {
        return;
    }
    const Index n = mixer.head_width;
    open_gate(weights, to + "q", static_cast<T>(1.0 / static_cast<double>(n)));
    open_gate(weights, to + "k", T(1));
    for (Index g = 1; g <= mixer.order - 2; ++g) {
        const std::string gate = to + "gate." + std::to_string(g);
        open_gate(weights, gate, T(1));
        short_identity(weights, gate);
    }
    if (n > 1) {
        copy_rows(teacher, attention, from + "k", true, channels, weights, to + "k");
        fill(weights, to + "k.bias", T(1));
        auto k = weights.at(to + "k.weight").matrix();
        for (Index head = 0; head < k.rows / n; ++head) {
            for (Index j = 0; j < k.cols; ++j) {
                double mean = 0.0;
                for (Index i = 0; i < n; ++i) {
                    mean += static_cast<double>(k(head * n + i, j)) / static_cast<double>(n);
                }
                for (Index i = 0; i < n; ++i) {
                    T& value = k(head * n + i, j);
                    value = static_cast<T>(key_spread * (static_cast<double>(value) - mean));
                }
            }
        }
    }
}

template <class T>
std::vector<LayerReport> closed_start(models::Network<T>& student, const NetworkConfig& teacher,
                                      const Parameters<T>& attention, const std::vector<Activations<T>>& batches,
                                      Refit refit, const Control& control)
{
    const NetworkConfig& config = student.config();
    auto& ops = student.ops();
    std::vector<Buffer<T>> streams;
    for (const auto& batch : batches) {
        streams.push_back(batch.residual.front().clone());
    }
    std::vector<LayerReport> reports;
    for (Index layer = 0; layer < config.layers; ++layer) {
        control.throw_if_stopped();
        control.at(layer, config.layers, "closed start, layer " + std::to_string(layer));
        const MixerConfig& mixer = config.mixers[static_cast<std::size_t>(layer)];
        LayerReport report{layer, mixer.kind != MixerKind::attention, 0.0, 0.0};
        if (report.replaced) {
            const auto teacher_mixer = models::make_mixer<T>(teacher, layer, attention);
            copy_attention(config, layer, teacher, attention, true, student.weights());
            if (mixer.head_width > 1 && mixer.head_width == teacher.head_dim &&
                mixer.form != models::FilterForm::none && teacher.rotary.dims < teacher.head_dim) {
                expand_softmax(config, layer, teacher, attention, mean_input(student, layer, batches, streams),
                               student.weights());
            }
            if (mixer.form != models::FilterForm::none) {
                const DoubleMatrix profile = attention_by_lag(student, *teacher_mixer, layer, teacher.heads, batches);
                const Buffer<double> taps = filters_by_lag(teacher, mixer, profile);
                const Index length = mixer.filter_length;
                regress_filter(config, layer, Matrix<const double>(taps.data(), taps.size() / length, length), ops,
                               student.weights(), control);
            }
            student.refresh();

            const Index features = student.mixer(layer).feature_width();
            NormalEquations sums(features, config.width);
            for (std::size_t b = 0; b < batches.size(); ++b) {
                control.throw_if_stopped();
                const Activations<T>& batch = batches[b];
                const Sequences<T> s(streams[b].data(), batch.batch, batch.length, config.width);
                Buffer<T> normed(s.size());
                const Sequences<T> input(normed.data(), s.batch, s.length, s.width);
                student.mixer_input(layer, s, input);
                Buffer<T> f(batch.size() * features);
                student.mixer(layer).features(ops, input, Matrix<T>(f.data(), batch.size(), features));
                Buffer<T> y(s.size());
                mixer_target<T>(student, *teacher_mixer, layer, batch, s,
                                Sequences<T>(y.data(), s.batch, s.length, s.width));
                sums.add(ops, Matrix<const T>(f.data(), batch.size(), features),
                         Matrix<const T>(y.data(), batch.size(), config.width));
            }
            sums.centre();
            DoubleMatrix w = projection(student.weights(), layer, features);
            Eigen::VectorXd bias(config.width);
            for (Index i = 0; i < config.width; ++i) {
                bias(i) = static_cast<double>(student.weights().at(layer_name(layer, "mixer.out.bias")).values[i]);
            }
            report.explained_before = sums.explained(w, bias);
            if (refit == Refit::yes) {
                DoubleMatrix regularised = sums.gram;
                regularised.diagonal().array() += ridge * sums.gram.diagonal().mean() + 1e-30;
                w = regularised.llt().solve(sums.cross.transpose()).transpose();
                if (!w.allFinite()) {
                    throw_error(ErrorCode::bad_data,
                                "layer " + std::to_string(layer) + ": the refit of the output projection has no finite "
                                "solution; the activations hold NaN or infinity");
                }
                bias = sums.target_sum / sums.tokens - w * (sums.feature_sum / sums.tokens);
                set_projection(student.weights(), layer, w, bias);
                student.refresh();
            }
            report.explained_after = sums.explained(w, bias);
        }
        for (std::size_t b = 0; b < batches.size(); ++b) {
            const Sequences<T> s(streams[b].data(), batches[b].batch, batches[b].length, config.width);
            student.layer(layer, s, s, nullptr);
        }
        reports.push_back(report);
    }
    return reports;
}

template void copy_attention<float>(const NetworkConfig&, Index, const NetworkConfig&, const Parameters<float>&, bool,
                                    Parameters<float>&);
template void copy_attention<double>(const NetworkConfig&, Index, const NetworkConfig&, const Parameters<double>&,
                                     bool, Parameters<double>&);
template std::vector<LayerReport> closed_start<float>(models::Network<float>&, const NetworkConfig&,
                                                      const Parameters<float>&, const std::vector<Activations<float>>&,
                                                      Refit, const Control&);
template std::vector<LayerReport> closed_start<double>(models::Network<double>&, const NetworkConfig&,
                                                       const Parameters<double>&,
                                                       const std::vector<Activations<double>>&, Refit, const Control&);

}  // namespace stillhouse::training
