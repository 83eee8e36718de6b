// SPDX-License-Identifier: Apache-2.0
// Long-convolution mixers: the formula of the manual by plain loops, and gradients by finite differences.
#include "hyena_test.hpp"
#include "libcore/models/hyena_heads.hpp"

#include <boost/test/unit_test.hpp>

namespace stillhouse::models
{
namespace
{

using Table = std::vector<std::vector<double>>; // [token][channel]

/// stillhouse-model(5) for one sequence, as it stands there.
class Formula
{
public:
    Formula(const NetworkConfig& config, const Parameters<double>& weights, Matrix<const double> h)
        : config_(config), mixer_(config.mixers[0]), weights_(weights), h_(h)
    {
    }

    Table run(const Table& x) const
    {
        const Index length = static_cast<Index>(x.size());
        const Index n = weights_.at("layers.0.mixer.q.weight").shape[0];
        const Table q = projected(x, "mixer.q", true);
        const Table k = projected(x, "mixer.k", true);
        const Table v = projected(x, "mixer.v", true);
        std::vector<Table> gates;
        for (Index g = 1; g <= mixer_.order - 2; ++g) {
            gates.push_back(projected(x, "mixer.gate." + std::to_string(g), true));
        }
        Table c(x.size(), std::vector<double>(static_cast<std::size_t>(n), 0.0));
        const Index width = mixer_.head_width;
        for (Index out = 0; out < n; ++out) {
            const Index head = out / width;
            for (Index i = head * width; i < (head + 1) * width; ++i) {
                std::vector<double> u(x.size());
                for (std::size_t t = 0; t < x.size(); ++t) {
                    u[t] = k[t][static_cast<std::size_t>(i)] * v[t][static_cast<std::size_t>(out)];
                }
                for (Index g = 0; g < mixer_.order - 1; ++g) {
                    if (g > 0) {
                        for (std::size_t t = 0; t < x.size(); ++t) {
                            u[t] *= gates[static_cast<std::size_t>(g - 1)][t][static_cast<std::size_t>(out)];
                        }
                    }
                    u = convolved(u, g, out * mixer_.filters / n);
                }
                for (std::size_t t = 0; t < x.size(); ++t) {
                    c[t][static_cast<std::size_t>(out)] += q[t][static_cast<std::size_t>(i)] * u[t];
                }
            }
        }

        const auto& out_weight = weights_.at("layers.0.mixer.out.weight");
        const Index columns = out_weight.shape[1];
        Table features(x.size(), std::vector<double>(static_cast<std::size_t>(columns), 0.0));
        std::vector<Index> place;
        std::vector<Index> kept_place;
        for (Index e = 0; e < mixer_.channels; ++e) {
            bool kept = false;
            for (const Index head : mixer_.kept_heads) {
                kept = kept || e / config_.head_dim == head;
            }
            (kept ? kept_place : place).push_back(e);
        }
        put(c, place, 0, features);
        if (mixer_.window > 0) {
            put(softmax(projected(x, "mixer.window.q", false), projected(x, "mixer.window.k", false), v, mixer_.window),
                place, mixer_.channels, features);
        }
        if (!kept_place.empty()) {
            put(softmax(projected(x, "attention.q", false), projected(x, "attention.k", false),
                        projected(x, "attention.v", false), length),
                kept_place, 0, features);
        }
        Table y(x.size(), std::vector<double>(static_cast<std::size_t>(config_.width)));
        for (Index t = 0; t < length; ++t) {
            for (Index d = 0; d < config_.width; ++d) {
                double sum = weights_.at("layers.0.mixer.out.bias").values[d];
                for (Index e = 0; e < columns; ++e) {
                    sum +=
                        out_weight.matrix()(d, e) * features[static_cast<std::size_t>(t)][static_cast<std::size_t>(e)];
                }
                for (Index j = 0; j < mixer_.taps && j <= t; ++j) {
                    for (Index e = 0; e < config_.width; ++e) {
                        sum += weights_.at("layers.0.mixer.taps.weight").matrix()(d, j * config_.width + e) *
                               x[static_cast<std::size_t>(t - j)][static_cast<std::size_t>(e)];
                    }
                }
                y[static_cast<std::size_t>(t)][static_cast<std::size_t>(d)] = sum;
            }
        }
        return y;
    }

private:
    Table projected(const Table& x, const std::string& part, bool with_short) const
    {
        const std::string name = "layers.0." + part;
        const auto w = weights_.at(name + ".weight").matrix();
        Table z(x.size(), std::vector<double>(static_cast<std::size_t>(w.rows)));
        for (std::size_t t = 0; t < x.size(); ++t) {
            for (Index c = 0; c < w.rows; ++c) {
                double sum = weights_.at(name + ".bias").values[c];
                for (Index d = 0; d < w.cols; ++d) {
                    sum += w(c, d) * x[t][static_cast<std::size_t>(d)];
                }
                z[t][static_cast<std::size_t>(c)] = sum;
            }
        }
        if (!with_short || mixer_.short_taps == 0) {
            return z;
        }
        const auto taps = weights_.at(name + ".short.weight").matrix();
        Table y = z;
        for (std::size_t t = 0; t < x.size(); ++t) {
            for (Index c = 0; c < w.rows; ++c) {
                double sum = weights_.at(name + ".short.bias").values[c];
                for (Index j = 0; j < taps.cols && j <= static_cast<Index>(t); ++j) {
                    sum += taps(c, j) * z[t - static_cast<std::size_t>(j)][static_cast<std::size_t>(c)];
                }
                y[t][static_cast<std::size_t>(c)] = sum;
            }
        }
        return y;
    }

    std::vector<double> convolved(const std::vector<double>& u, Index g, Index filter) const
    {
        std::vector<double> y(u.size(), 0.0);
        for (Index t = 0; t < static_cast<Index>(u.size()); ++t) {
            for (Index s = 0; s <= t; ++s) {
                double tap = 0.0;
                if (mixer_.kind == MixerKind::linear) {
                    tap = t - s >= mixer_.window ? 1.0 : 0.0;
                } else if (t - s < h_.cols) {
                    tap = h_(g * mixer_.filters + filter, t - s);
                }
                y[static_cast<std::size_t>(t)] += tap * u[static_cast<std::size_t>(s)];
            }
            if (mixer_.filters > 0) {
                y[static_cast<std::size_t>(t)] +=
                    weights_.at("layers.0.mixer.skip").values[g * mixer_.filters + filter] *
                    u[static_cast<std::size_t>(t)];
            }
        }
        return y;
    }

    void turn(Table& x) const
    {
        const Index half = config_.rotary.dims / 2;
        for (std::size_t t = 0; t < x.size(); ++t) {
            for (Index first = 0; first < static_cast<Index>(x[t].size()); first += config_.head_dim) {
                for (Index i = 0; i < half; ++i) {
                    const double angle = static_cast<double>(t) *
                                         std::pow(config_.rotary.theta, -2.0 * static_cast<double>(i) /
                                                                            static_cast<double>(config_.rotary.dims));
                    double& a = x[t][static_cast<std::size_t>(first + i)];
                    double& b = x[t][static_cast<std::size_t>(first + i + half)];
                    const double turned = a * std::cos(angle) - b * std::sin(angle);
                    b = b * std::cos(angle) + a * std::sin(angle);
                    a = turned;
                }
            }
        }
    }

    Table softmax(Table q, Table k, const Table& v, Index window) const
    {
        turn(q);
        turn(k);
        Table y(q.size(), std::vector<double>(q[0].size(), 0.0));
        const auto width = static_cast<std::size_t>(config_.head_dim);
        for (std::size_t first = 0; first < q[0].size(); first += width) {
            for (std::size_t t = 0; t < q.size(); ++t) {
                double total = 0.0;
                std::vector<double> sum(width, 0.0);
                const std::size_t oldest =
                    t + 1 > static_cast<std::size_t>(window) ? t + 1 - static_cast<std::size_t>(window) : 0;
                for (std::size_t s = oldest; s <= t; ++s) {
                    double score = 0.0;
                    for (std::size_t i = 0; i < width; ++i) {
                        score += q[t][first + i] * k[s][first + i];
                    }
                    const double weight = std::exp(score / std::sqrt(static_cast<double>(width)));
                    total += weight;
                    for (std::size_t i = 0; i < width; ++i) {
                        sum[i] += weight * v[s][first + i];
                    }
                }
                for (std::size_t i = 0; i < width; ++i) {
                    y[t][first + i] = sum[i] / total;
                }
            }
        }
        return y;
    }

    static void put(const Table& from, const std::vector<Index>& place, Index first, Table& to)
    {
        for (std::size_t t = 0; t < from.size(); ++t) {
            for (std::size_t i = 0; i < from[t].size(); ++i) {
                to[t][static_cast<std::size_t>(first + place[i])] = from[t][i];
            }
        }
    }

    const NetworkConfig& config_;
    const MixerConfig& mixer_;
    const Parameters<double>& weights_;
    Matrix<const double> h_;
};

constexpr Index batch = 2;
constexpr Index length = 23;

template <class T>
double against_formula(const NetworkConfig& config)
{
    const auto exact = compute::make_backend("cpu", compute::Precision::f64, 2);
    const std::unique_ptr<compute::Backend> backend = backend_for<T>(2);
    const Parameters<double> weights = mixer_weights_of<double>(config, 3);
    const Parameters<T> own = mixer_weights_of<T>(config, 3);
    const MixerConfig& mixer = config.mixers[0];
    Buffer<double> h;
    if (mixer.form != FilterForm::none) {
        h = materialize_filters(exact->real(), mixer, 0, weights);
    }
    const Formula formula(config, weights, {h.data(), (mixer.order - 1) * mixer.filters, mixer.filter_length});
    const auto made = make_hyena_mixer<T>(config, 0, own);
    auto& ops = backend->on<T>();
    made->refresh(ops);
    const Buffer<double> x = random_values<double>(batch * length * config.width, 5);
    Buffer<T> rounded(x.size());
    std::transform(x.begin(), x.end(), rounded.begin(), [](double value) { return static_cast<T>(value); });
    Buffer<T> y(x.size());
    made->forward(ops, shaped(std::as_const(rounded), batch, length), shaped(y, batch, length), nullptr);
    double worst = 0.0;
    for (Index b = 0; b < batch; ++b) {
        Table sequence;
        for (Index t = 0; t < length; ++t) {
            const double* row = x.data() + (b * length + t) * config.width;
            sequence.emplace_back(row, row + config.width);
        }
        std::vector<double> wanted;
        for (const auto& row : formula.run(sequence)) {
            wanted.insert(wanted.end(), row.begin(), row.end());
        }
        worst =
            std::max(worst, distance_of(y.data() + b * length * config.width, wanted.data(), length * config.width));
    }
    return worst;
}

} // namespace

BOOST_AUTO_TEST_SUITE(hyena_gradients)

BOOST_AUTO_TEST_CASE(the_forward_is_the_formula_of_the_manual)
{
    for (const NamedMixer& each : small_mixers()) {
        BOOST_TEST_CONTEXT(each.name)
        {
            BOOST_TEST(against_formula<double>(each.config) <= 1e-12);
            BOOST_TEST(against_formula<float>(each.config) <= 2e-5);
        }
    }
}

/// Every element of every parameter, and the input, by central differences of fourth order.
BOOST_AUTO_TEST_CASE(finite_differences)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    auto& ops = backend->real();
    for (const NamedMixer& each : small_mixers()) {
        Parameters<double> weights = mixer_weights_of<double>(each.config, 4);
        if (auto* angle = weights.find("layers.0.mixer.filter_modes.angle")) {
            angle->values[1] = -0.2; // real poles of either sign beside the pairs
            angle->values[2] = std::numbers::pi + 0.3;
        }
        const auto mixer = make_hyena_mixer<double>(each.config, 0, weights);
        Buffer<double> x = random_values<double>(batch * length * each.config.width, 6);
        const Buffer<double> g = random_values<double>(x.size(), 7);
        Buffer<double> y(x.size());
        const auto loss = [&] {
            mixer->refresh(ops);
            mixer->forward(ops, shaped(std::as_const(x), batch, length), shaped(y, batch, length), nullptr);
            double sum = 0.0;
            for (Index i = 0; i < y.size(); ++i) {
                sum += y[i] * g[i];
            }
            return sum;
        };
        loss();
        std::unique_ptr<MixerTape> tape;
        Buffer<double> dx(x.size());
        mixer->forward(ops, shaped(std::as_const(x), batch, length), shaped(y, batch, length), &tape);
        Parameters<double> gradient = weights.zeros_like();
        mixer->backward(ops, *tape, shaped(std::as_const(x), batch, length), shaped(g, batch, length),
                        shaped(dx, batch, length), gradient);
        const auto check = [&](const std::string& name, Buffer<double>& values, const Buffer<double>& found) {
            double largest = 0.0;
            double worst = 0.0;
            Index at = 0;
            for (Index i = 0; i < values.size(); ++i) {
                constexpr double step = 2e-5;     // short: the norm of normalized filters has kinks
                const double value = values[i];
                const auto shifted = [&](double by) {
                    values[i] = value + by;
                    return loss();
                };
                const double near = shifted(step) - shifted(-step);
                const double far = shifted(2.0 * step) - shifted(-2.0 * step);
                values[i] = value;
                const double error = std::abs((8.0 * near - far) / (12.0 * step) - found[i]);
                at = error <= worst ? at : i;
                worst = error <= worst ? worst : error;   // a NaN is kept
                largest = std::max(largest, std::abs(found[i]));
            }
            BOOST_TEST_CONTEXT(each.name << ", " << name << "[" << at << "]: off by " << worst << " of " << largest)
            {
                BOOST_TEST(worst <= 1e-7 * largest);
                BOOST_TEST(largest > 0.0);
            }
        };
        check("x", x, dx);
        for (auto& entry : weights) {
            check(entry.name, entry.values, gradient.at(entry.name).values);
        }
    }
}

/// A gradient that is not wanted is left out, and the wanted ones are the same bits.
BOOST_AUTO_TEST_CASE(only_what_is_wanted)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    auto& ops = backend->real();
    for (const NamedMixer& each : small_mixers()) {
        const Parameters<double> weights = mixer_weights_of<double>(each.config, 4);
        const auto mixer = make_hyena_mixer<double>(each.config, 0, weights);
        mixer->refresh(ops);
        const Buffer<double> x = random_values<double>(batch * length * each.config.width, 6);
        const Buffer<double> g = random_values<double>(x.size(), 7);
        Buffer<double> y(x.size());
        Buffer<double> dx(x.size());
        std::unique_ptr<MixerTape> tape;
        mixer->forward(ops, shaped(x, batch, length), shaped(y, batch, length), &tape);
        Parameters<double> all = weights.zeros_like();
        Parameters<double> one;
        one.add("layers.0.mixer.v.weight", weights.at("layers.0.mixer.v.weight").shape);
        mixer->backward(ops, *tape, shaped(x, batch, length), shaped(g, batch, length), shaped(dx, batch, length), all);
        mixer->backward(ops, *tape, shaped(x, batch, length), shaped(g, batch, length), shaped(dx, batch, length), one);
        const auto& wanted = all.at("layers.0.mixer.v.weight").values;
        const auto& found = one.at("layers.0.mixer.v.weight").values;
        BOOST_TEST(std::equal(wanted.begin(), wanted.end(), found.begin(), found.end()), each.name);
    }
}

template <class T>
void threads_and_batch()
{
    for (const NamedMixer& each : small_mixers()) {
        const Parameters<T> weights = mixer_weights_of<T>(each.config, 9);
        constexpr Index sequences = 3;
        const Buffer<T> x = random_values<T>(sequences * length * each.config.width, 10);
        const Buffer<T> g = random_values<T>(x.size(), 11);
        std::vector<Buffer<T>> outputs;
        std::vector<Parameters<T>> gradients;
        for (const int threads : {1, 2, 5}) {
            const std::unique_ptr<compute::Backend> backend = backend_for<T>(threads);
            auto& ops = backend->on<T>();
            const auto mixer = make_hyena_mixer<T>(each.config, 0, weights);
            mixer->refresh(ops);
            outputs.emplace_back(x.size());
            Buffer<T> dx(x.size());
            std::unique_ptr<MixerTape> tape;
            mixer->forward(ops, shaped(x, sequences, length), shaped(outputs.back(), sequences, length), &tape);
            gradients.push_back(weights.zeros_like());
            mixer->backward(ops, *tape, shaped(x, sequences, length), shaped(g, sequences, length),
                            shaped(dx, sequences, length), gradients.back());
            auto& kept_dx = gradients.back().add("dx", {dx.size()});
            std::copy(dx.begin(), dx.end(), kept_dx.values.begin());
            // one sequence alone
            const Index per = length * each.config.width;
            Buffer<T> alone(per);
            mixer->forward(ops, Sequences<const T>(x.data() + 2 * per, 1, length, each.config.width),
                           shaped(alone, 1, length), nullptr);
            BOOST_TEST(std::equal(alone.begin(), alone.end(), outputs.back().data() + 2 * per), each.name);
        }
        for (std::size_t i = 1; i < outputs.size(); ++i) {
            BOOST_TEST(std::equal(outputs[0].begin(), outputs[0].end(), outputs[i].begin()), each.name);
            for (const auto& entry : gradients[0]) {
                BOOST_TEST(
                    std::equal(entry.values.begin(), entry.values.end(), gradients[i].at(entry.name).values.begin()),
                    each.name << ", " << entry.name);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(threads_and_batch_change_no_bit)
{
    threads_and_batch<float>();
    threads_and_batch<double>();
}

BOOST_AUTO_TEST_CASE(both_ways_of_a_head_agree)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 2);
    auto& ops = backend->real();
    constexpr Index heads = 3, width = 4, n = heads * width, lags = 17, tokens = 150;
    const Buffer<double> h = random_values<double>(2 * lags, 1);
    const Buffer<double> skip = random_values<double>(2, 2);
    const Buffer<double> signals = random_values<double>(4 * batch * tokens * n, 3);
    const std::vector<Index> filter_of{0, 1, 1};
    const HeadFilters<double> filters{heads, width, {h.data(), 2, lags}, filter_of.data(), skip.data()};
    const auto signal = [&](Index i) {
        return Sequences<const double>(signals.data() + i * batch * tokens * n, batch, tokens, n);
    };
    std::vector<Buffer<double>> results;
    for (const HeadMethod method : {HeadMethod::products, HeadMethod::transforms}) {
        Buffer<double> all(4 * batch * tokens * n + 2 * lags + 2);
        const auto part = [&](Index i) {
            return Sequences<double>(all.data() + i * batch * tokens * n, batch, tokens, n);
        };
        double* const rest = all.data() + 4 * batch * tokens * n;
        heads_forward(ops, filters, signal(0), signal(1), signal(2), part(0), method);
        heads_backward(ops, filters, signal(0), signal(1), signal(2), signal(3), part(1), part(2), part(3),
                       Matrix<double>(rest, 2, lags), rest + 2 * lags, method);
        results.push_back(std::move(all));
    }
    BOOST_TEST(distance_of(results[0], results[1], results[0].size()) <= 1e-12);
}

BOOST_AUTO_TEST_CASE(features_are_what_the_projections_see)
{
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    auto& ops = backend->real();
    for (const NamedMixer& each : small_mixers()) {
        const Parameters<double> weights = mixer_weights_of<double>(each.config, 12);
        const auto mixer = make_hyena_mixer<double>(each.config, 0, weights);
        mixer->refresh(ops);
        const Buffer<double> x = random_values<double>(batch * length * each.config.width, 13);
        Buffer<double> y(x.size());
        mixer->forward(ops, shaped(x, batch, length), shaped(y, batch, length), nullptr);
        Buffer<double> features(batch * length * mixer->feature_width());
        mixer->features(ops, shaped(x, batch, length),
                        Matrix<double>(features.data(), batch * length, mixer->feature_width()));
        const auto out = weights.at("layers.0.mixer.out.weight").matrix();
        const auto* taps = weights.find("layers.0.mixer.taps.weight");
        Buffer<double> again(x.size());
        for (Index r = 0; r < batch * length; ++r) {
            for (Index d = 0; d < each.config.width; ++d) {
                double sum = weights.at("layers.0.mixer.out.bias").values[d];
                for (Index f = 0; f < mixer->feature_width(); ++f) {
                    sum += features[r * mixer->feature_width() + f] *
                           (f < out.cols ? out(d, f) : taps->matrix()(d, f - out.cols));
                }
                again[r * each.config.width + d] = sum;
            }
        }
        BOOST_TEST(distance_of(again, y, y.size()) <= 1e-12, each.name);
    }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace stillhouse::models
